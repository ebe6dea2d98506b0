#include "translate.hpp"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "postfleet/base/text.hpp"

namespace postfleet::rpc {

namespace {

// So that sums of times do not overflow: some 146,000 years.
constexpr std::int64_t kLastTime = std::int64_t{1} << 62;

Error invalid(const std::string& field, const std::string& what) {
    return {ErrorKind::InvalidArgument, field + ": " + what};
}

std::string octets_of(const MessageId& id) {
    return {reinterpret_cast<const char*>(id.octets.data()), id.octets.size()};
}

Result<MessageId> read_id(const std::string& octets) {
    MessageId id;
    if (octets.size() != id.octets.size()) return invalid("message_id", "16 octets are wanted");
    std::copy(octets.begin(), octets.end(), id.octets.begin());
    return id;
}

Result<WallTime> read_time(const char* field, std::int64_t microseconds) {
    if (microseconds < -kLastTime || microseconds > kLastTime) return invalid(field, "no time");
    return from_unix_microseconds(microseconds);
}

Status check_texts(std::initializer_list<const std::string*> texts) {
    for (const std::string* text : texts) {
        if (text->size() > kMostText) return invalid("text", "longer than " + std::to_string(kMostText) + " octets");
    }
    return {};
}

}  // namespace

// --- orders

void write(const Order& order, v1::OrderMessage& message) {
    const MailSelector& which = order.which;
    message.set_id(static_cast<std::uint32_t>(order.id));
    message.set_action(static_cast<std::uint32_t>(order.action));
    message.set_queue(which.queue);
    message.set_virtual_mta(which.virtual_mta);
    message.set_pool(which.pool);
    message.set_site(which.site);
    message.set_domain(which.domain);
    message.set_tenant(which.tenant);
    message.set_job(which.job);
    message.set_reverse_path(which.reverse_path);
    message.set_recipient(which.recipient);
    if (which.message) message.set_message_id(octets_of(*which.message));
    message.set_everything(which.everything);
    if (which.accepted_before) message.set_accepted_before(to_unix_microseconds(*which.accepted_before));
    message.set_text(order.text);
    message.set_who(order.who);
    message.set_why(order.why);
    message.set_given_at(to_unix_microseconds(order.given_at));
    if (order.expires_at) message.set_expires_at(to_unix_microseconds(*order.expires_at));
    if (order.finished_at) message.set_finished_at(to_unix_microseconds(*order.finished_at));
    message.set_recipients(order.recipients);
}

Result<Order> read(const v1::OrderMessage& message) {
    Order order;
    order.id = OrderId{message.id()};
    if (message.action() < 1 || message.action() > static_cast<std::uint32_t>(OrderAction::Move)) {
        return invalid("action", "there is no " + std::to_string(message.action()));
    }
    order.action = static_cast<OrderAction>(message.action());
    Status texts = check_texts({&message.queue(), &message.virtual_mta(), &message.pool(), &message.site(),
                                &message.domain(), &message.tenant(), &message.job(), &message.reverse_path(),
                                &message.recipient(), &message.text(), &message.who(), &message.why()});
    if (!texts) return texts.error();
    order.which = {.queue = message.queue(),
                   .virtual_mta = message.virtual_mta(),
                   .site = message.site(),
                   .domain = message.domain(),
                   .tenant = message.tenant(),
                   .job = message.job(),
                   .recipient = message.recipient(),
                   .reverse_path = message.reverse_path(),
                   .message = {},
                   .everything = message.everything(),
                   .pool = message.pool(),
                   .accepted_before = {}};
    if (!message.message_id().empty()) {
        const auto id = read_id(message.message_id());
        if (!id) return id.error();
        order.which.message = *id;
    }
    order.text = message.text();
    order.who = message.who();
    order.why = message.why();
    order.recipients = std::min<std::uint64_t>(message.recipients(), kLastTime);
    const auto given_at = read_time("given_at", message.given_at());
    if (!given_at) return given_at.error();
    order.given_at = *given_at;
    for (const auto& [is_there, value, into] :
         {std::tuple(message.has_accepted_before(), message.accepted_before(), &order.which.accepted_before),
          std::tuple(message.has_expires_at(), message.expires_at(), &order.expires_at),
          std::tuple(message.has_finished_at(), message.finished_at(), &order.finished_at)}) {
        if (!is_there) continue;
        const auto time = read_time("time of an order", value);
        if (!time) return time.error();
        *into = *time;
    }
    return order;
}

void write(const OrderChanges& changes, v1::OrderChangesMessage& message) {
    message.set_revision(changes.revision);
    message.set_complete(changes.complete);
    for (const Order& order : changes.changed) write(order, *message.add_changed());
    for (const OrderId id : changes.removed) message.add_removed(static_cast<std::uint32_t>(id));
}

Result<OrderChanges> read(const v1::OrderChangesMessage& message) {
    OrderChanges changes{.revision = message.revision(), .complete = message.complete()};
    auto changed = read_all<Order>(message.changed(), message.changed_size());
    if (!changed) return changed.error();
    changes.changed = *std::move(changed);
    for (const std::uint32_t id : message.removed()) changes.removed.push_back(OrderId{id});
    return changes;
}

// --- configuration

void write(const ConfigurationSnapshot& snapshot, v1::ConfigSnapshot& message) {
    message.set_epoch(snapshot.epoch);
    message.set_version(snapshot.version);
    for (const auto& [name, content] : snapshot.files) {
        v1::ConfigFile& file = *message.add_files();
        file.set_name(name);
        file.set_content(content);
    }
    message.set_activated_at(to_unix_microseconds(snapshot.activated_at));
    message.set_activated_by(snapshot.activated_by);
}

Result<ConfigurationSnapshot> read(const v1::ConfigSnapshot& message) {
    const auto activated_at = read_time("activated_at", message.activated_at());
    if (!activated_at) return activated_at.error();
    ConfigurationSnapshot snapshot{.epoch = message.epoch(),
                                   .version = message.version(),
                                   .files = {},
                                   .activated_at = *activated_at,
                                   .activated_by = message.activated_by()};
    for (const v1::ConfigFile& file : message.files()) {
        if (!snapshot.files.emplace(file.name(), file.content()).second) {
            return invalid("files", "'" + file.name() + "' is there twice");
        }
    }
    return snapshot;
}

// --- idempotency keys

void write(const IdempotencyKey& key, v1::Key& message) {
    message.set_tenant(key.tenant);
    message.set_key(key.key);
}

Result<IdempotencyKey> read(const v1::Key& message) {
    if (message.key().empty() || message.key().size() > kMostKey) {
        return invalid("key", "has 1 to " + std::to_string(kMostKey) + " octets");
    }
    if (Status tenant = check_texts({&message.tenant()}); !tenant) return tenant.error();
    return IdempotencyKey{message.tenant(), message.key()};
}

void write(const KeyClaim& claim, v1::KeyClaimMessage& message) {
    write(claim.key, *message.mutable_key());
    message.set_message_id(octets_of(claim.message));
    message.set_window(std::chrono::duration_cast<std::chrono::microseconds>(claim.window).count());
}

Result<KeyClaim> read(const v1::KeyClaimMessage& message) {
    constexpr auto kLongest = std::chrono::microseconds(std::chrono::hours(24 * 365));
    const auto key = read(message.key());
    if (!key) return key.error();
    const auto id = read_id(message.message_id());
    if (!id) return id.error();
    if (message.window() < 0 || message.window() > kLongest.count()) return invalid("window", "0 to a year");
    return KeyClaim{*key, *id, std::chrono::microseconds(message.window())};
}

void write(const KeyVerdict& verdict, v1::KeyVerdictMessage& message) {
    switch (verdict.state) {
        case KeyState::New: message.set_state(v1::KEY_STATE_NEW); break;
        case KeyState::Pending: message.set_state(v1::KEY_STATE_PENDING); break;
        case KeyState::Done: message.set_state(v1::KEY_STATE_DONE); break;
    }
    message.set_message_id(octets_of(verdict.message));
}

Result<KeyVerdict> read(const v1::KeyVerdictMessage& message) {
    const auto id = read_id(message.message_id());
    if (!id) return id.error();
    if (message.state() == v1::KEY_STATE_NEW) return KeyVerdict{KeyState::New, *id};
    if (message.state() == v1::KEY_STATE_PENDING) return KeyVerdict{KeyState::Pending, *id};
    if (message.state() == v1::KEY_STATE_DONE) return KeyVerdict{KeyState::Done, *id};
    return invalid("state", "there is no " + std::to_string(message.state()));
}

// --- operators

void write(const Member& member, v1::MemberMessage& message) {
    message.set_service(member.service);
    message.set_name(member.name);
    message.set_address(member.address);
}

Result<Member> read(const v1::MemberMessage& message) {
    Status texts = check_texts({&message.service(), &message.name(), &message.address()});
    if (!texts) return texts.error();
    if (message.service().empty() || message.name().empty() || message.address().empty()) {
        return invalid("member", "has a service, a name and an address");
    }
    return Member{message.service(), message.name(), message.address()};
}

void write(const OperatorCommand& command, v1::CommandMessage& message) {
    message.set_command(command.command);
    message.set_who(command.who);
    for (const auto& [name, value] : command.arguments) {
        v1::CommandArgument& argument = *message.add_arguments();
        argument.set_name(name);
        argument.set_value(value);
    }
}

Result<OperatorCommand> read(const v1::CommandMessage& message) {
    if (message.arguments_size() > kMostArguments) {
        return invalid("arguments", "a command has at most " + std::to_string(kMostArguments));
    }
    OperatorCommand command{.command = message.command(), .arguments = {}, .who = printable(message.who(), 200)};
    for (const v1::CommandArgument& argument : message.arguments()) {
        if (!command.arguments.emplace(argument.name(), argument.value()).second) {
            return invalid("arguments", "'" + printable(argument.name(), 64) + "' is there twice");
        }
    }
    return command;
}

// --- ownership

void write(const SenderClaim& claim, v1::SenderClaimRequest& message) {
    message.set_sender(claim.sender);
    message.set_spool_id(claim.spool_id);
    message.set_holder(claim.holder);
    message.set_epoch(claim.epoch);
}

Result<SenderClaim> read(const v1::SenderClaimRequest& message) {
    Status texts = check_texts({&message.sender(), &message.spool_id(), &message.holder()});
    if (!texts) return texts.error();
    return SenderClaim{message.sender(), message.spool_id(), message.holder(), message.epoch()};
}

void write(const SenderGrant& grant, v1::SenderGrantMessage& message) {
    message.set_sender(grant.sender);
    message.set_epoch(grant.epoch);
    message.set_spool_id(grant.spool_id);
    message.set_holder(grant.holder);
    message.set_since(to_unix_microseconds(grant.since));
}

Result<SenderGrant> read(const v1::SenderGrantMessage& message) {
    const auto since = read_time("since", message.since());
    if (!since) return since.error();
    return SenderGrant{message.sender(), message.epoch(), message.spool_id(), message.holder(), *since};
}

void write(const SenderVerdict& verdict, v1::SenderClaimResponse& message) {
    message.set_granted(verdict.granted);
    write(verdict.grant, *message.mutable_grant());
    message.set_refusal(verdict.refusal);
}

Result<SenderVerdict> read(const v1::SenderClaimResponse& message) {
    const auto grant = read(message.grant());
    if (!grant) return grant.error();
    return SenderVerdict{message.granted(), *grant, message.refusal()};
}

void write(const SenderRecord& record, v1::SenderRecordMessage& message) {
    write(record.grant, *message.mutable_grant());
    message.set_waiting_spool_id(record.waiting_spool_id);
    message.set_waiting_holder(record.waiting_holder);
    message.set_waiting_since(to_unix_microseconds(record.waiting_since));
    message.set_has_virtual_mtas(record.has_virtual_mtas);
}

Result<SenderRecord> read(const v1::SenderRecordMessage& message) {
    const auto grant = read(message.grant());
    if (!grant) return grant.error();
    const auto since = read_time("waiting_since", message.waiting_since());
    if (!since) return since.error();
    return SenderRecord{*grant, message.waiting_spool_id(), message.waiting_holder(), *since,
                        message.has_virtual_mtas()};
}

// --- recipients

void write(const Suppression& suppression, std::uint32_t place, v1::SuppressedRecipient& message) {
    message.set_place(place);
    message.set_tenant(suppression.key.tenant);
    message.set_target(suppression.key.target);
    message.set_reason(suppression.reason);
    message.set_source(suppression.source);
    message.set_added_at(to_unix_microseconds(suppression.added_at));
    if (suppression.expires_at) message.set_expires_at(to_unix_microseconds(*suppression.expires_at));
}

Suppression read(const v1::SuppressedRecipient& message) {
    Suppression suppression{.key = {message.tenant(), message.target()},
                            .reason = message.reason(),
                            .source = message.source(),
                            .added_at = from_unix_microseconds(message.added_at())};
    if (message.has_expires_at()) suppression.expires_at = from_unix_microseconds(message.expires_at());
    return suppression;
}

Result<std::vector<SuppressionQuestion>> read(const v1::CheckRecipientsRequest& message, int most) {
    if (message.recipients_size() > most) {
        return invalid("recipients", "at most " + std::to_string(most) + " in one request");
    }
    std::vector<SuppressionQuestion> questions;
    for (const v1::RecipientQuestion& recipient : message.recipients()) {
        if (Status texts = check_texts({&recipient.tenant(), &recipient.address()}); !texts) return texts.error();
        questions.push_back({recipient.tenant(), recipient.address()});
    }
    return questions;
}

}  // namespace postfleet::rpc
