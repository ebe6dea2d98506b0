// TlsTallies: the TLS sessions of every day and domain until they have been reported (RFC 8460 §4).
//
//   add ─▶ (day, domain) ──flush, within four minutes──▶ notes of the spool
//               └──the day is over, and the domain's moment has come──▶ take_due ─▶ done | again in kRetry
//
// A domain's moment is spread over kSpread after midnight, UTC, the same each day. What could not be reported kGiveUp
// after its day is dropped. Bounded: kMaxTallies; what comes beyond is not counted, and the metric says how much that is.
//
// Threads: thread-safe. Off (the configuration has no `tls_reports`) it costs one relaxed load.
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "postfleet/base/executor.hpp"
#include "postfleet/base/metrics.hpp"
#include "postfleet/ports/spool.hpp"
#include "postfleet/tls_report/report.hpp"

namespace postfleet::sender {

class TlsTallies final {
public:
    static constexpr std::size_t kMaxTallies = 20'000;
    static constexpr Duration kSpread = std::chrono::hours(4);
    static constexpr Duration kRetry = std::chrono::hours(1);
    static constexpr Duration kGiveUp = std::chrono::hours(48);

    TlsTallies(Spool& spool, Metrics& metrics);

    void set_on(bool is_on) { is_on_.store(is_on, std::memory_order_relaxed); }
    bool is_on() const { return is_on_.load(std::memory_order_relaxed); }

    // A session with `domain`: TLS came about, or failed.
    void add(const std::string& domain, const tls_report::AppliedPolicy& policy,
             const std::optional<tls_report::Failure>& failure, WallTime now);

    struct Due {
        tls_report::Day day;
        std::string domain;
        tls_report::DomainTally tally;
    };
    std::vector<Due> take_due(WallTime now, std::size_t most);
    void done(tls_report::Day day, const std::string& domain);

    enum class Part : std::uint8_t { Some, All };  // Some: in four calls all
    void flush(Part part, Executor& on);           // what has changed
    void restore();                                // before traffic; blocks

private:
    static constexpr std::size_t kBuckets = 64;  // notes
    using Key = std::pair<tls_report::Day, std::string>;
    struct Entry {
        tls_report::DomainTally tally;
        WallTime next_try{};
    };
    static std::size_t bucket_of(std::string_view domain);
    static WallTime moment_of(const Key& key);

    Spool& spool_;
    Counter& dropped_;
    std::atomic<bool> is_on_{false};
    std::mutex mutex_;  // the rest
    std::array<std::map<Key, Entry>, kBuckets> buckets_;
    std::array<bool, kBuckets> is_changed_{};
    std::size_t size_ = 0, flushes_ = 0;
};

}  // namespace postfleet::sender
