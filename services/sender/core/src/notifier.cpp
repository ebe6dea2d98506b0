#include "notifier.hpp"

#include <algorithm>
#include <utility>

#include "engine.hpp"
#include "postfleet/mail/address.hpp"

namespace postfleet::sender {

namespace {

throttle::Allowance allowance_of(const config::Rate& rate) { return {rate.count, rate.period}; }

bool is_on(const shaping::Settings& settings, dsn::Action action) {
    switch (action) {
        case dsn::Action::Failed: return settings.dsn_failure;
        case dsn::Action::Relayed: return settings.dsn_success;
        case dsn::Action::Delayed: return settings.dsn_delay;
    }
    return false;
}

// Leaves what the configuration lets senders be told of.
void drop_unwanted(std::vector<dsn::RecipientStatus>& notices, const config::Config& config, const Message& message,
                   const Queue& queue) {
    const auto listener = config.listeners.find(message.listener);
    if (listener != config.listeners.end() && !listener->second.dsn) return notices.clear();
    const shaping::Settings settings = shaping::resolve(
        config, {queue.site, queue.virtual_mta->name, domain_of(notices.front().address), message.tenant});
    std::erase_if(notices, [&](const dsn::RecipientStatus& notice) { return !is_on(settings, notice.action); });
}

AcceptedMessage to_mail(dsn::Composed&& composed, const dsn::Notification& notification,
                        const routing::BindResult& bound, const char* what) {
    auto message = std::make_shared<Message>();
    message->id = notification.id;
    message->accepted_at = notification.now;
    message->tenant = notification.message.tenant;
    message->pool = bound.pool;
    message->priority = bound.priority;
    message->body_type = composed.is_eight_bit ? BodyType::EightBitMime : BodyType::SevenBit;
    message->smtputf8 = composed.needs_smtputf8;
    message->has_leading_dots = composed.has_leading_dots;
    message->size_octets = composed.content.size();
    message->header_from = notification.from;
    message->header_message_id = std::move(composed.message_id);
    message->header_subject = std::move(composed.subject);
    message->metadata = {{"dsn_action", what}, {"dsn_message_id", notification.message.id.to_string()}};
    Recipient recipient;
    recipient.address = notification.message.reverse_path;
    recipient.notify = kNotifyNever;
    Task task;
    task.key.message = message->id;
    task.due = task.accepted_at = notification.now;
    task.domain = domain_of(recipient.address);
    task.virtual_mta = bound.virtual_mta;
    task.pool = bound.pool;
    task.tenant = message->tenant;
    task.priority = bound.priority;
    task.size_octets = message->size_octets;
    task.recipients.push_back(std::move(recipient));
    return {std::move(message), {std::move(task)}, std::make_shared<const std::string>(std::move(composed.content))};
}

// A text with variables is nobody's message: what was merged from it is, if it was.
std::string_view returned_content(const Work& work) {
    if (!work.hot || !work.hot->first_chunk) return {};
    if (!work.hot->message->merge) return *work.hot->first_chunk;
    return work.rendition && work.rendition->content ? std::string_view(*work.rendition->content) : std::string_view();
}

}  // namespace

bool Notifier::may_return(const Message& message, Disposition disposition) {
    return !message.reverse_path.empty() &&
           (disposition == Disposition::Bounced || disposition == Disposition::Expired);
}

std::unique_ptr<NewMail> Notifier::notify(std::vector<dsn::RecipientStatus> notices, const Message& message,
                                          const Work& work, Shard& shard) {
    if (message.reverse_path.empty()) return nullptr;
    const auto config = engine_.configuration();
    drop_unwanted(notices, *config, message, *work.queue);
    if (notices.empty()) return nullptr;
    const auto routing = engine_.routing();
    const std::string& way = config->dsn.virtual_mta.empty() ? config->default_virtual_mta : config->dsn.virtual_mta;
    const routing::BindResult bound = routing->bind({.virtual_mta = way}, shard.random());
    if (!bound || domain_of(message.reverse_path).empty()) {
        suppress("no way to the sender", message);
        return nullptr;
    }
    if (!may_send(config->dsn, message, shard)) return nullptr;

    const std::string from = config->dsn.from.empty() ? "MAILER-DAEMON@" + config->hostname : config->dsn.from;
    const WallTime now = shard.executor->wall_now();
    const dsn::Notification notification{
        .id = shard.ids.next(now),
        .now = now,
        .reporting_host = config->hostname,
        .from = from,
        .message = message,
        .content = returned_content(work),
        .max_returned_octets = config->dsn.max_returned_size,
        .recipients = notices,
    };
    const char* const what = to_string(dsn::worst_action(notices));
    engine_.metrics.count_notification(what);
    engine_.dependencies.log.line(LogLevel::Info, "notification")
        .field("message", message.id.to_string())
        .field("notification", notification.id.to_string())
        .field("to", message.reverse_path)
        .field("action", what)
        .field("recipients", notices.size());
    AcceptedMessage mail = to_mail(dsn::compose(notification), notification, bound, what);
    return std::make_unique<NewMail>(engine_.add_to(shard.recorder->pending(), std::move(mail)));
}

// A sender whose mail fails by the thousand is not told by the thousand: its reports have every one of them.
bool Notifier::may_send(const config::DsnSettings& settings, const Message& message, Shard& shard) {
    const SteadyTime now = shard.executor->now();
    const throttle::Allowance of_sender = allowance_of(settings.max_rate_per_sender);
    const std::lock_guard lock(mutex_);
    if (by_sender_.take(message.reverse_path, now, of_sender) > Duration::zero()) {
        suppress("max_rate_per_sender", message);
        return false;
    }
    if (all_.take(now, allowance_of(settings.max_rate)) > Duration::zero()) {
        by_sender_.give_back(message.reverse_path, of_sender);
        suppress("max_rate", message);
        return false;
    }
    return true;
}

void Notifier::suppress(std::string_view reason, const Message& message) {
    engine_.metrics.count_suppressed_notification(reason);
    engine_.dependencies.log.line(LogLevel::Warning, "notification-suppressed")
        .field("message", message.id.to_string())
        .field("to", message.reverse_path)
        .field("reason", reason);
}

}  // namespace postfleet::sender
