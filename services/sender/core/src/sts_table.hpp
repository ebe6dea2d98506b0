// StsTable: the MTA-STS policies that hold for domains now (RFC 8461).
//
//   find ─▶ TXT _mta-sts.<domain> ─▶ the id is known ─────────────────▶ the policy that is kept
//                                 ├▶ no such record, or no answer ────▶ likewise: who can suppress it gains nothing
//                                 └▶ a new id ─▶ fetch (HTTPS) ─▶ good: kept, and answered
//                                                              └▶ not: what was kept still holds until its max_age is
//                                                                 over; fetched again after kRetry at the earliest
//
// Policies are kept over a restart, in notes of the spool. They are fetched again when half of their age or a day has
// passed, without waiting for mail. Bounded: kMaxPolicies, of which the one that was longest out of use goes first;
// kMaxFetches at the same time, the others wait in line; one fetch per domain.
//
// Threads: thread-safe; answers come on the executor named.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "postfleet/base/log.hpp"
#include "postfleet/base/metrics.hpp"
#include "postfleet/mta_sts/policy.hpp"
#include "postfleet/ports/http_client.hpp"
#include "postfleet/ports/resolver.hpp"
#include "postfleet/ports/spool.hpp"
#include "postfleet/routing/snapshot.hpp"
#include "tls_tallies.hpp"

namespace postfleet::sender {

struct StsAnswer {
    std::shared_ptr<const mta_sts::Policy> policy;  // Enforce or Testing; null: there is none
    std::optional<Error> problem;                   // a policy is announced, and this is why its fetch failed
};

class StsTable final {
public:
    static constexpr std::size_t kMaxPolicies = 20'000;
    static constexpr std::size_t kMaxFetches = 100;
    static constexpr std::size_t kRefreshAtOnce = 10;
    static constexpr Duration kRetry = std::chrono::minutes(5);
    static constexpr Duration kOldestUnchecked = std::chrono::hours(24);

    struct Ports {
        Resolver& resolver;
        HttpClient* http = nullptr;  // null: nothing is fetched
        Spool& spool;
        TlsTallies& tallies;  // of fetches that fail
    };
    StsTable(const Ports& ports, Metrics& metrics, Log log);

    struct Rules {
        bool is_wanted = false;  // some queue heeds policies
        std::string ca_file;
        std::shared_ptr<const routing::Snapshot> routing;
    };
    void configure(Rules rules);
    // What was kept; before traffic. Blocks.
    void restore(WallTime now);
    bool is_on() const;

    void find(std::string domain, Completion<StsAnswer> done);
    // Fetches what is due to be fetched again; to be called now and then.
    void refresh(Executor& on);

private:
    static constexpr std::size_t kBuckets = 128;  // notes

    struct Entry {
        std::string id;
        std::shared_ptr<const mta_sts::Policy> policy;  // null: there was none that could be fetched
        WallTime fetched_at{}, used_at{};
        SteadyTime retry_at = SteadyTime::min();  // not before that, unless the id is another one than
        std::string tried_id;
        std::optional<Error> problem;  // of the last fetch
    };
    struct Fetch {
        std::string id;
        std::vector<Completion<StsAnswer>> waiters;
    };
    using Bucket = std::map<std::string, Entry, std::less<>>;

    static std::size_t bucket_of(std::string_view domain);
    static WallTime expiry_of(const Entry& entry, WallTime now);
    static bool is_due(const Entry& entry, WallTime now, SteadyTime steady_now);
    static StsAnswer answer_of(const Entry& entry, WallTime now);

    void on_record(const std::string& domain, const TxtAnswer& record, Completion<StsAnswer>&& done);
    void begin_locked(const std::string& domain, std::string id, std::optional<Completion<StsAnswer>> waiter);
    void start_fetches(Executor& on);
    void on_fetched(const std::string& domain, Result<mta_sts::Policy>&& fetched, Executor& on);
    Entry& entry_locked(const std::string& domain, WallTime now);
    void make_room_locked(WallTime now);
    void keep_locked(std::size_t bucket, Executor& on);
    void report(const std::string& domain, const Result<mta_sts::Policy>& fetched, WallTime now) const;

    const Ports ports_;
    const Log log_;
    Counter &fetched_total_, &failed_total_;
    Gauge& kept_;

    mutable std::mutex mutex_;
    Rules rules_;
    std::array<Bucket, kBuckets> buckets_;
    std::size_t size_ = 0;
    std::map<std::string, Fetch> fetches_;  // under way, or in line
    std::deque<std::string> line_;
    std::size_t running_ = 0;
    std::size_t next_refreshed_ = 0;  // bucket
};

}  // namespace postfleet::sender
