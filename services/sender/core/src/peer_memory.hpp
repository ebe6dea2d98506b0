// PeerMemory: what connections have taught about hosts, for a while: which do not answer, which get out of step when
// commands are pipelined, with which TLS fails, and which hang up after so many transactions without saying so.
//
//   unreachable       tried after the other hosts of its destination, whatever its preference: 5 minutes, twice as
//                     long after each further failure up to an hour, until a connection comes up
//   no pipelining     for kRemember after a protocol error in a pipelined dialogue
//   no TLS            for kNoTls after a failed handshake, where plain text is allowed: each would cost a connection
//   hangs up after N  for kRemember, once two connections in a row were cut after the same number of transactions:
//                     one alone may be an accident. Then QUIT comes before the cut
//
// Bounded: kMaxHosts entries; beyond that the one that ends first makes room. Asked when a connection is opened, not
// for every message; while nothing is known, that takes no lock.
//
// Threads: thread-safe. Time comes in as an argument. It forgets everything at a restart.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>

#include "postfleet/base/network.hpp"
#include "postfleet/base/time.hpp"

namespace postfleet::sender {

class PeerMemory final {
public:
    static constexpr std::size_t kMaxHosts = 10'000;
    static constexpr Duration kRemember = std::chrono::hours(1);
    static constexpr Duration kNoTls = std::chrono::minutes(10);
    static constexpr Duration kFirstAvoidance = std::chrono::minutes(5);
    static constexpr std::uint32_t kNoLimit = UINT32_MAX;

    void on_unreachable(const Endpoint& peer, SteadyTime now);
    void on_reachable(const Endpoint& peer);
    bool is_unreachable(const Endpoint& peer, SteadyTime now) const;

    void on_out_of_step(const Endpoint& peer, SteadyTime now);
    bool may_pipeline(const Endpoint& peer, SteadyTime now) const;

    void on_tls_failed(const Endpoint& peer, SteadyTime now);
    bool may_try_tls(const Endpoint& peer, SteadyTime now) const;

    // The connection was cut when another transaction began after `transactions`; true: that makes it a habit.
    bool on_cut_after(const Endpoint& peer, std::uint32_t transactions, SteadyTime now);
    std::uint32_t max_transactions(const Endpoint& peer, SteadyTime now) const;

    std::size_t size() const;

private:
    struct Entry {
        SteadyTime avoid_until = SteadyTime::min();
        std::uint32_t failures = 0;
        SteadyTime plain_until = SteadyTime::min();
        SteadyTime clear_until = SteadyTime::min();
        SteadyTime cut_until = SteadyTime::min();
        std::uint32_t cut_after = 0;     // the last time
        std::uint32_t limit = kNoLimit;  // learned
        SteadyTime ends_at() const;
    };
    Entry& entry_locked(const Endpoint& peer, SteadyTime now);
    const Entry* find_locked(const Endpoint& peer) const;
    void make_room_locked(SteadyTime now);

    std::atomic<bool> is_empty_{true};
    mutable std::mutex mutex_;
    std::map<Endpoint, Entry> entries_;
};

}  // namespace postfleet::sender
