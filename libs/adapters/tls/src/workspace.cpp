#include "postfleet/tls/workspace.hpp"

namespace postfleet::tls {

namespace {

// What a TcpStream hands up at once, and one record that was incomplete before.
constexpr std::size_t kUsualInputOctets = 64 * 1024;

}  // namespace

Workspace::Workspace(Executor& executor)
    : executor_(executor),
      plaintext_octets_(kUsualInputOctets + kRecordOctets + 1),
      record_(std::make_unique_for_overwrite<char[]>(kRecordOctets)) {
    plaintext_ = std::make_unique_for_overwrite<char[]>(plaintext_octets_);
    ciphertext_.reserve(kRoundOctets + kRecordOctets);
}

Workspace::~Workspace() = default;

std::span<char> Workspace::plaintext_for(std::size_t input_octets) {
    const std::size_t needed = input_octets + kRecordOctets + 1;
    if (needed > plaintext_octets_) {
        plaintext_ = std::make_unique_for_overwrite<char[]>(needed);
        plaintext_octets_ = needed;
    }
    return {plaintext_.get(), plaintext_octets_};
}

}  // namespace postfleet::tls
