// What reply patterns and modes do to whole queues.

#include <charconv>
#include <memory>
#include <optional>
#include <utility>

#include "engine.hpp"

namespace postfleet::sender {

namespace {

constexpr std::string_view kModeNote = "backoff/";  // backoff/<site>/<virtual MTA> → since, until, reason

constexpr Duration kReenableAfter = std::chrono::hours(24);

std::optional<WallTime> parse_time(std::string_view microseconds) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(microseconds.data(), microseconds.data() + microseconds.size(), value);
    if (error != std::errc() || end != microseconds.data() + microseconds.size()) return std::nullopt;
    return value == 0 ? schedule::kNever : from_unix_microseconds(value);
}

std::string show_time(WallTime time) {
    return time == schedule::kNever ? "0" : std::to_string(to_unix_microseconds(time));
}

}  // namespace

std::shared_ptr<const ReplyRules> Engine::reply_rules() const {
    if (!has_reply_rules_.load(std::memory_order_relaxed)) return nullptr;
    const std::lock_guard lock(mutex_);
    return reply_rules_;
}

void Engine::carry_out(const Reaction& reaction, const std::shared_ptr<Queue>& queue, const OpenFailure& refusal,
                       Shard& shard) {
    if (reaction.is_nothing()) return;
    const std::string why = refusal.reply.to_string() + "; " + reaction.rule;
    if (reaction.disable_source) {
        if (const auto source = IpAddress::parse(refusal.source_address)) {
            const Duration rest = reaction.reenable_after.value_or(kReenableAfter);
            VirtualMta::Ban ban{queue->site, *source, why};
            ban.until = shard.executor->wall_now() + std::chrono::ceil<WallTime::duration>(rest);
            ban.ends_at = shard.executor->now() + rest;
            disable_source(queue->virtual_mta, std::move(ban), shard, [](Status) {});
        }
    }
    if (reaction.mode) queue->set_mode(*reaction.mode, why, shard);
    if (reaction.defer_queue) queue->defer_all(why, shard);
    if (reaction.bounce_queue) {
        dependencies.log.line(LogLevel::Warning, "queue-bounced").field("queue", queue->name).field("reason", why);
        bounce_waiting(queue, std::make_shared<const OpenFailure>(refusal), 0, shard);
    }
}

void Engine::react_to(const OpenFailure& refusal, const std::shared_ptr<Queue>& queue, Shard& shard) {
    if (const auto rules = reply_rules()) {
        carry_out(rules->react(refusal.reply, refusal.phase, {queue->site, queue->virtual_mta->name, {}, {}}), queue,
                  refusal, shard);
    }
}

// Slice by slice, so that nothing else waits, and no faster than outcomes are recorded.
void Engine::bounce_waiting(const std::shared_ptr<Queue>& queue, const std::shared_ptr<const OpenFailure>& refusal,
                            std::uint32_t from, Shard& shard) {
    const Selection everything = Selection::parse({.everything = true}).value();
    do {
        if (unrecorded() > kMaxUnrecorded / 2) {
            shard.executor->schedule_at(
                shard.executor->now() + std::chrono::milliseconds(20),
                [this, queue, refusal, from, &shard] { bounce_waiting(queue, refusal, from, shard); });
            return;
        }
        for (Work& work : queue->claim(queue->look(everything, from).waiting)) {
            Untried bounced;
            bounced.disposition = Disposition::Bounced;
            bounced.failure = *refusal;
            finish_untried(std::move(work), std::move(bounced), shard);
        }
    } while (from != 0);
}

// --- modes ---------------------------------------------------------------------------------------------

void Engine::report_mode(const Queue& queue, const Queue::ModeState& state, Shard& shard) {
    const bool entered = state.mode == QueueMode::Backoff;
    auto line = dependencies.log.line(entered ? LogLevel::Warning : LogLevel::Info,
                                      entered ? "backoff-entered" : "backoff-left");
    line.field("queue", queue.name).field("reason", state.reason);
    if (state.until != schedule::kNever) line.field("until", format_rfc3339(state.until));
    Event event;
    event.type = entered ? EventType::QueueBackoffEntered : EventType::QueueBackoffLeft;
    event.time = state.since;
    event.id = hash_event_id(std::string(to_string(event.type)) + '\n' + queue.name + '\n' +
                             std::to_string(to_unix_microseconds(event.time)));
    event.queue = queue.name;
    event.virtual_mta = queue.virtual_mta->name;
    event.reason = state.reason;
    if (state.until != schedule::kNever) event.next_attempt_at = state.until;
    shard.recorder->pending().events.push_back(std::move(event));
    shard.recorder->add({});
    std::string note;  // an empty one is none
    if (entered) {
        note = show_time(state.since) + ' ' + show_time(state.until) + ' ' + state.reason;
    }
    dependencies.spool.put_note(std::string(kModeNote) + queue.name, std::move(note), {shard.executor, [](Status) {}});
}

void Engine::restore_modes() {
    for (const auto& [name, value] : dependencies.spool.notes()) {
        if (!name.starts_with(kModeNote) || value.empty()) continue;
        const std::string queue = name.substr(kModeNote.size());
        const std::size_t slash = queue.rfind('/');
        const std::size_t first = value.find(' ');
        const std::size_t second = first == std::string::npos ? first : value.find(' ', first + 1);
        if (slash == std::string::npos || second == std::string::npos) continue;
        const auto since = parse_time(std::string_view(value).substr(0, first));
        const auto until = parse_time(std::string_view(value).substr(first + 1, second - first - 1));
        if (!since || !until) continue;
        queues.find_or_make(queue.substr(0, slash), queue.substr(slash + 1))
            ->restore_backoff({QueueMode::Backoff, *since, *until, value.substr(second + 1)});
    }
}

}  // namespace postfleet::sender
