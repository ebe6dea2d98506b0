// LocalBuffer: where ingest keeps mail that the broker does not take, until it does (`local_buffer` in the configuration).
//
//   keep() ─▶ committed to a spool of its own ─▶ ok ─▶ 250
//                        └─▶ in order of arrival ─▶ published, confirmed ─▶ removed
//
// What is published goes under the id of its message, as it would have gone at once: a part of which a sender has a copy
// already, because a confirm was lost or this process was killed between confirm and removal, is dropped there. A start
// goes on with what is in the spool.
//
// A queue that takes nothing (full, or missing) is tried again with one message after 1 to 30 s and holds up nobody
// else's mail. A message that the broker never takes (too large) is tried again every 10 minutes, one that cannot be
// read at the next start; both are logged and counted (postfleet_ingest_buffer_stuck).
//
// Bounded by `most_octets`: content, and kFactsOctets for each message; and by the spool's reserve of disk space. Full, it
// takes nothing until a tenth has gone.
//
// Threads: keep(), admission(), holds() and set_most_octets() on any; the rest is confined to `on`, where the draining
// happens, too. start() blocks. Units: octets.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "postfleet/base/log.hpp"
#include "postfleet/base/metrics.hpp"
#include "postfleet/ports/handover.hpp"
#include "postfleet/spool_courier/spool_courier.hpp"

namespace postfleet::ingest_cluster {

struct LocalBufferPorts {
    Executor& on;
    Spool& spool;
    BrokerPublisher& publisher;
    std::function<std::string(const std::string& virtual_mta)> sender_of;  // any thread
    Metrics& metrics;
    Log log;
};

class LocalBuffer final {
public:
    static constexpr std::uint64_t kFactsOctets = 1024;
    static constexpr std::size_t kMostUnderWay = 256;
    static constexpr std::uint64_t kMostOctetsUnderWay = 32u << 20;
    static constexpr Duration kTick = std::chrono::seconds(1);
    static constexpr Duration kLongestPause = std::chrono::seconds(30);
    static constexpr Duration kRefusedPause = std::chrono::minutes(10);

    LocalBuffer(LocalBufferPorts ports, std::uint64_t most_octets);
    ~LocalBuffer();
    LocalBuffer(const LocalBuffer&) = delete;
    LocalBuffer& operator=(const LocalBuffer&) = delete;

    // Reads what is there, then begins to hand it over.
    Status start();
    // Begins with no further message; `done` when those under way are finished. The rest stays.
    void stop(Completion<Status> done);

    // 0: nothing more is kept.
    void set_most_octets(std::uint64_t octets);
    bool is_on() const { return most_octets_ > 0; }
    Admission admission() const;

    struct Mail {
        std::shared_ptr<const Message> message;
        std::vector<Task> tasks;
        std::vector<SharedOctets> content;  // all chunks
    };
    // As Handover::hand_over(). `why`: what is wrong with the broker, for the log.
    void keep(Mail mail, const std::string& why, Completion<Status> done);
    void holds(MessageId id, Completion<Result<bool>> done) { ports_.spool.has_message(id, std::move(done)); }

    std::uint64_t messages() const { return static_cast<std::uint64_t>(messages_.value()); }
    std::uint64_t octets() const { return octets_; }

private:
    struct Keeping;
    struct Entry {
        std::vector<TaskKey> keys;  // of one message
        std::uint64_t octets = 0;   // what it counts
    };
    // The mail that is for one queue of the broker.
    struct Lane {
        std::deque<Entry> waiting;
        std::size_t under_way = 0;
        Duration pause{};  // after it took nothing
        SteadyTime not_before{};
    };

    bool take_room(std::uint64_t octets);
    void give_room(std::uint64_t octets);
    void commit(const std::shared_ptr<Keeping>& keeping);
    void on_committed(const std::shared_ptr<Keeping>& keeping, Status status);
    void add(const std::string& queue, Entry entry, const std::string& why);
    void work();
    bool carry_from(const std::string& queue, Lane& lane);
    void on_carried(const std::string& queue, Entry entry, Carried carried);
    void put_back(const std::string& queue, Entry entry, const Error& error);
    void set_aside(const std::string& queue, Entry entry, const Carried& carried);
    void tell_when_empty();
    void tell_when_stopped();
    template <class Run>
    auto guarded(Run run) {
        return [alive = std::weak_ptr<bool>(alive_), run = std::move(run)](auto&&... values) mutable {
            if (!alive.expired()) run(std::forward<decltype(values)>(values)...);
        };
    }

    const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // shared with completions under way, weakly
    LocalBufferPorts ports_;
    Counter &kept_, &handed_over_, &refused_;
    Gauge &messages_, &octets_gauge_, &stuck_;
    std::atomic<std::uint64_t> most_octets_;
    std::atomic<std::uint64_t> octets_{0};
    std::atomic<bool> is_full_{false};

    // Confined to `on`.
    SpoolCourier courier_;
    std::map<std::string, Lane> lanes_;  // by queue
    bool is_ticking_ = false, stopping_ = false;
    SteadyTime began_{};
    std::uint64_t since_began_ = 0;  // handed over
    Completion<Status> stopped_;
};

}  // namespace postfleet::ingest_cluster
