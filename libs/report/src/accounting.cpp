#include "postfleet/report/accounting.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include "postfleet/base/network.hpp"
#include "postfleet/base/text.hpp"
#include "status_gloss.hpp"

namespace postfleet::report {

// What the cells of one row are made from.
struct AccountingRow {
    const Event& event;
    const AccountingOptions& options;
    AccountingRecord record;
    std::string concealed;  // stands for the recipient's local part; empty: it is shown
};

namespace {

using Record = AccountingRecord;

constexpr std::array kRecords{Record::Delivery, Record::Bounce, Record::Transient, Record::TransientQueue,
                              Record::Receipt};
constexpr std::uint8_t bit(Record record) { return static_cast<std::uint8_t>(1U << static_cast<unsigned>(record)); }
constexpr std::uint8_t kAttempts = bit(Record::Delivery) | bit(Record::Bounce) | bit(Record::Transient);
constexpr std::uint8_t kMail = kAttempts | bit(Record::Receipt);
constexpr std::uint8_t kSmtp = kAttempts | bit(Record::TransientQueue);
constexpr std::uint8_t kAll = kMail | kSmtp;

std::string iso_time(WallTime time) {
    // "2026-11-22T10:11:12.345678Z" has what we need.
    std::string text = format_rfc3339(time).substr(0, 19);
    text[10] = ' ';
    return text + "+0000";
}

void put_time(const AccountingOptions& options, WallTime time, std::string& out) {
    out += options.iso_times ? iso_time(time) : std::to_string(to_unix_microseconds(time) / 1'000'000);
}

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }

// Where `text` quotes the local part, the recipient's whole address or as part of a VERP address, too.
std::string conceal_in(std::string_view text, std::string_view local, std::string_view concealed) {
    const std::string lower = to_ascii_lower(text), needle = to_ascii_lower(local);
    std::string out;
    std::size_t at = 0;
    while (!needle.empty()) {
        const std::size_t found = lower.find(needle, at);
        if (found == std::string::npos) break;
        const std::size_t end = found + needle.size();
        const bool whole = (found == 0 || !is_word(text[found - 1])) && (end == text.size() || !is_word(text[end]));
        out.append(text.substr(at, found - at)).append(whole ? concealed : text.substr(found, needle.size()));
        at = end;
    }
    return out.append(text.substr(at));
}

std::string_view local_part(std::string_view address) { return address.substr(0, address.rfind('@')); }

EnhancedStatus status_of(const Event& event, Record record) {
    if (event.type == EventType::Expired) return {4, 4, 7};
    if (event.type == EventType::Cancelled || event.type == EventType::Suppressed) return {5, 7, 1};
    if (event.type == EventType::RenderingFailed) return {5, 6, 0};
    if (!event.delivery) return {};
    const Reply& reply = event.delivery->reply;
    if (reply.enhanced) return reply.enhanced;
    if (record == Record::Delivery) return {2, 0, 0};
    const auto klass = static_cast<std::uint8_t>(reply.is_permanent() || record == Record::Bounce ? 5 : 4);
    const bool no_answer = reply.code == 0;
    if (no_answer && event.delivery->phase == SmtpPhase::Resolve) return {klass, 4, 3};
    if (no_answer && event.delivery->phase == SmtpPhase::Connect) return {klass, 4, 1};
    if (no_answer && event.delivery->phase != SmtpPhase::None) return {klass, 4, 2};
    return {klass, 0, 0};
}

void put_private(const AccountingRow& row, std::string_view text, std::string& out) {
    if (row.concealed.empty()) {
        out += text;
    } else {
        out += conceal_in(text, local_part(row.event.recipient), row.concealed);
    }
}

// "mx1.example.org (192.0.2.1)"
void put_host(std::string_view host, std::string_view address, std::string& out) {
    out += host;
    if (address.empty()) return;
    if (!host.empty()) out += ' ';
    out.append("(").append(address).append(")");
}

std::string destination_ip(const DeliveryFacts& facts) {
    const Result<Endpoint> endpoint = Endpoint::parse(facts.mx_address);
    return endpoint ? endpoint->address.to_string() : facts.mx_address;
}

const Message& message_of(const AccountingRow& row) {
    static const Message kUnknown;
    return row.event.message ? *row.event.message : kUnknown;
}

const DeliveryFacts& delivery_of(const AccountingRow& row) {
    static const DeliveryFacts kUnknown;
    return row.event.delivery ? *row.event.delivery : kUnknown;
}

// dsnAction (RFC 3464 §2.3.3): the next hop is told nothing of a wish for DSNs that it does not offer to keep.
std::string_view action_of(Record record) {
    switch (record) {
        case Record::Delivery: return "relayed";
        case Record::Bounce: return "failed";
        case Record::Transient: return "delayed";
        case Record::TransientQueue:
        case Record::Receipt: break;
    }
    return "";
}

void put_status(const AccountingRow& row, std::string& out) {
    const EnhancedStatus status = status_of(row.event, row.record);
    if (status) out.append(status.to_string()).append(" (").append(gloss(status)).append(")");
}

void put_diagnostic(const AccountingRow& row, std::string& out) {
    if (row.event.type == EventType::Cancelled) {
        out += "smtp;500 5.7.1 deleted by administrator";
        return;
    }
    const Reply& reply = delivery_of(row).reply;
    if (reply.code == 0 && reply.text.empty()) {
        put_private(row, row.event.reason, out);
        return;
    }
    out += "smtp;";
    put_private(row, reply.to_string(), out);
}

void put_seconds_queued(const AccountingRow& row, std::string& out) {
    const auto queued = row.event.time - message_of(row).accepted_at;
    out += std::to_string(std::max<std::int64_t>(0, std::chrono::duration_cast<std::chrono::seconds>(queued).count()));
}

// "TLSv1.3/TLS_AES_128_GCM_SHA256/may/none"
std::string_view tls_protocol(std::string_view tls) { return tls.substr(0, tls.find('/')); }
std::string_view tls_cipher(std::string_view tls) {
    const std::size_t slash = tls.find('/');
    if (slash == std::string_view::npos) return "";
    tls.remove_prefix(slash + 1);
    return tls.substr(0, tls.find('/'));
}

struct Field {
    const char* name;
    std::uint8_t records;     // that can have it
    std::uint8_t by_default;  // that have it without being asked
    void (*cell)(const AccountingRow&, std::string& out);
};

// In the order of the default columns; those of receipts and queue records keep their own, see below.
constexpr std::uint8_t kNone = 0;
const std::array kFields{
    Field{"type", kAll, kAll, [](const AccountingRow& row, std::string& out) { out += to_string(row.record); }},
    Field{"timeLogged", kAll, kAll,
          [](const AccountingRow& row, std::string& out) { put_time(row.options, row.event.time, out); }},
    Field{"timeQueued", kAttempts, kAttempts,
          [](const AccountingRow& row, std::string& out) { put_time(row.options, message_of(row).accepted_at, out); }},
    Field{"orig", kMail, kMail,
          [](const AccountingRow& row, std::string& out) { put_private(row, message_of(row).reverse_path, out); }},
    Field{"rcpt", kMail, kMail,
          [](const AccountingRow& row, std::string& out) { put_private(row, row.event.recipient, out); }},
    Field{"orcpt", kMail, kMail,
          [](const AccountingRow& row, std::string& out) { put_private(row, row.event.original_recipient, out); }},
    Field{"dsnAction", kAttempts, kAttempts,
          [](const AccountingRow& row, std::string& out) { out += action_of(row.record); }},
    Field{"dsnStatus", kSmtp, kSmtp, put_status},
    Field{"dsnDiag", kSmtp, kSmtp, put_diagnostic},
    Field{"dsnMta", kSmtp, kSmtp,
          [](const AccountingRow& row, std::string& out) {
              put_host(delivery_of(row).mx_host, destination_ip(delivery_of(row)), out);
          }},
    Field{"bounceCat", kAttempts, kAttempts,
          [](const AccountingRow& row, std::string& out) {
              if (row.event.bounce) out += row.event.bounce->category;
          }},
    Field{"srcType", kMail, kMail,
          [](const AccountingRow& row, std::string& out) {
              out += message_of(row).client_address.empty() ? "api" : "smtp";
          }},
    Field{"srcMta", kMail, kMail,
          [](const AccountingRow& row, std::string& out) {
              put_host(message_of(row).helo, message_of(row).client_address, out);
          }},
    Field{"rcvSourceIp", bit(Record::Receipt), bit(Record::Receipt),
          [](const AccountingRow& row, std::string& out) { out += message_of(row).client_address; }},
    Field{"rcvDestinationIp", bit(Record::Receipt), bit(Record::Receipt),
          [](const AccountingRow& row, std::string& out) { out += message_of(row).server_address; }},
    Field{"dlvType", kSmtp, kSmtp, [](const AccountingRow&, std::string& out) { out += "smtp"; }},
    Field{"dlvSourceIp", kSmtp, kSmtp,
          [](const AccountingRow& row, std::string& out) { out += delivery_of(row).source_address; }},
    Field{"dlvDestinationIp", kSmtp, kSmtp,
          [](const AccountingRow& row, std::string& out) { out += destination_ip(delivery_of(row)); }},
    Field{"dlvEsmtpAvailable", kAttempts, kAttempts,
          [](const AccountingRow& row, std::string& out) { out += extension_names(delivery_of(row).offered); }},
    Field{"dlvSize", kAttempts, kAttempts,
          [](const AccountingRow& row, std::string& out) {
              if (row.record != Record::Delivery) return;
              out += std::to_string(message_of(row).size_octets + message_of(row).prepended_header.size());
          }},
    Field{"vmta", kAll, kAll,
          [](const AccountingRow& row, std::string& out) {
              const bool by_pool = row.record == Record::Receipt && !row.event.pool.empty();
              out += by_pool ? row.event.pool : row.event.virtual_mta;
          }},
    Field{"jobId", kMail, kMail, [](const AccountingRow& row, std::string& out) { out += message_of(row).job; }},
    Field{"envId", kMail, kMail,
          [](const AccountingRow& row, std::string& out) { out += message_of(row).envelope_id; }},
    Field{"queue", kSmtp, kSmtp, [](const AccountingRow& row, std::string& out) { out += row.event.queue; }},
    Field{"vmtaPool", kMail, kAttempts, [](const AccountingRow& row, std::string& out) { out += row.event.pool; }},
    Field{"totalSecondsQueued", kAttempts, kNone, put_seconds_queued},
    Field{"userString", kAll, kNone,
          [](const AccountingRow& row, std::string& out) { out += row.options.user_string; }},
    Field{"dlvTlsProtocol", kAttempts, kNone,
          [](const AccountingRow& row, std::string& out) { out += tls_protocol(delivery_of(row).tls); }},
    Field{"dlvTlsCipher", kAttempts, kNone,
          [](const AccountingRow& row, std::string& out) { out += tls_cipher(delivery_of(row).tls); }},
    Field{"rcvSmtpUser", kMail, kNone, [](const AccountingRow& row, std::string& out) { out += message_of(row).user; }},
};

// A value as a CSV field (RFC 4180 §2): quoted when it has to be.
void put_quoted(const std::string& value, std::string& out) {
    if (value.find_first_of(",\"\r\n") == std::string::npos) {
        out += value;
        return;
    }
    out += '"';
    for (const char c : value) {
        if (c == '"') out += '"';
        out += c;
    }
    out += '"';
}

std::string hexadecimal(std::string_view octets) {
    static constexpr std::string_view kDigits = "0123456789abcdef";
    std::string out;
    for (const char c : octets) {
        const auto octet = static_cast<unsigned char>(c);
        out += kDigits[octet >> 4U];
        out += kDigits[octet & 15U];
    }
    return out;
}

std::string concealed_form(const AccountingOptions& options, const Event& event) {
    switch (options.privacy) {
        case AccountingPrivacy::Retain: return {};
        case AccountingPrivacy::Redact: return "[redacted]";
        case AccountingPrivacy::HmacSha256: break;
    }
    const std::string local = to_ascii_lower(local_part(event.recipient));
    return hexadecimal(octets_of(options.digests->hmac_sha256(options.privacy_key, local)));
}

constexpr std::string_view kHeaderPrefix = "header_";

const std::string* find_header(const Message& message, const std::string& name) {
    for (const auto& [known, value] : message.recorded_headers) {
        if (known == name) return &value;
    }
    return nullptr;
}

}  // namespace

