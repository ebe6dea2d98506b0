// ControlServer, call_control: JSON lines over a Unix socket, for the command line (protocol: README.md).
//
// The socket has mode 0600; whoever may open it may do everything, and the kernel says who it was. A socket
// file that nobody answers on is a leftover of a crash and is replaced.
//
// Bounded: kMaxConnections at a time (others are closed at once), kMaxRequestOctets per line, kMaxSilence
// between requests. Each connection has a thread while it lasts; the handler runs there and may wait, but has
// a deadline of its own.
//
// Threads: start and stop from one thread; stop() blocks until the handlers have returned. call_control()
// blocks at most `timeout`. Errors: start(): the path is too long, not writable, or another process answers on
// it. call_control(): Unavailable (nobody there), PermissionDenied, DeadlineExceeded, or what the handler said.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "postfleet/base/result.hpp"
#include "postfleet/base/time.hpp"

namespace postfleet::runtime {

using ControlArguments = std::map<std::string, std::string>;

struct ControlRequest {
    std::string command;
    ControlArguments arguments;
    std::string who;  // the user on the other side: "root", "uid 1000"

    // Empty when it was not given.
    std::string argument(const std::string& name) const;
};

// Answers with one JSON value as text, without a line end.
using ControlHandler = std::function<Result<std::string>(const ControlRequest&)>;

class ControlServer final {
public:
    static constexpr std::size_t kMaxConnections = 16;
    static constexpr std::size_t kMaxRequestOctets = 64 * 1024;
    static constexpr Duration kMaxSilence = std::chrono::minutes(5);

    ControlServer(std::string path, ControlHandler handler);
    ~ControlServer();
    ControlServer(const ControlServer&) = delete;
    ControlServer& operator=(const ControlServer&) = delete;

    Status start();
    void stop();

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

// The JSON text that the handler answered with.
Result<std::string> call_control(const std::string& path, const std::string& command, const ControlArguments& arguments,
                                 Duration timeout = std::chrono::seconds(30));

}  // namespace postfleet::runtime
