// Mail that leaves its virtual MTA: out of a queue in backoff (backoff.reroute_to), above the limit of a warm-up day,
// because its pool chooses again after an attempt, or by an order (engine_orders.cpp).
//
// The virtual MTA is part of the stored task, so a move is durable before the task is in its new queue.

#include <algorithm>
#include <utility>

#include "engine.hpp"

namespace postfleet::sender {

namespace {

constexpr std::string_view kWarmUpNote = "warm-up/";  // warm-up/<site>/<virtual MTA> → WarmUp::note()
// Of a task, between two attempts; then it stays where it is until it has been tried.
constexpr std::uint8_t kMostReroutes = 8;
// Before a queue looks again whether its mail may go elsewhere.
constexpr Duration kStays = std::chrono::seconds(10);
constexpr Duration kWritesAgain = std::chrono::seconds(1);

}  // namespace

// --- whoever moves it ----------------------------------------------------------------------------------

void Engine::Identity::bind(Task& task) const {
    const std::string pool = virtual_mta == target ? std::string() : target;
    task.virtual_mta = virtual_mta;
    task.pool = pool;
}

void Engine::with_facts(std::vector<Work>&& works, UseFacts use, Shard& shard) {
    std::vector<TaskKey> keys;
    auto unknown = std::make_shared<std::vector<Work>>();  // shared: the completion is moved about
    for (Work& work : works) {
        if (work.hot) {
            (this->*use)(std::move(work), shard);
        } else {
            keys.push_back(work.key);
            unknown->push_back(std::move(work));
        }
    }
    if (keys.empty()) return;
    count_unrecorded(static_cast<std::ptrdiff_t>(keys.size()));  // what is being read counts, too
    dependencies.spool.load_facts(
        std::move(keys), {shard.executor, [this, &shard, use, unknown](Result<std::vector<Spool::Loaded>> loaded) {
                              const Error failed =
                                  loaded ? Error{ErrorKind::Corruption, "the task or its message cannot be read"}
                                         : loaded.error();
                              std::size_t next = 0;
                              for (Work& work : *unknown) {
                                  // They come in the order of the keys; those that are missing are left out.
                                  if (loaded && next < loaded->size() && (*loaded)[next].task.key == work.key) {
                                      work.hot = std::make_unique<HotTask>();
                                      work.hot->task = std::move((*loaded)[next].task);
                                      work.hot->message = std::move((*loaded)[next].message);
                                      ++next;
                                      (this->*use)(std::move(work), shard);
                                  } else {
                                      give_up_unreadable(std::move(work), failed, shard);
                                  }
                              }
                              count_unrecorded(-static_cast<std::ptrdiff_t>(unknown->size()));
                          }});
}

// --- out of backoff, above the warm-up limit -----------------------------------------------------------

void Engine::move_on(Work&& work, Shard& shard) {
    if (work.queue->is_warm_up_used_up(shard.executor->wall_now()) &&
        !has_somewhere_else(*work.queue, shard.executor->wall_now())) {
        const auto queue = work.queue;
        return queue->on_cannot_move(std::move(work), shard.executor->now() + kStays, shard);
    }
    std::vector<Work> one;
    one.push_back(std::move(work));
    // Not from here: a thousand tasks would be a thousand frames deep.
    count_unrecorded(+1);
    shard.executor->post([this, &shard, works = std::make_shared<std::vector<Work>>(std::move(one))] {
        with_facts(std::move(*works), &Engine::move_known, shard);
        count_unrecorded(-1);
    });
}

void Engine::move_known(Work&& work, Shard& shard) {
    const std::shared_ptr<Queue> queue = work.queue;
    Task& task = work.hot->task;
    const WallTime now = shard.executor->wall_now();
    const bool is_used_up = queue->is_warm_up_used_up(now);
    Identity to;
    if (is_used_up) to = {warmer_than(*queue, task.pool, shard), task.pool};
    else if (task.reroutes < kMostReroutes) to = rerouted_to(*queue, shard);
    if (to.virtual_mta.empty()) {
        if (is_used_up) return queue->put_aside(std::move(work), WarmUp::next_day(now), shard);
        return queue->on_cannot_move(std::move(work), shard.executor->now() + kStays, shard);
    }
    if (!is_used_up) ++task.reroutes;
    to.bind(task);
    const auto message = work.hot->message;
    Outcome moved;
    moved.remaining.push_back(std::move(task));
    record(std::move(work), std::move(moved), *message, shard);
}

// Follows backoff.reroute_to from queue to queue of the same site, as long as they are in backoff, too. Empty: it leads
// back to a queue where it has been, so mail stays where it is.
Engine::Identity Engine::rerouted_to(const Queue& queue, Shard& shard) const {
    const auto names = routing();
    std::vector<std::string> visited{queue.virtual_mta->name};
    Identity to{{}, queue.settings()->backoff_reroute_to.text};
    while (!to.target.empty()) {
        const std::vector<std::string_view> excluded(visited.begin(), visited.end());
        to.virtual_mta =
            names->choose_from_pool(to.target, excluded, shard.random());  // a virtual MTA is a pool of one
        if (to.virtual_mta.empty()) return {};
        const auto at = queues.find(queue.site, to.virtual_mta);
        if (!at || !at->is_in_backoff() || at->settings()->backoff_reroute_to.text.empty()) return to;
        visited.push_back(to.virtual_mta);
        to.target = at->settings()->backoff_reroute_to.text;
    }
    return {};
}

// Whether any pool of this virtual MTA has a member that may send more today. Spares reading mail that cannot move.
bool Engine::has_somewhere_else(const Queue& queue, WallTime now) const {
    const auto config = configuration();
    const auto names = routing();
    const std::string& here = queue.virtual_mta->name;
    return std::any_of(config->pools.begin(), config->pools.end(), [&](const auto& pool) {
        const auto& members = pool.second.members;
        const auto is_here = [&](const auto& member) { return member.first == here; };
        if (std::none_of(members.begin(), members.end(), is_here)) return false;
        return std::any_of(members.begin(), members.end(), [&](const auto& member) {
            if (member.first == here || names->choose_from_pool(member.first, {}, 0).empty()) return false;
            const auto at = queues.find(queue.site, member.first);
            return !at || !at->is_warm_up_used_up(now);
        });
    });
}

// A member of the pool that may send more today.
std::string Engine::warmer_than(const Queue& queue, const std::string& pool, Shard& shard) const {
    if (pool.empty()) return {};
    const auto routing = this->routing();
    std::vector<std::string> excluded{queue.virtual_mta->name};
    for (;;) {
        const std::vector<std::string_view> views(excluded.begin(), excluded.end());
        const std::string next(routing->choose_from_pool(pool, views, shard.random()));
        if (next.empty()) return {};
        const auto at = queues.find(queue.site, next);
        if (!at || !at->is_warm_up_used_up(shard.executor->wall_now())) return next;
        excluded.push_back(next);
    }
}

void Engine::choose_again(std::vector<Task>& tasks, const Queue& queue, Shard& shard) const {
    if (!chooses_again_.load(std::memory_order_relaxed)) return;
    const auto config = configuration();
    const auto routing = this->routing();
    for (Task& task : tasks) {
        const auto pool = config->pools.find(task.pool);
        if (pool == config->pools.end()) continue;
        const bool is_time = pool->second.rechoose == config::Rechoose::EveryAttempt ||
                             (pool->second.rechoose == config::Rechoose::OnBackoff && queue.is_in_backoff());
        if (!is_time) continue;
        const std::string_view current = task.virtual_mta;
        const std::string_view next = routing->choose_from_pool(task.pool, std::span(&current, 1), shard.random());
        if (!next.empty()) task.virtual_mta = std::string(next);
    }
}

// --- warm-up -------------------------------------------------------------------------------------------

void Engine::keep_warm_up(std::shared_ptr<Queue> queue, std::string&& note) {
    Shard& shard = *shards[0];
    const std::string name = std::string(kWarmUpNote) + queue->name;
    dependencies.spool.put_note(name, std::move(note),
                                {shard.executor, [queue = std::move(queue), &shard](Status status) {
                                     if (status) return queue->on_warm_up_kept(WarmUp::Kept::Yes, shard);
                                     shard.executor->schedule_at(shard.executor->now() + kWritesAgain, [queue, &shard] {
                                         queue->on_warm_up_kept(WarmUp::Kept::No, shard);
                                     });
                                 }});
}

// Counts of virtual MTAs that are warm by now are forgotten.
void Engine::restore_warm_ups() {
    for (const auto& [name, value] : dependencies.spool.notes()) {
        if (!name.starts_with(kWarmUpNote) || value.empty()) continue;
        const std::string queue = name.substr(kWarmUpNote.size());
        const std::size_t slash = queue.rfind('/');
        if (slash == std::string::npos) continue;
        const std::string site = queue.substr(0, slash), virtual_mta = queue.substr(slash + 1);
        if (settings_of(site, virtual_mta)->warm_up.values.empty()) {
            dependencies.spool.put_note(name, "", {shards[0]->executor, [](Status) {}});
        } else {
            queues.find_or_make(site, virtual_mta)->restore_warm_up(value);
        }
    }
}

}  // namespace postfleet::sender