const char* to_string(AccountingRecord record) {
    switch (record) {
        case Record::Delivery: return "d";
        case Record::Bounce: return "b";
        case Record::Transient: return "t";
        case Record::TransientQueue: return "tq";
        case Record::Receipt: return "r";
    }
    return "";
}

std::optional<AccountingRecord> parse_accounting_record(std::string_view name) {
    const auto found =
        std::find_if(kRecords.begin(), kRecords.end(), [&](auto record) { return name == to_string(record); });
    return found == kRecords.end() ? std::nullopt : std::optional(*found);
}

std::optional<AccountingRecord> accounting_record(EventType type) {
    switch (type) {
        case EventType::Accepted: return Record::Receipt;
        case EventType::Delivered: return Record::Delivery;
        case EventType::Deferred: return Record::Transient;
        case EventType::Bounced:
        case EventType::Expired:
        case EventType::Suppressed:
        case EventType::Cancelled:
        case EventType::RenderingFailed: return Record::Bounce;
        case EventType::QueueConnectFailed: return Record::TransientQueue;
        case EventType::Rejected:
        case EventType::Opened:
        case EventType::Clicked:
        case EventType::Unsubscribed:
        case EventType::Complained:
        case EventType::AutoReplied:
        case EventType::QueueBackoffEntered:
        case EventType::QueueBackoffLeft:
        case EventType::QueueLoginRefused:
        case EventType::VirtualMtaDisabled:
        case EventType::VirtualMtaEnabled: return std::nullopt;
    }
    return std::nullopt;
}

