#include "postfleet/runtime/watchdog.hpp"

#include "postfleet/base/time.hpp"

namespace postfleet::runtime {

Watchdog::Watchdog(std::vector<Executor*> shards, Duration limit, Metrics& metrics)
    : shards_(std::move(shards)), limit_(limit), checked_(steady_clock_now()) {
    for (const Executor* shard : shards_) {
        auto question = std::make_shared<Question>();
        question->latency_microseconds =
            &metrics.gauge("postfleet_shard_latency_microseconds",
                           "How long the event loop took to get round to a task, at the last check.",
                           {{"shard", std::to_string(shard->shard())}});
        questions_.push_back(std::move(question));
    }
}

void Watchdog::check(SteadyTime now) {
    checked_.store(now, std::memory_order_relaxed);
    for (std::size_t i = 0; i < shards_.size(); ++i) {
        const std::shared_ptr<Question>& question = questions_[i];
        if (question->asked.load(std::memory_order_acquire) != SteadyTime{}) continue;
        question->asked.store(now, std::memory_order_release);
        shards_[i]->post([question, now] {
            const auto took = std::chrono::duration_cast<std::chrono::microseconds>(steady_clock_now() - now);
            question->latency_microseconds->set(took.count());
            question->asked.store(SteadyTime{}, std::memory_order_release);
        });
    }
}

std::vector<std::string> Watchdog::stalled(SteadyTime now) const {
    std::vector<std::string> found;
    const auto complain = [&](const std::string& who, SteadyTime since) {
        if (now - since < limit_) return;
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now - since);
        found.push_back(who + " has not answered for " + format_duration(seconds));
    };
    for (std::size_t i = 0; i < shards_.size(); ++i) {
        const SteadyTime asked = questions_[i]->asked.load(std::memory_order_acquire);
        if (asked != SteadyTime{}) complain("shard " + std::to_string(shards_[i]->shard()), asked);
    }
    complain("the main thread", checked_.load(std::memory_order_relaxed));
    return found;
}

}  // namespace postfleet::runtime
