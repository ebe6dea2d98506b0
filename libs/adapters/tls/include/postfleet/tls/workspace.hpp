// Workspace: what all TLS streams of one shard use while they work, so that an idle one holds none of it.
//
// The turns that the handshakes of servers take; a buffer for ciphertext on its way out, one for plaintext on its way in, one in which small pieces become
// one record. Nothing stays in them between two callbacks, except that the view a handler gets in on_data
// points into the plaintext. Grown buffers are kept.
//
// Threads: confined to the executor's thread. Outlives its streams.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "postfleet/base/executor.hpp"
#include "postfleet/tls/handshake_turns.hpp"

namespace postfleet::tls {

class Workspace final {
public:
    static constexpr std::size_t kRecordOctets = 16 * 1024;  // the most that one record carries (RFC 8446 §5.1)
    // Encrypted at once, and so the most that waits encrypted for a socket that is full.
    static constexpr std::size_t kRoundOctets = 8 * kRecordOctets;

    explicit Workspace(Executor& executor);
    ~Workspace();
    Workspace(const Workspace&) = delete;
    Workspace& operator=(const Workspace&) = delete;

    Executor& executor() { return executor_; }

private:
    friend class TlsStream;
    friend struct StreamBio;

    // Room for all that `input_octets` of ciphertext can become.
    std::span<char> plaintext_for(std::size_t input_octets);

    Executor& executor_;
    HandshakeTurns turns_{executor_};
    std::string ciphertext_;
    std::unique_ptr<char[]> plaintext_;
    std::size_t plaintext_octets_ = 0;
    std::unique_ptr<char[]> record_;
};

}  // namespace postfleet::tls