std::vector<EventType> accounting_events(const std::vector<AccountingRecord>& records) {
    constexpr std::array kTypes{EventType::Accepted,  EventType::Delivered,       EventType::Deferred,
                                EventType::Bounced,   EventType::Expired,         EventType::Suppressed,
                                EventType::Cancelled, EventType::RenderingFailed, EventType::QueueConnectFailed};
    std::vector<EventType> types;
    for (const EventType type : kTypes) {
        if (std::find(records.begin(), records.end(), accounting_record(type)) != records.end()) types.push_back(type);
    }
    return types;
}

Result<AccountingFormat> AccountingFormat::make(AccountingOptions options) {
    AccountingFormat format(std::move(options));
    for (const Record record : kRecords) {
        const auto& records = format.options_.records;
        if (std::find(records.begin(), records.end(), record) == records.end()) continue;
        const auto asked = format.options_.fields.find(record);
        static const std::vector<std::string> kDefault{"*"};
        const auto& wanted = asked == format.options_.fields.end() ? kDefault : asked->second;
        if (Status added = format.add_columns(record, wanted); !added) return added.error();
    }
    for (const Column& column : format.columns_) {
        if (!format.header_.empty()) format.header_ += ',';
        put_quoted(column.name, format.header_);
    }
    return format;
}

