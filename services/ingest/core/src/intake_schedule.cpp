// When mail may be sent, and until when: FUTURERELEASE, BY, X-Schedule and the variable *schedule, in Intake.
#include <algorithm>
#include <utility>

#include "postfleet/ingest/intake.hpp"
#include "postfleet/mail/delivery_windows.hpp"

namespace postfleet::ingest {

// A time that has passed already is now. What must be delivered by a time counts from when it may be (RFC 4865 §5).
bool Intake::take_schedule(const smtp::MailSchedule& schedule, Message& message) {
    message.mt_priority = schedule.priority;
    if (schedule.hold_for) message.send_at = now() + *schedule.hold_for;
    if (schedule.hold_until && *schedule.hold_until > now()) message.send_at = *schedule.hold_until;
    if (message.send_at && *message.send_at > now() + schedule_offer(rules_->session.schedule).max_hold) return false;
    if (const auto& by = schedule.deliver_by) {
        message.deliver_by = DeliverBy{message.send_at.value_or(now()) + by->after, by->mode, by->trace};
        if (by->mode == DeliverBy::Mode::Return) message.expires_at = message.deliver_by->time;
    }
    return true;
}

std::optional<smtp::Decision> Intake::take_windows(std::string_view text) {
    if (text.empty()) return std::nullopt;
    if (text.size() >= kMaxSchedule) return refuse(Reason::MalformedMessage, 550, {5, 6, 0}, "X-Schedule: too long");
    auto windows = parse_delivery_windows(text);
    if (!windows) return refuse(Reason::MalformedMessage, 550, {5, 6, 0}, "X-Schedule: " + windows.error().text);
    if (!next_in_windows(*windows, message_->send_at.value_or(now()))) {
        return refuse(Reason::MalformedMessage, 550, {5, 4, 7}, "X-Schedule: the last window is over");
    }
    message_->windows = std::move(*windows);
    return std::nullopt;
}

// Tried first when the first window opens, and no more when the last one has closed. What expires by itself does so
// `expire_after` after the last one has opened.
Intake::Times Intake::times_within(std::span<const DeliveryWindow> windows) const {
    const WallTime from = message_->send_at.value_or(message_->accepted_at);
    Times times{.due = from, .counts_from = from, .expires_at = message_->expires_at};
    if (!windows.empty()) {
        times.due = next_in_windows(windows, from).value_or(from);
        times.counts_from = std::max(times.due, windows.back().begin);
        times.expires_at = std::min(times.expires_at.value_or(windows.back().end), windows.back().end);
    }
    if (rules_->expiry_counts_from == config::ExpiryCountsFrom::Acceptance) {
        times.counts_from = message_->accepted_at;
    }
    return times;
}

void Intake::set_times(std::vector<Task>& tasks) {
    const Times usual = times_within(message_->windows);
    for (Task& task : tasks) {
        Times times = usual;
        if (const auto own = task.recipients.front().variables.find("*schedule")) {
            if (const auto windows = parse_delivery_windows(*own)) times = times_within(*windows);
        }
        task.due = times.due;
        task.accepted_at = times.counts_from;
        task.expires_at = times.expires_at;
    }
    if (message_->windows.empty()) return;
    if (usual.due > message_->accepted_at) message_->send_at = usual.due;
    message_->expires_at = usual.expires_at;
}

}  // namespace postfleet::ingest
