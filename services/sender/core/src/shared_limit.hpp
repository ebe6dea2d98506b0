// SharedLimit: what several queues may do together: all of them, those of a provider or of a virtual MTA, those that
// use a source address or go to a server's address.
//
// Connections are permits taken by compare-exchange, from before connecting until the close has completed. Who finds
// none stands in line, and the first of the line is woken when one comes back. Rates are PacedLimits
// (postfleet/shaping/pacing.hpp); those of all SharedLimits have one lock, in SharedLimits, which mail that no shared
// rate is set for never takes.
//
//   in_use   permits out now, whoever counts them          limit: comes with every call
//   line     queues, each once; one that has no connection yet is `starved`: it stands before those who want more,
//            of its priority, and others of no higher one make room for it. The highest priority is first; a lower one
//            that was passed over kStarvationBound times goes once
//   leaving  connections that are closing: so many of the line need nobody else to make room
//   idle     connections that have nothing to do; they make room at once (Engine::make_room), those who want more get
//            what was not used for kUnused
//
// SharedLimits owns them, by scope and name, as long as the process lives, except those of addresses: they are
// forgotten when nobody holds a permit and no rate remembers anything.
//
// Threads: thread-safe. Lock order: queue, then these. shared_ptr: queues and connections hold what they use.
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "postfleet/base/network.hpp"
#include "postfleet/config/config.hpp"
#include "postfleet/ports/sender_control.hpp"
#include "postfleet/shaping/limits.hpp"
#include "postfleet/shaping/pacing.hpp"

namespace postfleet::sender {

class Queue;

class SharedLimit final {
public:
    static constexpr std::uint32_t kStarvationBound = 16;
    static constexpr Duration kUnused = std::chrono::seconds(1);

    SharedLimit(LimitScope its_scope, std::string its_name) : scope(its_scope), name(std::move(its_name)) {}

    const LimitScope scope;
    const std::string name;  // "google", "192.0.2.1"; empty: the total

    void set(const config::FlowLimits& limits);
    config::FlowLimits limits() const;
    std::string describe() const;  // "provider google"

    bool try_take_connection(std::uint32_t most) { return connections_.try_take(most); }
    bool has_room(std::uint32_t most) const { return connections_.in_use() < most; }
    void give_back_connection() { connections_.give_back(); }  // then wake next_in_line()
    enum class Need { Starved, More };
    void wait(const std::shared_ptr<Queue>& queue, Need need, Priority priority);
    void leave(const Queue& queue);
    // The one to be woken, out of the line; null: nobody. Others do not overtake it until it had_its_try().
    std::shared_ptr<Queue> next_in_line();
    void had_its_try();
    bool is_before_others(const Queue& queue) const;  // nobody stands before it, and nobody has just been woken
    bool is_waiting(const Queue& queue) const;
    // More queues without a connection wait, of this priority at least, than connections are closing.
    bool lacks_room(Priority least) const {
        std::uint32_t starved = 0;
        for (std::size_t i = 0; i <= static_cast<std::size_t>(least); ++i) starved += starved_[i].load();
        return starved > leaving_.load();
    }
    // The same for queues that want more than they have, too.
    bool lacks_more() const { return queues_waiting() > leaving_.load(); }
    void count_leaving(std::int32_t change) { leaving_ += static_cast<std::uint32_t>(change); }
    void count_idle(std::int32_t change) { idle_ += static_cast<std::uint32_t>(change); }

    // Whoever waits asks for a look at the idle ones; true: nobody else is at it, who would look again.
    bool begin_look(SteadyTime now);
    std::uint32_t looks_asked() const { return asked_.load(); }
    // A look that began when so many were asked for; true: another one was meanwhile.
    bool end_look(std::uint32_t asked) { return asked_.fetch_sub(asked) != asked; }

    std::uint32_t connections() const { return connections_.in_use(); }
    std::size_t queues_waiting() const;
    bool is_idle(SteadyTime now) const;

    shaping::PacedLimit messages, connects;  // locked by SharedLimits

private:
    struct Waiting {
        const Queue* queue;
        std::weak_ptr<Queue> alive;
        Need need;
        Priority priority;
    };
    std::size_t next_place_locked();
    void count_locked(const Waiting& waiting, std::uint32_t change);
    mutable std::mutex mutex_;
    config::FlowLimits limits_;
    std::deque<Waiting> line_;  // the starved ones first
    std::array<std::uint32_t, kPriorities> passed_over_{};
    std::uint32_t woken_ = 0;              // and have not tried yet
    std::atomic<std::uint32_t> crowd_{0};  // all of these
    std::array<std::atomic<std::uint32_t>, kPriorities> starved_{};
    std::atomic<std::uint32_t> leaving_{0}, idle_{0};
    std::atomic<std::uint32_t> asked_{0};                // looks
    std::atomic<SteadyTime::rep> next_look_{INT64_MIN};  // for those who want more
    shaping::ConnectionLimit connections_;
};

// A limit and what it is for this user of it.
struct LimitUse {
    std::shared_ptr<SharedLimit> limit;
    config::FlowLimits allows;
    bool counts_idle = false;  // the queue's idle sessions are counted in it
    bool limits_connections() const { return allows.max_connections != config::kUnlimited; }
    bool has_room() const { return limit->has_room(allows.max_connections); }
    shaping::Pace pace() const { return {allows.max_message_rate.interval(), allows.max_data_rate}; }
    shaping::Pace connect_pace() const { return {allows.max_connect_rate.interval(), {}}; }
};

class SharedLimits final {
public:
    // New limits; queues ask for theirs anew after it.
    void configure(const config::Config& config);
    // All that a queue of this site and virtual MTA is counted in, limited or not, so that a reload finds it counted.
    std::vector<LimitUse> of_queue(const std::string& site, const std::string& virtual_mta);
    std::shared_ptr<SharedLimit> of_virtual_mta(const std::string& name);
    // Those that hold for one connection from `source`, if that is known, to `peer`.
    std::vector<LimitUse> of_connection(const std::string& site, const std::optional<IpAddress>& source,
                                        const IpAddress& peer, const config::FlowLimits& per_source,
                                        const config::FlowLimits& per_destination, SteadyTime now);

    std::mutex& rates_mutex() { return rates_mutex_; }
    std::vector<LimitStatus> status(SteadyTime now) const;

private:
    std::shared_ptr<SharedLimit> find_or_make_locked(LimitScope scope, const std::string& name);
    void forget_idle_locked(SteadyTime now);

    mutable std::mutex mutex_;  // of the table
    mutable std::mutex rates_mutex_;
    std::unordered_map<std::string, std::shared_ptr<SharedLimit>> limits_;  // by scope and name
    config::FlowLimits per_source_;
    std::atomic<bool> has_per_source_{false};
    std::size_t forget_at_ = 1024;  // addresses in the table
    std::size_t addresses_ = 0;
};

}  // namespace postfleet::sender
