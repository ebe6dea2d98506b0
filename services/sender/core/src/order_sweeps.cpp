#include "order_sweeps.hpp"

#include <algorithm>
#include <utility>

namespace postfleet::sender {

struct OrderSweeps::Sweep {
    enum class Aim : std::uint8_t { Apply, Release, Retry, Count };

    Aim aim = Aim::Count;
    OrderPointer order;  // Apply, Release
    Selection selection;
    Completion<Result<MailCount>> done;  // Retry, Count

    std::vector<std::shared_ptr<Queue>> queues;  // to be looked at in this pass; the last one comes next
    std::uint32_t from = 0;                      // where its next slice begins
    bool has_some = false;                       // it has such mail
    unsigned pass = 0;
    bool is_clean = true;  // this pass found nothing to do
    struct InFlight {
        std::shared_ptr<Queue> queue;
        Queue::Found task;
    };
    std::vector<InFlight> in_flight;  // as the first pass saw them; no more than there are transactions
    MailCount found;
};

// --- beginning -----------------------------------------------------------------------------------------

void OrderSweeps::apply(const OrderPointer& order) {
    enter(std::make_shared<Sweep>(Sweep{.aim = Sweep::Aim::Apply, .order = order, .selection = order->selection}));
}

void OrderSweeps::release(const OrderPointer& order) {
    enter(std::make_shared<Sweep>(Sweep{.aim = Sweep::Aim::Release, .order = order, .selection = order->selection}));
}

void OrderSweeps::retry(const Selection& which, Completion<Result<MailCount>> done) {
    enter(std::make_shared<Sweep>(
        Sweep{.aim = Sweep::Aim::Retry, .order = nullptr, .selection = which, .done = std::move(done)}));
}

void OrderSweeps::count(const Selection& which, Completion<Result<MailCount>> done) {
    enter(std::make_shared<Sweep>(
        Sweep{.aim = Sweep::Aim::Count, .order = nullptr, .selection = which, .done = std::move(done)}));
}

// --- in turn -------------------------------------------------------------------------------------------

void OrderSweeps::enter(SweepPointer sweep) {
    line_.push_back(std::move(sweep));
    if (std::exchange(is_posted_, true)) return;
    shard().executor->post([this] { run_next(); });
}

void OrderSweeps::enter_later(SweepPointer sweep, Duration wait) {
    shard().executor->schedule_at(shard().executor->now() + wait,
                                  [this, sweep = std::move(sweep)]() mutable { enter(std::move(sweep)); });
}

void OrderSweeps::run_next() {
    is_posted_ = false;
    if (line_.empty()) return;
    SweepPointer sweep = std::move(line_.front());
    line_.pop_front();
    if (!line_.empty()) {
        is_posted_ = true;
        shard().executor->post([this] { run_next(); });
    }
    if (is_over(*sweep)) {
        if (sweep->done.on != nullptr) {
            sweep->done.on->post([sweep] { sweep->done.run(Error{ErrorKind::Cancelled, "the sender is stopping"}); });
        }
        return;
    }
    // What is claimed while nothing is recorded piles up in memory.
    if (sweep->aim == Sweep::Aim::Apply && engine_.unrecorded() > Engine::kMaxUnrecorded / 2) {
        return enter_later(std::move(sweep), kRest);
    }
    if (sweep->pass == 0) begin_pass(*sweep);
    look(sweep);
}

// Orders stay for the next process.
bool OrderSweeps::is_over(const Sweep& sweep) const {
    if (engine_.is_draining()) return true;
    return sweep.aim == Sweep::Aim::Apply && engine_.orders.get(sweep.order->order.id) != sweep.order;
}

void OrderSweeps::begin_pass(Sweep& sweep) {
    ++sweep.pass;
    sweep.is_clean = true;
    sweep.from = 0;
    sweep.has_some = false;
    for (const auto& queue : engine_.queues.all()) {
        if (sweep.selection.covers_queue(queue->site, queue->virtual_mta->name)) sweep.queues.push_back(queue);
    }
}

void OrderSweeps::look(const SweepPointer& sweep) {
    if (sweep->queues.empty()) return end_pass(sweep);
    const auto queue = sweep->queues.back();
    if (sweep->aim == Sweep::Aim::Release) {
        queue->release(sweep->order->number(), sweep->from, shard().executor->wall_now());
        queue->pump(shard(), Queue::Spread::AllShards);
        return go_on(sweep);
    }
    Queue::Slice slice = queue->look(sweep->selection, sweep->from);
    sweep->is_clean &= !slice.has_claimed;
    if (sweep->pass == 1 && sweep->aim == Sweep::Aim::Apply && !sweep->order->is_pause()) {
        for (const Queue::Found& task : slice.in_flight) sweep->in_flight.push_back({queue, task});
    }
    // A count is of all that is queued.
    if (sweep->aim == Sweep::Aim::Count) {
        std::move(slice.in_flight.begin(), slice.in_flight.end(), std::back_inserter(slice.waiting));
    }
    if (sweep->selection.needs_reading() && !slice.waiting.empty()) {
        return read(sweep, queue, std::move(slice.waiting));
    }
    act(*sweep, queue, slice.waiting);
    go_on(sweep);
}

void OrderSweeps::read(const SweepPointer& sweep, std::shared_ptr<Queue> queue, std::vector<Queue::Found> found) {
    std::vector<TaskKey> keys;
    keys.reserve(found.size());
    for (const Queue::Found& task : found) keys.push_back(task.key);
    engine_.dependencies.spool.load_facts(
        std::move(keys),
        {shard().executor, [this, sweep, queue = std::move(queue),
                            found = std::move(found)](Result<std::vector<Spool::Loaded>> loaded) mutable {
             if (!loaded) {  // not now
                 sweep->is_clean = false;
                 return go_on(sweep);
             }
             std::vector<Queue::Found> covered;
             std::size_t at = 0;
             for (const Spool::Loaded& stored : *loaded) {
                 while (at < found.size() && found[at].key != stored.task.key) ++at;
                 if (at == found.size()) break;
                 Queue::Found& task = found[at];
                 const auto n = std::count_if(
                     stored.task.recipients.begin(), stored.task.recipients.end(),
                     [&](const Recipient& recipient) { return sweep->selection.covers_recipient(recipient); });
                 if (n == 0 || !sweep->selection.covers_stored(stored.task, *stored.message)) continue;
                 task.recipients = static_cast<std::uint32_t>(n);
                 covered.push_back(task);
             }
             act(*sweep, queue, covered);
             go_on(sweep);
         }});
}

void OrderSweeps::act(Sweep& sweep, const std::shared_ptr<Queue>& queue, const std::vector<Queue::Found>& found) {
    if (found.empty()) return;
    sweep.has_some = true;
    sweep.found.tasks += found.size();
    for (const Queue::Found& task : found) sweep.found.recipients += task.recipients;
    switch (sweep.aim) {
        case Sweep::Aim::Count:
        case Sweep::Aim::Release: break;
        case Sweep::Aim::Retry: queue->wake(found, shard().executor->wall_now()); break;
        case Sweep::Aim::Apply:
            if (sweep.order->order.action == OrderAction::Move && sweep.order->has_moved(queue->virtual_mta->name)) {
                break;
            }
            // What names single recipients may have to part a task, so it is looked at as a whole.
            if (sweep.order->is_pause() && sweep.selection.selector().recipient.empty()) {
                queue->hold(found, sweep.order->number());
                break;
            }
            std::vector<Work> claimed = queue->claim(found);
            if (!claimed.empty()) sweep.is_clean = false;
            engine_.obey(std::move(claimed), shard());
            break;
    }
}

void OrderSweeps::go_on(SweepPointer sweep) {
    if (sweep->from == 0 && !sweep->queues.empty()) {  // this queue is through
        if (sweep->has_some) {
            ++sweep->found.queues;
            if (sweep->aim == Sweep::Aim::Retry) sweep->queues.back()->end_rests(shard());
        }
        sweep->has_some = false;
        sweep->queues.pop_back();
    }
    enter(std::move(sweep));
}

void OrderSweeps::end_pass(SweepPointer sweep) {
    if (sweep->done.on != nullptr) {
        Executor& on = *sweep->done.on;
        on.post([sweep] { sweep->done.run(sweep->found); });
        return;
    }
    if (sweep->aim == Sweep::Aim::Release || sweep->order->is_pause()) return;
    std::erase_if(sweep->in_flight, [](const auto& item) { return !item.queue->is_in_flight(item.task); });
    if (!sweep->in_flight.empty()) return enter_later(std::move(sweep), kLookAgain);
    if (sweep->pass > 1 && sweep->is_clean) {
        if (!sweep->order->order.is_standing()) finished_(sweep->order);
        return;
    }
    begin_pass(*sweep);
    enter_later(std::move(sweep), kRest);
}

}  // namespace postfleet::sender