Status AccountingFormat::add_columns(AccountingRecord record, const std::vector<std::string>& wanted) {
    std::vector<std::string> names{"type"};
    for (const std::string& word : wanted) {
        if (word == "*") {
            for (const Field& field : kFields) {
                if ((field.by_default & bit(record)) != 0 && field.name != names.front())
                    names.emplace_back(field.name);
            }
        } else if (word.starts_with('!')) {
            std::erase(names, word.substr(1));
        } else if (std::find(names.begin(), names.end(), word) == names.end()) {
            names.push_back(word);
        }
    }
    for (const std::string& name : names) {
        if (Status added = add_column(record, name); !added) return added;
    }
    return {};
}

Status AccountingFormat::add_column(AccountingRecord record, const std::string& name) {
    const auto known =
        std::find_if(columns_.begin(), columns_.end(), [&](auto& column) { return column.name == name; });
    if (known != columns_.end()) {
        known->records = static_cast<std::uint8_t>(known->records | bit(record));
        return {};
    }
    if (name.starts_with(kHeaderPrefix) && name.size() > kHeaderPrefix.size()) {
        columns_.push_back({name, nullptr, to_ascii_lower(name.substr(kHeaderPrefix.size())), bit(record)});
        return {};
    }
    for (const Field& field : kFields) {
        if (name != field.name || (field.records & bit(record)) == 0) continue;
        columns_.push_back({name, field.cell, {}, bit(record)});
        return {};
    }
    return Error{ErrorKind::InvalidArgument, "'" + name + "' is no field of the record '" + to_string(record) + "'"};
}

std::vector<std::string> AccountingFormat::wanted_headers() const {
    std::vector<std::string> names;
    for (const Column& column : columns_) {
        if (column.cell == nullptr) names.push_back(column.header);
    }
    return names;
}

bool AccountingFormat::render(const Event& event, std::string& out) const {
    const auto record = accounting_record(event.type);
    const auto& records = options_.records;
    if (!record || std::find(records.begin(), records.end(), *record) == records.end()) return false;
    const AccountingRow row{event, options_, *record, concealed_form(options_, event)};
    std::string value;
    bool first = true;
    for (const Column& column : columns_) {
        if (!first) out += ',';
        first = false;
        if ((column.records & bit(*record)) == 0) continue;
        value.clear();
        if (column.cell != nullptr) {
            column.cell(row, value);
        } else if (const std::string* text = find_header(message_of(row), column.header)) {
            put_private(row, *text, value);
        }
        put_quoted(value, out);
    }
    return true;
}

}  // namespace postfleet::report
