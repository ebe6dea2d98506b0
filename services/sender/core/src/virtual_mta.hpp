// VirtualMta: one sending identity at work: its source addresses, its own limits, its counts.
//
// What cannot be used is suspended: a source that cannot be bound, or the proxy, when it does not answer or does not
// keep to its protocol. It rests for kFirstRest, twice as long after each further failure up to kLongestRest, and is then probed by
// one connection. Mail that has nothing else to go out by waits. Never does a connection leave from an address
// that the virtual MTA does not have, or past its proxy (choose_source).
//
// A VirtualMta lives as long as the process, so that mail and pauses of one that is no longer configured have
// somewhere to stand (is_configured() is false then).
//
// Threads: thread-safe.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "postfleet/config/config.hpp"
#include "postfleet/ports/sender_control.hpp"
#include "postfleet/shaping/limits.hpp"

namespace postfleet::sender {

class Queue;

class VirtualMta final {
public:
    static constexpr Duration kFirstRest = std::chrono::seconds(5);
    static constexpr Duration kLongestRest = std::chrono::minutes(5);

    explicit VirtualMta(std::string its_name) : name(std::move(its_name)) {}

    const std::string name;

    // Null: not configured. Sources that stay keep what is known of them.
    void configure(std::shared_ptr<const config::VirtualMta> configuration);
    std::shared_ptr<const config::VirtualMta> configuration() const;
    bool is_configured() const { return is_configured_.load(std::memory_order_relaxed); }

    struct Source {
        enum class Kind { Any, Address, NoneOfFamily, AllDisabled } kind = Kind::Any;
        IpAddress address;      // Address
        SteadyTime retry_at{};  // AllDisabled: when one of them may be probed
        std::string reason;     // AllDisabled, NoneOfFamily
        // Any, Address: the way out. shared_ptr because a reload may replace it meanwhile.
        std::shared_ptr<const config::VirtualMta> identity;
    };
    // The next source, in turn, for a peer of this family.
    Source choose_source(bool v6, SteadyTime now, std::string_view site);
    // Whether it may send from an address of this family at all.
    bool has_source(bool v6) const;
    // This address is not used for this site any more, until then; true if that is news.
    bool disable_at(const std::string& site, const IpAddress& source, std::string reason, SteadyTime until);
    // True if that is news (an event is due).
    bool on_bind_failed(const IpAddress& source, std::string reason, SteadyTime now);
    bool on_bound(const IpAddress& source);
    bool on_proxy_failed(std::string reason, SteadyTime now);
    bool on_proxy_worked();
    std::size_t suspended() const;  // sources, and the proxy

    // Over all its queues.
    bool take_connection();
    void give_back_connection(std::vector<std::shared_ptr<Queue>>& to_wake);
    // Stands in line; give_back_connection() names the first of the line, which has left it then.
    void wait_for_connection(const std::shared_ptr<Queue>& queue);
    bool is_waiting_for_connection(const Queue& queue) const;
    // Both words at once: the queue's and ours, or neither. Nothing: taken. For messages the queues take turns:
    // who has to wait stands in line until it has taken, or has left.
    std::optional<SteadyTime> take_connect(shaping::RateLimit& of_queue, Duration interval, SteadyTime now);
    std::optional<SteadyTime> take_message(const Queue& queue, shaping::RateLimit& of_queue, Duration interval,
                                           SteadyTime now);
    void leave_message_line(const Queue& queue);
    bool has_message_rate() const { return message_interval_.load(std::memory_order_relaxed) > 0; }
    void mark_message_used(SteadyTime now) {
        if (has_message_rate()) message_rate_.mark_used(now);
    }
    SteadyTime next_message_permit() const;

    struct Counts {
        std::atomic<std::uint64_t> delivered{0}, deferred{0}, bounced{0};
    };
    Counts counts;
    VirtualMtaStatus status() const;

private:
    struct Suspension {
        std::string reason;  // empty: none
        SteadyTime retry_at = SteadyTime::min();
        std::uint32_t failures = 0;  // in a row
        bool is_probed = false;
        bool fail(std::string why, SteadyTime now);
        bool end();
        bool may_probe(SteadyTime now);
    };
    struct SourceState {
        IpAddress address;
        Suspension suspension;
    };

    struct Ban {
        std::string site;
        IpAddress source;
        std::string reason;
        SteadyTime until;
    };
    const Ban* ban_locked(const IpAddress& source, std::string_view site, SteadyTime now) const;

    mutable std::mutex mutex_;
    std::shared_ptr<const config::VirtualMta> configuration_;
    std::vector<SourceState> sources_;
    Suspension proxy_;
    std::vector<Ban> bans_;
    std::size_t next_source_ = 0;
    struct Waiting {
        const Queue* queue;
        std::weak_ptr<Queue> alive;
    };
    std::deque<Waiting> connection_line_;
    std::deque<const Queue*> message_line_;

    std::atomic<bool> is_configured_{false};
    std::atomic<std::uint32_t> max_connections_{config::kUnlimited};
    std::atomic<std::int64_t> message_interval_{0}, connect_interval_{0};  // nanoseconds; 0: no limit
    shaping::ConnectionLimit connections_;
    shaping::RateLimit message_rate_, connect_rate_;
};

}  // namespace postfleet::sender
