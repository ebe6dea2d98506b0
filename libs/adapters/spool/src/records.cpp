#include "records.hpp"

#include <cstring>
#include <utility>

#include "crc32c.hpp"
#include "octets.hpp"

namespace postfleet::spool {

namespace {

std::uint32_t checksum_of(Column column, std::string_view key, std::string_view value) {
    const char prefix[2] = {static_cast<char>(column), value[0]};
    auto sum = crc32c({prefix, 2});
    sum = crc32c(key, sum);
    return crc32c(value.substr(kRecordHeaderOctets), sum);
}

std::uint64_t number_of(WallTime time) { return static_cast<std::uint64_t>(to_unix_microseconds(time)); }
WallTime time_of(std::uint64_t number) { return from_unix_microseconds(static_cast<std::int64_t>(number)); }

void optional_time(FieldWriter& to, std::uint32_t field, const std::optional<WallTime>& time) {
    if (time) to.number_always(field, number_of(*time));
}

// Which of a message's facts are written: a report needs neither the trace header, the variables nor what delivery
// goes by.
enum class Scope { Whole, ForEvents };

// Above priority (2 bits) and body type (2 bits).
constexpr std::uint64_t kSmtpUtf8 = 16, kLeadingDots = 32, kLongLines = 64;
// Beside the by-mode (1 bit).
constexpr std::uint64_t kByTrace = 2;

// Beside what stands for undefined variables (2 bits).
constexpr std::uint64_t kUtf8InHeader = 4, kVerp = 8;

std::uint64_t merge_flags(const Message& m) {
    return static_cast<std::uint64_t>(m.merge.undefined) | (m.merge.utf8_in_header ? kUtf8InHeader : 0) |
           (m.verp ? kVerp : 0);
}

void write_message(const Message& m, Scope scope, std::string& octets) {
    FieldWriter to(octets);
    to.number(1, number_of(m.accepted_at));
    optional_time(to, 2, m.send_at);
    optional_time(to, 3, m.expires_at);
    to.octets(4, m.reverse_path);
    to.octets(5, m.envelope_id);
    to.octets(6, m.tenant);
    to.octets(7, m.job);
    to.octets(8, m.user);
    to.octets(9, m.listener);
    to.octets(10, m.client_address);
    to.octets(11, m.helo);
    to.octets(12, m.pool);
    to.number(13, static_cast<std::uint64_t>(m.priority) | static_cast<std::uint64_t>(m.body_type) << 2 |
                      (m.smtputf8 ? kSmtpUtf8 : 0) | (m.has_leading_dots ? kLeadingDots : 0) |
                      (m.has_long_lines ? kLongLines : 0));
    to.number(14, m.size_octets);
    to.number(15, m.content_chunks);
    if (scope == Scope::Whole) to.octets(16, m.prepended_header);
    to.octets(17, m.header_from);
    to.octets(18, m.header_message_id);
    to.octets(19, m.header_subject);
    to.octets(20, m.template_reference.name);
    to.number(21, m.template_reference.version);
    if (scope == Scope::Whole) to.octets(22, m.template_reference.variables);
    to.number(24, static_cast<std::uint64_t>(m.return_content));
    if (scope == Scope::Whole) {
        to.number(25, static_cast<std::uint64_t>(m.tls_wish));
        if (m.deliver_by) {
            to.number_always(26, number_of(m.deliver_by->time));
            to.number(27, static_cast<std::uint64_t>(m.deliver_by->mode) | (m.deliver_by->trace ? kByTrace : 0));
        }
        for (const DeliveryWindow& window : m.windows) {
            to.nested(35, [&] {
                to.number_always(1, number_of(window.begin));
                to.number_always(2, number_of(window.end));
            });
        }
        if (m.mt_priority) to.number(28, static_cast<std::uint64_t>(*m.mt_priority - kLowestMtPriority + 1));
        to.octets(31, m.dkim_options);
    }
    if (scope == Scope::Whole) {
        for (const MergePart& part : m.merge.parts) {
            to.nested(32, [&] {
                to.number(1, part.number);
                to.number(2, part.size_octets);
            });
        }
        to.number(33, merge_flags(m));
        to.number(34, m.merge.max_octets);
    }
    to.octets(29, m.server_address);
    for (auto& [name, value] : m.recorded_headers) {
        to.nested(30, [&] {
            to.octets(1, name);
            to.octets(2, value);
        });
    }
    for (auto& [name, value] : m.metadata) {
        to.nested(23, [&] {
            to.octets(1, name);
            to.octets(2, value);
        });
    }
}

void read_flags(Message& m, FieldReader& from) {
    auto flags = from.number();
    auto priority = flags & 3, body = flags >> 2 & 3;
    if (priority >= kPriorities || body > static_cast<std::uint64_t>(BodyType::BinaryMime)) from.mark_bad();
    m.priority = static_cast<Priority>(priority);
    m.body_type = static_cast<BodyType>(body);
    m.smtputf8 = (flags & kSmtpUtf8) != 0;
    m.has_leading_dots = (flags & kLeadingDots) != 0;
    m.has_long_lines = (flags & kLongLines) != 0;
}

DeliverBy& deliver_by_of(Message& m) { return m.deliver_by ? *m.deliver_by : m.deliver_by.emplace(); }

void read_by_mode(DeliverBy& by, FieldReader& from) {
    const auto flags = from.number();
    by.mode = static_cast<DeliverBy::Mode>(flags & 1);
    by.trace = (flags & kByTrace) != 0;
}

void read_mt_priority(Message& m, FieldReader& from) {
    const auto number = from.number();
    constexpr auto kLevels = static_cast<std::uint64_t>(kHighestMtPriority - kLowestMtPriority + 1);
    if (number == 0 || number > kLevels) return from.mark_bad();
    m.mt_priority = static_cast<std::int8_t>(static_cast<int>(number) - 1 + kLowestMtPriority);
}

// Reads `fields` to their end, calling `take` for each; false when they are malformed.
template <class Take>
bool read_fields(std::string_view fields, Take&& take) {
    FieldReader from(fields);
    while (from.next()) take(from);
    return !from.is_bad();
}

bool read_pair(std::string_view fields, std::pair<std::string, std::string>& pair) {
    return read_fields(fields, [&](FieldReader& from) {
        if (from.field() == 1) pair.first = from.octets();
        if (from.field() == 2) pair.second = from.octets();
    });
}

void read_merge_flags(Message& m, FieldReader& from) {
    const auto flags = from.number();
    m.merge.undefined = static_cast<UndefinedVariable>(flags & 3);
    if (m.merge.undefined > UndefinedVariable::Refuse) from.mark_bad();
    m.merge.utf8_in_header = (flags & kUtf8InHeader) != 0;
    m.verp = (flags & kVerp) != 0;
}

bool read_part(std::string_view fields, MergePart& part) {
    return read_fields(fields, [&](FieldReader& from) {
        if (from.field() == 1) part.number = from.number_as<std::uint32_t>();
        if (from.field() == 2) part.size_octets = from.number();
    });
}

bool read_window(std::string_view fields, DeliveryWindow& window) {
    return read_fields(fields, [&](FieldReader& from) {
        if (from.field() == 1) window.begin = time_of(from.number());
        if (from.field() == 2) window.end = time_of(from.number());
    });
}

bool read_message(std::string_view fields, Message& m) {
    m.tenant.clear();
    m.has_leading_dots = false;
    m.content_chunks = 0;
    return read_fields(fields, [&](FieldReader& from) {
        switch (from.field()) {
            case 1: m.accepted_at = time_of(from.number()); break;
            case 2: m.send_at = time_of(from.number()); break;
            case 3: m.expires_at = time_of(from.number()); break;
            case 4: m.reverse_path = from.octets(); break;
            case 5: m.envelope_id = from.octets(); break;
            case 6: m.tenant = from.octets(); break;
            case 7: m.job = from.octets(); break;
            case 8: m.user = from.octets(); break;
            case 9: m.listener = from.octets(); break;
            case 10: m.client_address = from.octets(); break;
            case 11: m.helo = from.octets(); break;
            case 12: m.pool = from.octets(); break;
            case 13: read_flags(m, from); break;
            case 14: m.size_octets = from.number(); break;
            case 15: m.content_chunks = from.number_as<std::uint32_t>(); break;
            case 16: m.prepended_header = from.octets(); break;
            case 17: m.header_from = from.octets(); break;
            case 18: m.header_message_id = from.octets(); break;
            case 19: m.header_subject = from.octets(); break;
            case 20: m.template_reference.name = from.octets(); break;
            case 21: m.template_reference.version = from.number_as<std::uint32_t>(); break;
            case 22: m.template_reference.variables = from.octets(); break;
            case 23:
                if (!read_pair(from.octets(), m.metadata.emplace_back())) from.mark_bad();
                break;
            case 24: m.return_content = static_cast<ReturnContent>(from.number_as<std::uint8_t>()); break;
            case 25: m.tls_wish = static_cast<TlsWish>(from.number_as<std::uint8_t>()); break;
            case 26: deliver_by_of(m).time = time_of(from.number()); break;
            case 27: read_by_mode(deliver_by_of(m), from); break;
            case 28: read_mt_priority(m, from); break;
            case 29: m.server_address = from.octets(); break;
            case 30:
                if (!read_pair(from.octets(), m.recorded_headers.emplace_back())) from.mark_bad();
                break;
            case 31: m.dkim_options = from.octets(); break;
            case 32:
                if (!read_part(from.octets(), m.merge.parts.emplace_back())) from.mark_bad();
                break;
            case 33: read_merge_flags(m, from); break;
            case 34: m.merge.max_octets = from.number(); break;
            case 35:
                if (!read_window(from.octets(), m.windows.emplace_back())) from.mark_bad();
                break;
            default: break;  // a later version's
        }
        if (m.return_content > ReturnContent::Headers || m.tls_wish > TlsWish::Waived) from.mark_bad();
    });
}

void write_reply(const Reply& reply, std::string& octets) {
    FieldWriter to(octets);
    to.number(1, static_cast<std::uint64_t>(reply.code));
    to.number(2, reply.enhanced.klass);
    to.number(3, reply.enhanced.subject);
    to.number(4, reply.enhanced.detail);
    to.octets(5, reply.text);
}

bool read_reply(std::string_view fields, Reply& reply) {
    return read_fields(fields, [&](FieldReader& from) {
        switch (from.field()) {
            case 1: reply.code = from.number_as<std::uint16_t>(); break;
            case 2: reply.enhanced.klass = from.number_as<std::uint8_t>(); break;
            case 3: reply.enhanced.subject = from.number_as<std::uint16_t>(); break;
            case 4: reply.enhanced.detail = from.number_as<std::uint16_t>(); break;
            case 5: reply.text = from.octets(); break;
            default: break;
        }
    });
}

void write_recipient(const Recipient& recipient, std::string& octets) {
    FieldWriter to(octets);
    to.number(1, recipient.index);
    to.octets(2, recipient.address);
    to.number(3, recipient.attempts);
    to.number(4, recipient.delayed_notices);
    if (recipient.last_reply) to.nested(5, [&] { write_reply(*recipient.last_reply, octets); });
    to.octets(6, recipient.last_mx);
    to.octets(7, recipient.original);
    to.number(8, recipient.notify);
    to.octets(9, recipient.variables.octets());
}

void read_variables(Recipient& recipient, FieldReader& from) {
    auto variables = MergeVariables::from_octets(std::string(from.octets()));
    if (!variables) return from.mark_bad();
    recipient.variables = *std::move(variables);
}

bool read_recipient(std::string_view fields, Recipient& recipient) {
    return read_fields(fields, [&](FieldReader& from) {
        switch (from.field()) {
            case 1: recipient.index = from.number_as<std::uint32_t>(); break;
            case 2: recipient.address = from.octets(); break;
            case 3: recipient.attempts = from.number_as<std::uint16_t>(); break;
            case 4: recipient.delayed_notices = from.number_as<std::uint16_t>(); break;
            case 5:
                if (!read_reply(from.octets(), recipient.last_reply.emplace())) from.mark_bad();
                break;
            case 6: recipient.last_mx = from.octets(); break;
            case 7: recipient.original = from.octets(); break;
            case 8: recipient.notify = from.number_as<std::uint8_t>(); break;
            case 9: read_variables(recipient, from); break;
            default: break;
        }
    });
}

void write_delivery(const DeliveryFacts& delivery, std::string& octets) {
    FieldWriter to(octets);
    to.octets(1, delivery.mx_host);
    to.octets(2, delivery.mx_address);
    to.octets(3, delivery.source_address);
    to.octets(4, delivery.tls);
    to.number(5, static_cast<std::uint64_t>(delivery.phase));
    to.nested(6, [&] { write_reply(delivery.reply, octets); });
    to.number(7, static_cast<std::uint64_t>(delivery.elapsed.count()));
    to.number(8, delivery.offered);
    to.number(9, delivery.in_doubt ? 1 : 0);
}

bool read_delivery(std::string_view fields, DeliveryFacts& delivery) {
    return read_fields(fields, [&](FieldReader& from) {
        switch (from.field()) {
            case 1: delivery.mx_host = from.octets(); break;
            case 2: delivery.mx_address = from.octets(); break;
            case 3: delivery.source_address = from.octets(); break;
            case 4: delivery.tls = from.octets(); break;
            case 5: delivery.phase = static_cast<SmtpPhase>(from.number_as<std::uint8_t>()); break;
            case 6:
                if (!read_reply(from.octets(), delivery.reply)) from.mark_bad();
                break;
            case 7: delivery.elapsed = Duration(static_cast<std::int64_t>(from.number())); break;
            case 8: delivery.offered = from.number_as<Extensions>(); break;
            case 9: delivery.in_doubt = from.number() != 0; break;
            default: break;
        }
        if (delivery.phase > SmtpPhase::Quit) from.mark_bad();
    });
}

void write_bounce(const BounceFacts& bounce, std::string& octets) {
    FieldWriter to(octets);
    to.octets(1, bounce.type);
    to.octets(2, bounce.category);
    to.number(3, bounce.asynchronous ? 1 : 0);
}

bool read_bounce(std::string_view fields, BounceFacts& bounce) {
    return read_fields(fields, [&](FieldReader& from) {
        switch (from.field()) {
            case 1: bounce.type = from.octets(); break;
            case 2: bounce.category = from.octets(); break;
            case 3: bounce.asynchronous = from.number() != 0; break;
            default: break;
        }
    });
}

// The first 16 octets of `octets` as an id of either kind.
template <class Id>
bool read_id(std::string_view octets, Id& id) {
    if (octets.size() != id.octets.size()) return false;
    std::memcpy(id.octets.data(), octets.data(), id.octets.size());
    return true;
}

Error malformed(const char* what) {
    return {ErrorKind::Corruption, std::string("spool: the fields of ") + what + " are malformed"};
}

}  // namespace

const char* to_string(Column column) {
    switch (column) {
        case Column::Task: return "task";
        case Column::Message: return "message";
        case Column::Chunk: return "chunk";
        case Column::Outbox: return "outbox";
        case Column::Note: return "note";
        case Column::Cursor: return "cursor";
        case Column::Quarantine: return "quarantine";
        case Column::Taken: return "taken";
    }
    return "unknown";
}

std::string key_of(const MessageId& id, std::uint32_t number) {
    std::string key(kNumberedKeyOctets, '\0');
    std::memcpy(key.data(), id.octets.data(), kIdOctets);
    put_big_endian(key.data() + kIdOctets, number);
    return key;
}

std::string key_of_event(std::uint64_t number) {
    std::string key(kEventKeyOctets, '\0');
    put_big_endian(key.data(), number);
    return key;
}

std::string key_of_taken(std::uint32_t day, const MessageId& id) {
    std::string key(kTakenKeyOctets, '\0');
    put_big_endian(key.data(), day);
    std::memcpy(key.data() + 4, id.octets.data(), kIdOctets);
    return key;
}

MessageId id_of_key(std::string_view key) {
    MessageId id;
    require(key.size() >= kIdOctets);
    std::memcpy(id.octets.data(), key.data(), kIdOctets);
    return id;
}

void seal_record(Column column, std::string_view key, char* value, std::size_t size) {
    require(size >= kRecordHeaderOctets);
    if (value[0] == 0) value[0] = static_cast<char>(kPlainVersion);
    put_fixed32(value + 1, checksum_of(column, key, {value, size}));
}

Result<std::string_view> open_record(Column column, std::string_view key, std::string_view value) {
    if (value.size() < kRecordHeaderOctets || get_fixed32(value.data() + 1) != checksum_of(column, key, value)) {
        return Error{ErrorKind::Corruption,
                     std::string("spool: a ") + to_string(column) + " record does not check out"};
    }
    auto version = static_cast<std::uint8_t>(value[0]);
    if (version > kRecordVersion) {
        return Error{ErrorKind::InvalidArgument, std::string("spool: a ") + to_string(column) + " record has version " +
                                                     std::to_string(version) + ", and this Postfleet reads up to " +
                                                     std::to_string(kRecordVersion) +
                                                     ": start the newer Postfleet that wrote it"};
    }
    return value.substr(kRecordHeaderOctets);
}

void put_location(char* to, const Location& location) {
    put_fixed64(to, location.segment);
    put_fixed64(to + 8, location.offset);
    put_fixed32(to + 16, location.size);
    put_fixed32(to + 20, location.checksum);
}

Result<Location> take_location(std::string_view& body) {
    if (body.size() < kLocationOctets) return malformed("a location");
    Location location{get_fixed64(body.data()), get_fixed64(body.data() + 8), get_fixed32(body.data() + 16),
                      get_fixed32(body.data() + 20)};
    body.remove_prefix(kLocationOctets);
    return location;
}

void encode_message(const Message& message, std::string& to) { write_message(message, Scope::Whole, to); }

Result<Message> decode_message(const MessageId& id, std::string_view fields) {
    Message message;
    message.id = id;
    if (!read_message(fields, message)) return malformed("a message");
    return message;
}

void encode_task(const Task& task, std::string& octets) {
    FieldWriter to(octets);
    to.number(1, number_of(task.due));
    to.number(2, number_of(task.accepted_at));
    optional_time(to, 3, task.expires_at);
    to.octets(4, task.domain);
    to.octets(5, task.virtual_mta);
    to.octets(6, task.pool);
    to.octets(7, task.tenant);
    to.octets(8, task.job);
    to.number(9, static_cast<std::uint64_t>(task.priority));
    to.number(10, task.size_octets);
    for (auto& recipient : task.recipients) to.nested(11, [&] { write_recipient(recipient, octets); });
    to.number(12, task.waives_tls_policy ? 1 : 0);
    optional_time(to, 13, task.notice_at);
    to.number(14, task.reroutes);
}

Result<Task> decode_task(const TaskKey& key, std::string_view fields) {
    Task task;
    task.key = key;
    task.priority = Priority::High;
    task.tenant.clear();
    auto ok = read_fields(fields, [&](FieldReader& from) {
        switch (from.field()) {
            case 1: task.due = time_of(from.number()); break;
            case 2: task.accepted_at = time_of(from.number()); break;
            case 3: task.expires_at = time_of(from.number()); break;
            case 4: task.domain = from.octets(); break;
            case 5: task.virtual_mta = from.octets(); break;
            case 6: task.pool = from.octets(); break;
            case 7: task.tenant = from.octets(); break;
            case 8: task.job = from.octets(); break;
            case 9: task.priority = static_cast<Priority>(from.number_as<std::uint8_t>()); break;
            case 10: task.size_octets = from.number(); break;
            case 11:
                if (!read_recipient(from.octets(), task.recipients.emplace_back())) from.mark_bad();
                break;
            case 12: task.waives_tls_policy = from.number() != 0; break;
            case 13: task.notice_at = time_of(from.number()); break;
            case 14: task.reroutes = from.number_as<std::uint8_t>(); break;
            default: break;
        }
        if (static_cast<std::size_t>(task.priority) >= kPriorities) from.mark_bad();
    });
    if (!ok) return malformed("a task");
    return task;
}

void encode_event(const Event& event, std::string& octets) {
    FieldWriter to(octets);
    to.octets_always(1, {reinterpret_cast<const char*>(event.id.octets.data()), event.id.octets.size()});
    to.number(2, static_cast<std::uint64_t>(event.type));
    to.number(3, number_of(event.time));
    if (event.message) {
        to.octets_always(4, key_of(event.message->id));
        to.nested(5, [&] { write_message(*event.message, Scope::ForEvents, octets); });
    }
    to.number(6, event.recipient_index);
    to.octets(7, event.recipient);
    to.octets(8, event.virtual_mta);
    to.octets(9, event.pool);
    to.octets(10, event.queue);
    to.number(11, event.attempt);
    optional_time(to, 12, event.next_attempt_at);
    if (event.delivery) to.nested(13, [&] { write_delivery(*event.delivery, octets); });
    if (event.bounce) to.nested(14, [&] { write_bounce(*event.bounce, octets); });
    to.octets(15, event.reason);
    to.octets(16, event.original_recipient);
}

Result<Event> decode_event(std::string_view fields) {
    Event event;
    std::shared_ptr<Message> message;
    bool has_id = false;
    auto the_message = [&]() -> Message& {
        if (!message) message = std::make_shared<Message>();
        return *message;
    };
    auto ok = read_fields(fields, [&](FieldReader& from) {
        auto must = [&](bool holds) {
            if (!holds) from.mark_bad();
        };
        switch (from.field()) {
            case 1: must(has_id = read_id(from.octets(), event.id)); break;
            case 2: event.type = static_cast<EventType>(from.number_as<std::uint8_t>()); break;
            case 3: event.time = time_of(from.number()); break;
            case 4: must(read_id(from.octets(), the_message().id)); break;
            case 5: must(read_message(from.octets(), the_message())); break;
            case 6: event.recipient_index = from.number_as<std::uint32_t>(); break;
            case 7: event.recipient = from.octets(); break;
            case 8: event.virtual_mta = from.octets(); break;
            case 9: event.pool = from.octets(); break;
            case 10: event.queue = from.octets(); break;
            case 11: event.attempt = from.number_as<std::uint16_t>(); break;
            case 12: event.next_attempt_at = time_of(from.number()); break;
            case 13: must(read_delivery(from.octets(), event.delivery.emplace())); break;
            case 14: must(read_bounce(from.octets(), event.bounce.emplace())); break;
            case 15: event.reason = from.octets(); break;
            case 16: event.original_recipient = from.octets(); break;
            default: break;
        }
    });
    if (!ok || !has_id) return malformed("an event");
    event.message = std::move(message);
    return event;
}

}  // namespace postfleet::spool
