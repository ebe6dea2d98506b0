#include "notices.hpp"

#include <algorithm>

#include "postfleet/mail/delivery_windows.hpp"

namespace postfleet::sender {

namespace {

bool wants(const Recipient& recipient, std::uint8_t what) { return (recipient.notify & what) != 0; }
bool allows(const Recipient& recipient, std::uint8_t what) { return recipient.notify == 0 || wants(recipient, what); }

bool is_by_time(const Message& message) {
    return message.deliver_by && message.deliver_by->mode == DeliverBy::Mode::Notify;
}

WallTime first_due_of(const Recipient& recipient, const Message& message) {
    const WallTime at = message.send_at.value_or(message.accepted_at);
    const auto own = recipient.variables.find("*schedule");
    if (!own) return at;
    const auto windows = parse_delivery_windows(*own);
    return windows ? next_in_windows(*windows, at).value_or(at) : at;
}

std::optional<WallTime> notice_time_of(const Recipient& recipient, const Message& message, Duration delay_after) {
    if (recipient.delayed_notices > 0) return std::nullopt;
    std::optional<WallTime> at;
    if (wants(recipient, kNotifyDelay)) {
        at = first_due_of(recipient, message) + std::chrono::ceil<WallTime::duration>(delay_after);
    }
    if (is_by_time(message) && allows(recipient, kNotifyDelay)) {
        at = std::min(at.value_or(WallTime::max()), message.deliver_by->time);
    }
    return at;
}

}  // namespace

std::optional<dsn::Action> notice_for(const Recipient& recipient, const Message& message, Disposition disposition,
                                      Extensions offered) {
    static const Extensions kDsn = extension_bit("DSN");
    switch (disposition) {
        case Disposition::Delivered:
            if (message.deliver_by && message.deliver_by->trace && !wants(recipient, kNotifyNever)) {
                return dsn::Action::Relayed;
            }
            // A server that knows DSN tells the sender itself.
            if (!wants(recipient, kNotifySuccess) || (offered & kDsn) != 0) return std::nullopt;
            return dsn::Action::Relayed;
        case Disposition::Bounced:
        case Disposition::Expired:
        case Disposition::RenderingFailed:
            if (!allows(recipient, kNotifyFailure)) return std::nullopt;
            return dsn::Action::Failed;
        case Disposition::Deferred:
        case Disposition::NotTried:
        case Disposition::Cancelled:
        case Disposition::Suppressed: return std::nullopt;
    }
    return std::nullopt;
}

dsn::RecipientStatus notice_of(dsn::Action action, const Event& event) {
    dsn::RecipientStatus notice;
    notice.action = action;
    notice.has_expired = event.type == EventType::Expired;
    notice.address = event.recipient;
    notice.original = event.original_recipient;
    notice.attempts = event.attempt;
    if (event.bounce) notice.category = parse_bounce_category(event.bounce->category);
    if (event.delivery) {
        notice.reply = event.delivery->reply;
        notice.remote_host = event.delivery->mx_host;
    }
    if (event.type == EventType::RenderingFailed) notice.reply = Reply{0, {5, 6, 0}, event.reason};
    return notice;
}

bool may_have_notice(const Message& message, const Task& task) {
    if (message.reverse_path.empty()) return false;
    return is_by_time(message) || std::any_of(task.recipients.begin(), task.recipients.end(),
                                              [](const Recipient& r) { return wants(r, kNotifyDelay); });
}

std::optional<WallTime> notice_time(const Message& message, const Task& task, Duration delay_after) {
    std::optional<WallTime> earliest;
    for (const Recipient& recipient : task.recipients) {
        const auto at = notice_time_of(recipient, message, delay_after);
        if (at && (!earliest || *at < *earliest)) earliest = at;
    }
    return earliest;
}

std::vector<dsn::RecipientStatus> take_late_notices(Task& task, const Message& message, Duration delay_after,
                                                    WallTime now) {
    std::vector<dsn::RecipientStatus> notices;
    for (Recipient& recipient : task.recipients) {
        const auto at = notice_time_of(recipient, message, delay_after);
        if (!at || *at > now) continue;
        ++recipient.delayed_notices;
        dsn::RecipientStatus& notice = notices.emplace_back();
        notice.action = dsn::Action::Delayed;
        notice.is_late = is_by_time(message) && message.deliver_by->time <= now;
        notice.address = recipient.address;
        notice.original = recipient.original;
        notice.reply = recipient.last_reply;
        notice.remote_host = recipient.last_mx;
        notice.attempts = recipient.attempts;
    }
    task.notice_at = notice_time(message, task, delay_after);
    return notices;
}

}  // namespace postfleet::sender
