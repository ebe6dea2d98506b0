// AccountingFormat: events as rows of the accounting file that PowerMTA's users have tools for.
//
// CSV (RFC 4180) in UTF-8. The first row names the columns; the first column is always `type`. A file with
// several record types has the union of their columns, and what a record does not know is empty. The default
// columns and their order are fixed for good, since readers count columns: anything new comes by request only.
//
//   d   delivered                              b   bounced, expired, deleted, suppressed: it ends undelivered
//   t   one attempt for one recipient failed   tq  no connection could be opened for a queue
//   r   received
//
// Times are UTC. Threads: immutable, thread-safe. Errors: make() names the field that it does not know.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/base/digests.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/mail/event.hpp"

namespace postfleet::report {

enum class AccountingRecord : std::uint8_t { Delivery, Bounce, Transient, TransientQueue, Receipt };

const char* to_string(AccountingRecord record);  // "d", "b", "t", "tq", "r"
std::optional<AccountingRecord> parse_accounting_record(std::string_view name);
// Which record tells of such an event; none for most operator events.
std::optional<AccountingRecord> accounting_record(EventType type);
// The events that a file of these records needs.
std::vector<EventType> accounting_events(const std::vector<AccountingRecord>& records);

// What happens to the local part of recipients, also where replies and reverse-paths quote it.
enum class AccountingPrivacy : std::uint8_t { Retain, Redact, HmacSha256 };

struct AccountingOptions {
    std::vector<AccountingRecord> records{AccountingRecord::Delivery, AccountingRecord::Bounce};
    // Columns by record: "*" (all default ones), names, "!name" (taken out), "header_X-Foo". Missing: "*".
    std::map<AccountingRecord, std::vector<std::string>> fields;
    bool iso_times = true;    // "2026-11-22 10:11:12+0000"; false: seconds since 1970
    std::string user_string;  // column userString
    AccountingPrivacy privacy = AccountingPrivacy::Retain;
    std::string privacy_key;  // HmacSha256
    std::shared_ptr<const Digests> digests;
};

struct AccountingRow;

class AccountingFormat final {
public:
    static Result<AccountingFormat> make(AccountingOptions options);

    // The first row of a file, without a line end.
    const std::string& header() const { return header_; }
    // Headers of messages that columns show ("X-Foo"), so that they are kept at acceptance.
    std::vector<std::string> wanted_headers() const;
    // Appends the row of `event`, without a line end. False: it has none in this file.
    bool render(const Event& event, std::string& out) const;

private:
    using Cell = void (*)(const AccountingRow&, std::string& out);
    struct Column {
        std::string name;
        Cell cell = nullptr;  // null: the message header `header`
        std::string header;
        std::uint8_t records = 0;  // bits: for which records it is filled
    };

    explicit AccountingFormat(AccountingOptions options) : options_(std::move(options)) {}
    Status add_columns(AccountingRecord record, const std::vector<std::string>& wanted);
    Status add_column(AccountingRecord record, const std::string& name);

    AccountingOptions options_;
    std::vector<Column> columns_;
    std::string header_;
};

}  // namespace postfleet::report
