// Capabilities: what a server offers in its EHLO reply (RFC 5321 §4.1.1.1; SIZE RFC 1870, 8BITMIME RFC 6152,
// PIPELINING RFC 2920, SMTPUTF8 RFC 6531, DSN RFC 3461, LIMITS RFC 9422,
// STARTTLS RFC 3207, REQUIRETLS RFC 8689).
//
// CHUNKING RFC 3030, MT-PRIORITY RFC 6710, DELIVERBY RFC 2852, AUTH RFC 4954, also as "AUTH=", which is older.
//
// Parsed defensively: unknown keywords and malformed values are passed over, the first of duplicates counts,
// a limit of 0 means none. Threads: a value type.
#pragma once

#include <cstdint>
#include <string_view>

#include "postfleet/mail/extensions.hpp"

namespace postfleet::smtp {

struct Capabilities {
    Extensions offered = 0;  // every known keyword
    bool pipelining = false;
    bool eight_bit_mime = false;
    bool smtputf8 = false;
    bool dsn = false;
    bool chunking = false;
    bool starttls = false;
    bool require_tls = false;
    bool auth_plain = false;  // of the mechanisms of AUTH, those that we speak
    bool auth_login = false;
    bool mt_priority = false;
    bool deliver_by = false;
    std::uint32_t min_deliver_by = 0;  // seconds that it wants at least, for by-mode R
    bool size = false;
    std::uint64_t max_message_octets = UINT64_MAX;  // SIZE
    std::uint32_t max_recipients = UINT32_MAX;      // LIMITS RCPTMAX, per transaction
    std::uint32_t max_transactions = UINT32_MAX;    // LIMITS MAILMAX, per connection
    std::uint32_t max_domains = UINT32_MAX;         // LIMITS RCPTDOMAINMAX, of recipients, per transaction
    friend bool operator==(const Capabilities&, const Capabilities&) = default;
};

// `lines` as ReplyParser::lines() gives them; the first is the greeting.
Capabilities parse_capabilities(std::string_view lines);

}  // namespace postfleet::smtp
