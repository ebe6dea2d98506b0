// Notices: of what the sender of a message is to be told by mail (RFC 3461 §5.2, §6.2, RFC 2852 §4).
//
//   failed    unless NOTIFY leaves it out
//   relayed   NOTIFY=SUCCESS, and the next server does not know DSN; by-trace, unless NOTIFY=NEVER
//   delayed   NOTIFY=DELAY, after delay_after; by-mode N, when its time has passed, unless NOTIFY leaves it out; once
//
// Whether it is told in fact is the Notifier's decision.
// Threads: pure functions. Time comes in as an argument.
#pragma once

#include <optional>
#include <vector>

#include "failure_policy.hpp"
#include "postfleet/dsn/notification.hpp"
#include "postfleet/mail/event.hpp"
#include "postfleet/mail/message.hpp"

namespace postfleet::sender {

// Of one recipient's result, by a server with these extensions; nothing: of nothing.
std::optional<dsn::Action> notice_for(const Recipient& recipient, const Message& message, Disposition disposition,
                                      Extensions offered);
dsn::RecipientStatus notice_of(dsn::Action action, const Event& event);

// Cheap: false for nearly all mail.
bool may_have_notice(const Message& message, const Task& task);
// When the sender is to be told that the task is late; nothing: never (any more).
std::optional<WallTime> notice_time(const Message& message, const Task& task, Duration delay_after);
// That time is over: what it is to be told. Recipients are marked as told of, and the task gets its next time.
std::vector<dsn::RecipientStatus> take_late_notices(Task& task, const Message& message, Duration delay_after,
                                                    WallTime now);

}  // namespace postfleet::sender
