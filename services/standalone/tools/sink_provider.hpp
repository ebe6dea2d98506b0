// SinkProvider: a large mailbox provider as a sender meets it: limits for each source address, and the provider's own
// words for whoever goes beyond them.
//
//   connections   open at once; one more is refused at connect
//   messages      on one connection; one more is refused at MAIL, and the connection ends
//   rate, window  MAIL commands in any window of that length: rate × window + 1; one more is refused
//
// The figures are this program's, for tests, and can be set; no provider publishes all of its own.
// Threads: thread-safe. Errors: make() and set(), with what is allowed.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/base/network.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/base/time.hpp"

namespace postfleet::tools {

struct SourceLimits {
    std::uint32_t connections = UINT32_MAX;
    std::uint32_t messages = UINT32_MAX;
    double rate = 0;  // per second; 0: none
    Duration window = std::chrono::seconds(60);
};

class SinkProvider {
public:
    // "gmail", "yahoo" or "microsoft"; `limits` holds "connections=5", "messages=20", "rate=100/s", "window=10s".
    static Result<std::unique_ptr<SinkProvider>> make(std::string_view name, const std::vector<std::string>& limits);

    const SourceLimits& limits() const { return limits_; }

    // Each returns the name of a reply (provider_replies.hpp) when the limit is exceeded, else nothing.
    // Who was let in must disconnect().
    std::string_view connect(const IpAddress& source);
    void disconnect(const IpAddress& source);
    std::string_view begin_message(const IpAddress& source, std::uint32_t before_on_connection, SteadyTime now);

private:
    struct Words {
        std::string_view name, too_many_connections, too_many_messages, too_fast;
        SourceLimits limits;
    };
    struct Source {
        std::uint32_t connections = 0;
        std::deque<SteadyTime> messages;  // in the last window
    };
    static const Words kProviders[];

    explicit SinkProvider(const Words& words) : words_(words), limits_(words.limits) {}
    Status set(std::string_view limit);

    const Words& words_;
    SourceLimits limits_;
    std::mutex mutex_;
    std::map<IpAddress, Source> sources_;
};

}  // namespace postfleet::tools
