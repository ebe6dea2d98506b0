// Mailbox: a parsed SMTP path without its angle brackets (RFC 5321 §4.1.2, RFC 6531 §3.3).
//
// The local part is kept as received; the domain is lower case, in A-label form (RFC 5891). An address
// literal keeps its brackets. Limits: local part 64 octets, domain 253 (what DNS can hold), path 254
// (RFC 5321 §4.5.3.1, without its brackets). Threads: a value type.
#pragma once

#include <string>
#include <string_view>

#include "postfleet/base/result.hpp"

namespace postfleet {

struct Mailbox {
    std::string local_part;
    std::string domain;

    // "user@Example.ORG" → local part "user", domain "example.org". A quoted local part keeps its quotes.
    // UTF-8 is taken in the local part only when `utf8` is Allow, and in the domain then too (as A-label).
    enum class Utf8 { Refuse, Allow };
    static Result<Mailbox> parse(std::string_view text, Utf8 utf8 = Utf8::Refuse);
    std::string to_string() const { return local_part + "@" + domain; }
    friend bool operator==(const Mailbox&, const Mailbox&) = default;
};

// Lower case, without a trailing dot, U-labels to A-labels; checks label and name lengths.
Result<std::string> normalize_domain(std::string_view text);
// The part after the last "@" of a path that was parsed before; empty if there is none.
std::string_view domain_of(std::string_view path);

}  // namespace postfleet
