#include "handover_message.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

namespace postfleet::wire {

namespace {

std::int64_t number_of(WallTime time) { return to_unix_microseconds(time); }
WallTime time_of(std::int64_t number) { return from_unix_microseconds(number); }

template <class Pairs>
void write_pairs(const Pairs& from, google::protobuf::RepeatedPtrField<PbHandover::Pair>& to) {
    for (const auto& [name, value] : from) {
        auto& pair = *to.Add();
        pair.set_name(name);
        pair.set_value(value);
    }
}

void read_pairs(const google::protobuf::RepeatedPtrField<PbHandover::Pair>& from,
                std::vector<std::pair<std::string, std::string>>& to) {
    to.reserve(static_cast<std::size_t>(from.size()));
    for (const auto& pair : from) to.emplace_back(pair.name(), pair.value());
}

// Enumerations have the same numbers on both sides; a number that the domain does not know is wrong.
template <class Enum>
void read_enum(int from, Enum greatest, Enum& to, const char* name, std::string& wrong) {
    if (from < 0 || from > static_cast<int>(greatest)) wrong = name;
    else to = static_cast<Enum>(from);
}

template <class Number>
void read_number(std::uint32_t from, Number& to, const char* name, std::string& wrong) {
    if (from > static_cast<std::uint32_t>(std::numeric_limits<Number>::max())) wrong = name;
    else to = static_cast<Number>(from);
}

void write_wishes(const Message& from, PbHandover::Message& to) {
    to.set_return_content(static_cast<PbHandover::ReturnContent>(from.return_content));
    to.set_tls_wish(static_cast<PbHandover::TlsWish>(from.tls_wish));
    if (from.deliver_by) {
        auto& by = *to.mutable_deliver_by();
        by.set_time(number_of(from.deliver_by->time));
        by.set_notify(from.deliver_by->mode == DeliverBy::Mode::Notify);
        by.set_trace(from.deliver_by->trace);
    }
    for (const DeliveryWindow& window : from.windows) {
        auto& added = *to.add_windows();
        added.set_begin(number_of(window.begin));
        added.set_end(number_of(window.end));
    }
    if (from.mt_priority) to.set_mt_priority(*from.mt_priority);
    to.set_priority(static_cast<PbHandover::Priority>(from.priority));
    to.set_dkim_options(from.dkim_options);
}

void write_merge(const Message& from, PbHandover::Message& to) {
    to.set_verp(from.verp);
    if (from.merge == MergeText{}) return;
    auto& merge = *to.mutable_merge();
    for (const MergePart& part : from.merge.parts) {
        auto& added = *merge.add_parts();
        added.set_number(part.number);
        added.set_size_octets(part.size_octets);
    }
    merge.set_undefined(static_cast<PbHandover::Merge::Undefined>(from.merge.undefined));
    merge.set_max_octets(from.merge.max_octets);
    merge.set_utf8_in_header(from.merge.utf8_in_header);
}

void write_template(const TemplateReference& from, PbHandover::Message& to) {
    if (from == TemplateReference{}) return;
    auto& reference = *to.mutable_template_();
    reference.set_name(from.name);
    reference.set_version(from.version);
    reference.set_variables(from.variables);
}

void read_wishes(const PbHandover::Message& from, Message& to, std::string& wrong) {
    read_enum(from.return_content(), ReturnContent::Headers, to.return_content, "message.return_content", wrong);
    read_enum(from.tls_wish(), TlsWish::Waived, to.tls_wish, "message.tls_wish", wrong);
    if (from.has_deliver_by()) {
        const auto& by = from.deliver_by();
        to.deliver_by = DeliverBy{.time = time_of(by.time()),
                                  .mode = by.notify() ? DeliverBy::Mode::Notify : DeliverBy::Mode::Return,
                                  .trace = by.trace()};
    }
    for (const auto& window : from.windows()) to.windows.push_back({time_of(window.begin()), time_of(window.end())});
    if (from.has_mt_priority()) {
        if (from.mt_priority() < kLowestMtPriority || from.mt_priority() > kHighestMtPriority)
            wrong = "message.mt_priority";
        else to.mt_priority = static_cast<std::int8_t>(from.mt_priority());
    }
    read_enum(from.priority(), Priority::Low, to.priority, "message.priority", wrong);
    to.dkim_options = from.dkim_options();
}

void read_merge(const PbHandover::Message& from, Message& to, std::string& wrong) {
    to.verp = from.verp();
    const auto& merge = from.merge();
    std::uint64_t octets = 0;
    for (const auto& part : merge.parts()) {
        to.merge.parts.push_back({part.number(), part.size_octets()});
        octets += std::min(part.size_octets(), from.size_octets() + 1);
    }
    if (!to.merge.parts.empty() && octets != from.size_octets()) wrong = "message.merge.parts";
    read_enum(merge.undefined(), UndefinedVariable::Refuse, to.merge.undefined, "message.merge.undefined", wrong);
    to.merge.max_octets = merge.max_octets();
    to.merge.utf8_in_header = merge.utf8_in_header();
}

void write_recipient(const Recipient& from, PbHandover::Recipient& to) {
    to.set_index(from.index);
    to.set_address(from.address);
    to.set_attempts(from.attempts);
    to.set_delayed_notices(from.delayed_notices);
    if (from.last_reply) write_reply(*from.last_reply, *to.mutable_last_reply());
    to.set_last_mx(from.last_mx);
    to.set_original(from.original);
    to.set_notify(from.notify);
    to.set_variables(from.variables.octets());
}

void read_recipient(const PbHandover::Recipient& from, Recipient& to, std::string& wrong) {
    if (from.address().empty()) wrong = "recipient.address";
    to.index = from.index();
    to.address = from.address();
    read_number(from.attempts(), to.attempts, "recipient.attempts", wrong);
    read_number(from.delayed_notices(), to.delayed_notices, "recipient.delayed_notices", wrong);
    if (std::string part; from.has_last_reply()) {
        read_reply(from.last_reply(), to.last_reply.emplace(), part);
        if (!part.empty()) wrong = "recipient.last_" + part;
    }
    to.last_mx = from.last_mx();
    to.original = from.original();
    read_number(from.notify(), to.notify, "recipient.notify", wrong);
    if (auto variables = MergeVariables::from_octets(from.variables())) to.variables = *std::move(variables);
    else wrong = "recipient.variables";
}

}  // namespace

void write_reply(const Reply& from, PbHandover::Reply& to) {
    to.set_code(static_cast<std::uint32_t>(from.code));
    to.set_enhanced_class(from.enhanced.klass);
    to.set_enhanced_subject(from.enhanced.subject);
    to.set_enhanced_detail(from.enhanced.detail);
    to.set_text(from.text);
}

void read_reply(const PbHandover::Reply& from, Reply& to, std::string& wrong) {
    constexpr std::uint32_t kGreatestCode = 999;
    if (from.code() > kGreatestCode) wrong = "reply.code";
    else to.code = static_cast<int>(from.code());
    read_number(from.enhanced_class(), to.enhanced.klass, "reply.enhanced_class", wrong);
    read_number(from.enhanced_subject(), to.enhanced.subject, "reply.enhanced_subject", wrong);
    read_number(from.enhanced_detail(), to.enhanced.detail, "reply.enhanced_detail", wrong);
    to.text = from.text().substr(0, kMaxReplyText);
}

bool read_id(const std::string& from, MessageId& to) {
    if (from.size() != to.octets.size()) return false;
    std::copy(from.begin(), from.end(), to.octets.begin());
    return true;
}

void write_message(const Message& from, PbHandover::Message& to) {
    to.set_id(from.id.octets.data(), from.id.octets.size());
    to.set_accepted_at(number_of(from.accepted_at));
    if (from.send_at) to.set_send_at(number_of(*from.send_at));
    if (from.expires_at) to.set_expires_at(number_of(*from.expires_at));
    to.set_reverse_path(from.reverse_path);
    to.set_envelope_id(from.envelope_id);
    write_wishes(from, to);
    to.set_tenant(from.tenant);
    to.set_job(from.job);
    to.set_user(from.user);
    to.set_listener(from.listener);
    to.set_client_address(from.client_address);
    to.set_server_address(from.server_address);
    to.set_helo(from.helo);
    to.set_pool(from.pool);
    to.set_body_type(static_cast<PbHandover::BodyType>(from.body_type));
    to.set_smtputf8(from.smtputf8);
    to.set_no_leading_dots(!from.has_leading_dots);
    to.set_has_long_lines(from.has_long_lines);
    to.set_size_octets(from.size_octets);
    to.set_content_chunks(from.content_chunks);
    to.set_prepended_header(from.prepended_header);
    to.set_header_from(from.header_from);
    to.set_header_message_id(from.header_message_id);
    to.set_header_subject(from.header_subject);
    write_pairs(from.recorded_headers, *to.mutable_recorded_headers());
    write_template(from.template_reference, to);
    write_merge(from, to);
    write_pairs(from.metadata, *to.mutable_metadata());
}

void read_message(const PbHandover::Message& from, Message& to, std::string& wrong) {
    if (!read_id(from.id(), to.id)) wrong = "message.id";
    to.accepted_at = time_of(from.accepted_at());
    if (from.has_send_at()) to.send_at = time_of(from.send_at());
    if (from.has_expires_at()) to.expires_at = time_of(from.expires_at());
    to.reverse_path = from.reverse_path();
    to.envelope_id = from.envelope_id();
    read_wishes(from, to, wrong);
    to.tenant = from.tenant();
    to.job = from.job();
    to.user = from.user();
    to.listener = from.listener();
    to.client_address = from.client_address();
    to.server_address = from.server_address();
    to.helo = from.helo();
    to.pool = from.pool();
    read_enum(from.body_type(), BodyType::BinaryMime, to.body_type, "message.body_type", wrong);
    to.smtputf8 = from.smtputf8();
    to.has_leading_dots = !from.no_leading_dots();
    to.has_long_lines = from.has_long_lines();
    to.size_octets = from.size_octets();
    to.content_chunks = from.content_chunks();
    to.prepended_header = from.prepended_header();
    to.header_from = from.header_from();
    to.header_message_id = from.header_message_id();
    to.header_subject = from.header_subject();
    read_pairs(from.recorded_headers(), to.recorded_headers);
    to.template_reference = {from.template_().name(), from.template_().version(), from.template_().variables()};
    read_merge(from, to, wrong);
    read_pairs(from.metadata(), to.metadata);
}

void write_task(const Task& from, PbHandover::Task& to) {
    to.set_number(from.key.number);
    to.set_due(number_of(from.due));
    to.set_accepted_at(number_of(from.accepted_at));
    if (from.expires_at) to.set_expires_at(number_of(*from.expires_at));
    if (from.notice_at) to.set_notice_at(number_of(*from.notice_at));
    to.set_domain(from.domain);
    to.set_virtual_mta(from.virtual_mta);
    to.set_pool(from.pool);
    to.set_tenant(from.tenant);
    to.set_job(from.job);
    to.set_priority(static_cast<PbHandover::Priority>(from.priority));
    to.set_waives_tls_policy(from.waives_tls_policy);
    to.set_reroutes(from.reroutes);
    to.set_size_octets(from.size_octets);
    for (const Recipient& recipient : from.recipients) write_recipient(recipient, *to.add_recipients());
}

void read_task(const MessageId& message, const PbHandover::Task& from, Task& to, std::string& wrong) {
    to.key = {message, from.number()};
    to.due = time_of(from.due());
    to.accepted_at = time_of(from.accepted_at());
    if (from.has_expires_at()) to.expires_at = time_of(from.expires_at());
    if (from.has_notice_at()) to.notice_at = time_of(from.notice_at());
    if (from.domain().empty()) wrong = "task.domain";
    to.domain = from.domain();
    to.virtual_mta = from.virtual_mta();
    to.pool = from.pool();
    to.tenant = from.tenant();
    to.job = from.job();
    read_enum(from.priority(), Priority::Low, to.priority, "task.priority", wrong);
    to.waives_tls_policy = from.waives_tls_policy();
    read_number(from.reroutes(), to.reroutes, "task.reroutes", wrong);
    to.size_octets = from.size_octets();
    if (from.recipients().empty()) wrong = "task.recipients";
    to.recipients.resize(static_cast<std::size_t>(from.recipients_size()));
    for (int i = 0; i < from.recipients_size(); ++i) {
        read_recipient(from.recipients(i), to.recipients[static_cast<std::size_t>(i)], wrong);
    }
}

}  // namespace postfleet::wire
