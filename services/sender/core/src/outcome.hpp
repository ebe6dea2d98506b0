// Outcome: what one attempt did to one task, ready to be recorded: events, what is left of the task, what goes.
//
//   task {a, b, c} ─ a delivered, b deferred, c bounced ─▶ events for a, b, c; task {b} with its new due time
//
// Recipients that go again at different times part into tasks of their own. The number of a task is the index
// of its first recipient: recipients belong to one task at a time, so numbers never collide, and no counter
// is shared among shards.
//
// Threads: pure functions and values. Time comes in as an argument.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "failure_policy.hpp"
#include "postfleet/bounce/classifier.hpp"
#include "postfleet/config/config.hpp"
#include "postfleet/dsn/notification.hpp"
#include "postfleet/mail/event.hpp"
#include "postfleet/mail/message.hpp"

namespace postfleet::sender {

// What happened to one recipient. `reply` and `reason` are borrowed for the call of settle().
struct RecipientResult {
    Disposition disposition = Disposition::NotTried;
    SmtpPhase phase = SmtpPhase::None;
    const Reply* reply = nullptr;  // null: nobody answered anything (expired, cancelled)
    std::string_view reason;       // "expired …", "deleted by …"
    std::optional<Duration> wait;  // Deferred: instead of the retry list
    bool in_doubt = false;         // the server may have taken it
};

// What is the same for all recipients of the attempt.
struct AttemptContext {
    std::string_view queue;  // "site/vmta"
    std::string_view mx_host, mx_address, source_address, tls;
    Extensions offered = 0;
    Duration elapsed{};
    WallTime now{};
    WallTime expires{};
    std::span<const Duration> retry_after;
    const bounce::Classifier* classifier = nullptr;  // null: by the shipped patterns alone
};

struct OutcomeCounts {
    std::uint32_t delivered = 0, deferred = 0, bounced = 0, expired = 0, cancelled = 0, suppressed = 0,
                  rendering_failed = 0;
};

struct Outcome {
    std::vector<Event> events;
    std::vector<dsn::RecipientStatus> notices;  // what the message's sender may be told by mail (RFC 3461 §5.2)
    std::vector<Task> remaining;                // to be put back; empty: the task is done
    OutcomeCounts counts;
};

// `results` are for task.recipients, position by position; recipients behind its end were not tried.
Outcome settle(Task&& task, const std::shared_ptr<const Message>& message, std::span<const RecipientResult> results,
               const AttemptContext& context);

}  // namespace postfleet::sender
