// UnboundResolver: the Resolver port on libunbound (RFC 5321 §5.1, RFC 7505, RFC 2308, RFC 4035).
//
// One thread of its own runs everything; libunbound has one more for the network. Look-ups of the same name
// that are under way at the same time are one look-up. Bounded: at most max_outstanding queries are with
// libunbound and as many look-ups under way, more wait their turn, and beyond kMaxRequests callers are
// answered Temporary at once. Every look-up has a deadline, from the call on. One whose hosts are slow to
// resolve is answered kStragglerGrace after the first address is known, without the slow ones.
//
// Answers are kept as long as they may be, within kShortestTtl … kLongestTtl, also the negative ones (up to
// kLongestNegativeTtl) and failures (kFailureTtl), so that a dead name server costs one look-up in a while.
//
// Threads: thread-safe; completions run on the executor named, never inside the call. Destroying it answers
// what is under way with Temporary. Errors: create() says why libunbound would not start.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "postfleet/base/metrics.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/ports/resolver.hpp"

namespace postfleet::dns {

struct Options {
    std::vector<Endpoint> servers;  // empty: those of /etc/resolv.conf, else the root servers
    Duration timeout = std::chrono::seconds(20);
    std::uint32_t max_outstanding = 1000;
    std::string trust_anchor_file;     // empty: no DNSSEC validation
    std::size_t max_cached = 100'000;  // answers
    std::size_t max_cached_octets = std::size_t{64} << 20;
};

class UnboundResolver final : public Resolver {
public:
    static constexpr std::size_t kMaxRequests = 200'000;
    static constexpr Duration kStragglerGrace = std::chrono::seconds(3);
    static constexpr Duration kShortestTtl = std::chrono::seconds(5);
    static constexpr Duration kLongestTtl = std::chrono::hours(24);
    static constexpr Duration kLongestNegativeTtl = std::chrono::minutes(15);
    static constexpr Duration kFailureTtl = std::chrono::seconds(5);

    // `metrics` outlives the resolver.
    static Result<std::unique_ptr<UnboundResolver>> create(const Options& options, Metrics& metrics);
    ~UnboundResolver() override;

    void resolve_mx(std::string domain, Completion<MxAnswer> done) override;
    void resolve_host(std::string host, Completion<MxAnswer> done) override;
    void resolve_tlsa(std::string name, Completion<TlsaAnswer> done) override;
    void resolve_txt(std::string name, Completion<TxtAnswer> done) override;

private:
    class Engine;
    explicit UnboundResolver(std::unique_ptr<Engine> engine);
    std::unique_ptr<Engine> engine_;
};

}  // namespace postfleet::dns
