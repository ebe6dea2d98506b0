// OrderSweeps: goes through the waiting mail, for what an order (or a retry, or a count) is about.
//
//   look at one slice of a queue ─▶ read what its tasks do not tell ─▶ claim, hold or wake ─▶ next slice … next queue
//
// One slice of one sweep at a time, and then others have their turn, so a million messages stall nothing: a slice is
// 1,024 places, and what it claims is recorded before much more is claimed. What an order is about can be missed by one
// pass: it was in flight, or on its way from one queue into another. So passes are made until those that were in flight
// at the first have come back, and one pass has found nothing; then a one-time order is finished. In the meantime the
// order is in force, so nothing it is about is sent.
//
// Threads: confined to the first shard. Mail that comes or goes while a sweep is at work is the OrderBook's.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "engine.hpp"

namespace postfleet::sender {

class OrderSweeps final {
public:
    static constexpr Duration kRest = std::chrono::milliseconds(20);  // while outcomes are being recorded
    static constexpr Duration kLookAgain = std::chrono::milliseconds(100);

    // `finished`: a one-time order has been carried out on all that it was about.
    OrderSweeps(Engine& engine, std::function<void(const OrderPointer&)> finished)
        : engine_(engine), finished_(std::move(finished)) {}

    // The order is in the book. It is dropped when it is not any more.
    void apply(const OrderPointer& order);
    // What this pause held goes on; it is not in the book any more.
    void release(const OrderPointer& order);
    void retry(const Selection& which, Completion<Result<MailCount>> done);
    void count(const Selection& which, Completion<Result<MailCount>> done);

private:
    struct Sweep;
    using SweepPointer = std::shared_ptr<Sweep>;  // the line, reads and timers hold it in turn

    void enter(SweepPointer sweep);
    void enter_later(SweepPointer sweep, Duration wait);
    void run_next();
    bool is_over(const Sweep& sweep) const;
    void begin_pass(Sweep& sweep);
    void look(const SweepPointer& sweep);
    void read(const SweepPointer& sweep, std::shared_ptr<Queue> queue, std::vector<Queue::Found> found);
    void act(Sweep& sweep, const std::shared_ptr<Queue>& queue, const std::vector<Queue::Found>& found);
    void go_on(SweepPointer sweep);
    void end_pass(SweepPointer sweep);

    Shard& shard() { return *engine_.shards[0]; }

    Engine& engine_;
    const std::function<void(const OrderPointer&)> finished_;
    std::deque<SweepPointer> line_;
    bool is_posted_ = false;
};

}  // namespace postfleet::sender
