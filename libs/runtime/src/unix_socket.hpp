// Blocking Unix stream sockets with deadlines, as both sides of the control protocol use them.
#pragma once

#include <optional>
#include <string>

#include "postfleet/base/result.hpp"
#include "postfleet/base/time.hpp"

namespace postfleet::runtime {

class UnixSocket final {
public:
    UnixSocket() = default;
    explicit UnixSocket(int descriptor) : descriptor_(descriptor) {}
    ~UnixSocket();
    UnixSocket(UnixSocket&& other) noexcept;
    UnixSocket& operator=(UnixSocket&& other) noexcept;

    static Result<UnixSocket> connect(const std::string& path);
    // Listening, mode 0600. Replaces a socket file that nobody answers on.
    static Result<UnixSocket> listen(const std::string& path);

    Result<UnixSocket> accept();  // after shutdown(): Cancelled
    // Without its line end. NotFound: the other side has closed; ResourceExhausted: longer than `limit`.
    Result<std::string> read_line(std::size_t limit, Duration timeout);
    Status write_all(const std::string& text, Duration timeout);
    void shutdown();  // thread-safe: wakes whoever waits in the others
    std::string peer() const;

private:
    int descriptor_ = -1;
    std::string rest_;  // read, and not yet asked for
};

}  // namespace postfleet::runtime
