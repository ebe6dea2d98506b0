// Path: what stands in the angle brackets of MAIL FROM and RCPT TO (RFC 5321 §4.1.2).
//
//   <>                          the null reverse-path: empty mailbox
//   <user@example.org>          mailbox
//   <@a.example,@b.example:u@d> source route: parsed and dropped (RFC 5321 appendix C)
//   <"a > b\"c"@d>              quoted local part: kept octet by octet
//   <postmaster>                local part alone: only this one, in any case (RFC 5321 §4.5.1)
//
// parse_path() reads one path from the front of `text` and leaves the ESMTP parameters behind it.
// Threads: pure functions. Errors: a PathError, and text is left where it was.
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>

#include "postfleet/mail/address.hpp"

namespace postfleet::smtp {

enum class PathError : std::uint8_t {
    Syntax,    // no brackets, unbalanced quotes, bad characters
    TooLong,   // RFC 5321 §4.5.3.1
    NotAscii,  // octets above 127 without SMTPUTF8
};

enum class PathKind : std::uint8_t { Null, Mailbox, Postmaster };

struct Path {
    PathKind kind = PathKind::Null;
    postfleet::Mailbox mailbox;  // PathKind::Mailbox; for Postmaster the local part as sent, no domain
};

std::variant<Path, PathError> parse_path(std::string_view& text, postfleet::Mailbox::Utf8 utf8);

}  // namespace postfleet::smtp
