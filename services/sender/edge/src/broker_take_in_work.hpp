// BrokerTakeIn::Work: what the take-in does, on its executor.
//
//   given ──▶ waiting ──▶ under way ──ok──▶ acknowledged
//                ▲             └─error─┐
//                └─────────────────────┘  and everything waits for kRetry
#pragma once

#include <array>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "overflow_sweep.hpp"
#include "postfleet/sender_edge/broker_take_in.hpp"
#include "postfleet/wire/handover.hpp"
#include "take_in_lane.hpp"

namespace postfleet::sender {

class BrokerTakeIn::Work : public std::enable_shared_from_this<BrokerTakeIn::Work> {
public:
    static constexpr Duration kRetry = std::chrono::milliseconds(500);
    static constexpr Duration kTick = std::chrono::seconds(1);
    // Under way to the spool or the overflow queue. Enough for large groups, and little to hold when the spool stalls.
    static constexpr std::size_t kMostUnderWay = 512;
    static constexpr std::uint64_t kMostOctetsUnderWay = 32u << 20;
    static constexpr std::uint32_t kMostUnsettled = 2'000;
    static constexpr const char* kSweepHeader = "x-postfleet-sweep";

    Work(BrokerTakeInPorts ports, std::string sender, config::TakeIn settings);

    void start();
    void reload(config::TakeIn settings);
    void stop(Completion<Status> done);
    std::string obstacle() const;

private:
    struct Item {
        wire::Handover handover;
        SharedOctets body;
        std::vector<TakeInSource> sources;  // that are not settled, and not the broker's again
        TakeInLane* lane = nullptr;         // where it waits, or waited
        bool is_under_way = false;
        std::uint64_t octets() const { return body->size(); }
        bool is_from_overflow() const { return lane->kind == TakeInLane::Kind::Overflow; }
    };

    // --- from the broker
    void open(TakeInLane& lane);
    void close(TakeInLane& lane);
    void on_delivery(TakeInLane& lane, BrokerDelivery&& delivery);
    void reject(TakeInSource source, BrokerMessage&& message, std::string reason);

    // --- to the spool and to the overflow queue
    void work();
    TakeInLane* next_lane();
    void start_next(TakeInLane& lane);
    void begin(const MessageId& id);
    std::vector<Task>::iterator first_over(std::vector<Task>& tasks) const;
    void turn_away(const MessageId& id);
    void commit(const MessageId& id);
    void hand_over(const MessageId& id);
    void wait_for_message(const MessageId& id);
    void overflow(const MessageId& id, SharedOctets body, const MessageId& as, UniqueFunction<void()> then);
    void split(const MessageId& id, std::vector<Task> over);
    void finish(const MessageId& id);
    void put_back(const MessageId& id, const Error& error);
    void count_done(Item& item);
    bool is_paused() const { return !held_.empty() || !unsupported_.empty() || full_; }
    bool has_room(std::string_view domain, std::string_view virtual_mta, double share) const;

    // --- when it may
    void tick();
    void watch_marks();
    void hold(std::string reason);
    void look_at_hold();
    void watch_overflow();
    void end_sweep(OverflowSweep::Ended how);
    void close_overflow_when_done();
    void give_back_waiting(TakeInLane& lane);
    void forget(TakeInLane& lane);
    void remember_places(const wire::Handover& handover);
    void pause_where_needed();
    void set_obstacle();
    void finish_stopping();
    void let_go(std::unique_ptr<BrokerConsumer> consumer, UniqueFunction<void()> then);
    // Runs on the executor of the take-in, if that still is.
    template <class Run>
    auto guarded(Run run) {
        return [self = weak_from_this(), run = std::move(run)](auto&&... values) mutable {
            if (const auto work = self.lock()) run(*work, std::forward<decltype(values)>(values)...);
        };
    }

    BrokerTakeInPorts ports_;
    const std::string sender_;
    config::TakeIn settings_;
    Counter &taken_, &overflowed_, &rejected_, &repeated_;
    Gauge& waiting_gauge_;

    std::array<TakeInLane, 3> lanes_;
    // That are stopping: a broker that hangs holds that up, and they must not outlast us.
    std::vector<std::unique_ptr<BrokerConsumer>> leaving_;
    std::unordered_map<MessageId, Item> items_;
    std::size_t under_way_ = 0, overflow_under_way_ = 0, rejecting_ = 0;
    std::uint64_t octets_under_way_ = 0;
    unsigned high_in_a_row_ = 0;
    std::size_t next_shard_ = 0;
    OverflowSweep sweep_;

    bool started_ = false, stopping_ = false, full_ = false;
    std::string held_, unsupported_;  // why; empty: not
    SteadyTime held_since_{};
    TimerId timer_, retry_;
    std::optional<Completion<Status>> stopped_;

    mutable std::mutex mutex_;  // of what other threads read
    std::string obstacle_;
};

}  // namespace postfleet::sender
