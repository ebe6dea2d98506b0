// SinkShared, SinkShard: what all sessions of a sink share, and what those of one loop share.
//
// Threads: SinkShared is immutable or atomic after open(), and its files and rules are thread-safe;
// a SinkShard is confined to its loop.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "postfleet/net/epoll_loop.hpp"
#include "sink_counts.hpp"
#include "sink_files.hpp"
#include "sink_options.hpp"
#include "sink_provider.hpp"
#include "sink_rules.hpp"

namespace postfleet::tools {

class SinkSession;

// The replies of every day, made once.
struct SinkReplies {
    explicit SinkReplies(const SinkOptions& options);
    std::string greeting, ehlo, helo, mail, rcpt, data, accepted, ok, bye, vrfy;
    std::string bad_sequence, bad_syntax, unknown, too_big, too_many_recipients, line_too_long, busy;
};

struct SinkShared {
    explicit SinkShared(const SinkOptions& given) : options(given), replies(given) {}
    const SinkOptions options;
    const SinkReplies replies;
    const TraceClock clock;
    std::unique_ptr<SinkRules> rules;
    std::unique_ptr<SinkProvider> provider;
    std::unique_ptr<OutputFile> trace;
    std::unique_ptr<OutputFile> count;
    std::unique_ptr<MessageStore> store;
    std::atomic<std::uint64_t> messages{0}, deliveries{0}, connections_now{0}, next_connection{1};
    std::atomic<bool> finished{false};

    bool needs_recipients() const { return store != nullptr || options.print || !options.id_header.empty(); }
};

class SinkShard {
public:
    SinkShard(SinkShared& shared, net::EpollLoop& loop);
    ~SinkShard();

    SinkShared& shared() { return shared_; }
    net::EpollLoop& loop() { return loop_; }
    SinkCounts& counts() { return counts_; }
    TraceBuffer* trace() { return trace_ ? &*trace_ : nullptr; }
    std::mt19937_64& random() { return random_; }

    void add(std::unique_ptr<Stream> stream);
    void remove(SinkSession& session);  // destroys it
    void close_all();
    void count_recipient(std::string_view recipient);
    void count_message(std::uint64_t octets, const IpAddress& source);

private:
    SinkShared& shared_;
    net::EpollLoop& loop_;
    SinkCounts counts_;
    std::optional<TraceBuffer> trace_;
    std::mt19937_64 random_;
    std::vector<std::unique_ptr<SinkSession>> sessions_;
    // The last ones counted, because neighbours are mostly alike.
    std::pair<const std::string, std::uint64_t>* last_domain_ = nullptr;
    std::pair<const IpAddress, std::uint64_t>* last_source_ = nullptr;
};

}  // namespace postfleet::tools
