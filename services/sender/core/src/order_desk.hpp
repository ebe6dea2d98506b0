// OrderDesk: takes orders, keeps them, has them carried out, and ends them.
//
//   give ─▶ checked ─▶ stored (durable) ─▶ in the book: in force ─▶ answered; swept ─▶ finished (one-time orders)
//   withdraw, expiry ─▶ out of the book and the store ─▶ what a pause held goes on
//
// That an order is finished is told to the store until it knows: in a cluster it may be away for a while.
//
// Finished orders are kept for kKeepFinished, to be looked up, at most kMostFinished of them. What another sender of the
// cluster has still to carry out stays in the store beyond that, until kWaitForOthers after it was given: that sender may
// be down.
//
// Threads: confined to the first shard, except restore() and resume_sweeps(), which come before traffic.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "engine.hpp"
#include "order_sweeps.hpp"
#include "postfleet/ports/state_store.hpp"

namespace postfleet::sender {

class OrderDesk final {
public:
    static constexpr Duration kKeepFinished = std::chrono::hours(7 * 24);
    static constexpr Duration kWaitForOthers = std::chrono::hours(30 * 24);
    static constexpr std::size_t kMostFinished = 1'000;
    static constexpr std::size_t kMostAtOnce = 1'000;  // that a router takes in one request
    static constexpr std::size_t kMostText = 1'000;    // octets of a name, reason or pattern
    static constexpr Duration kLongestSleep = std::chrono::minutes(1);
    static constexpr Duration kReportAgain = std::chrono::seconds(5);

    explicit OrderDesk(Engine& engine);

    // Before the spool is read: the orders of earlier are in force for what it has.
    Status restore();
    // After that: what was not finished goes on.
    void resume_sweeps();
    // Virtual MTAs and pools may be others.
    void on_reload();

    void give(std::vector<Order> orders, Completion<Result<std::vector<Order>>> done);
    void withdraw(std::vector<OrderId> ids, Completion<Result<std::vector<Order>>> done);
    // What was given and withdrawn elsewhere: at another sender of the cluster, or at a router. It is in the store.
    void follow(const OrderChanges& changes);
    std::vector<Order> list(const OrderFilter& filter) const;
    OrderSweeps& sweeps() { return sweeps_; }

private:
    Status check(Order& order) const;
    Status check_move(const Order& order, const Selection& selection) const;
    Result<std::shared_ptr<ActiveOrder>> activate(Order order) const;
    std::vector<std::string> targets_of(const std::string& name) const;
    std::vector<std::string> targets_here(const std::string& name) const;  // those that its mail may end at
    void add(const OrderPointer& order);
    bool is_known(OrderId id) const;
    void follow_removals(const OrderChanges& changes);
    void follow_progress(const Order& order);
    std::vector<OrderId> missing_in(const std::vector<Order>& all);
    void put_in_force(const OrderPointer& order);
    void end(const OrderPointer& order);  // out of the book
    void finish(const OrderPointer& order, std::string_view how);
    void report_next();
    void keep_finished(Order order);
    void forget_old(WallTime now);
    void set_timer();
    void on_timer();
    void log(std::string_view what, const Order& order) const;
    Executor& executor() const { return *engine_.shards[0]->executor; }

    Engine& engine_;
    OrderSweeps sweeps_;
    std::deque<Order> finished_;                       // oldest first
    OrderId newest_heard_ = kNoOrder;                  // of the store: a younger one was given here a moment ago
    std::map<OrderId, WallTime> elsewhere_;            // finished here, perhaps not by others; and when it was given
    bool is_following_ = false;                        // there may be others
    std::deque<Order> unreported_;                     // finished, and the store does not know it; one after the other
    std::set<std::pair<WallTime, OrderId>> expiries_;  // also of orders that were withdrawn meanwhile
    TimerId timer_;
};

}  // namespace postfleet::sender
