// Command: one SMTP command line, split in place into verb and argument (RFC 5321 §4.1.1, §4.1.2).
//
// parse_command() takes the line without its line end. Verbs are case-insensitive; the argument keeps its
// octets and loses only the white space around it. Nothing is copied: the views live as long as the line.
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace postfleet::smtp {

enum class Verb : std::uint8_t {
    Ehlo,
    Helo,
    Mail,
    Rcpt,
    Data,
    Bdat,
    Rset,
    Noop,
    Quit,
    Vrfy,
    Help,
    Starttls,
    Auth,
    Xclient,
    Xmrg,
    Xdfn,
    Xprt,
    Xack,
    Expn,
    Etrn,
    Turn,     // known and switched off: 502, not 500
    Foreign,  // HTTP's: whoever sends it does not speak SMTP, and may be made to by a web page
    Unknown,
};
inline constexpr std::size_t kVerbs = static_cast<std::size_t>(Verb::Unknown) + 1;

const char* to_string(Verb verb);  // "MAIL"

struct Command {
    Verb verb = Verb::Unknown;
    std::string_view argument;
};

Command parse_command(std::string_view line);

// The argument of BDAT (RFC 3030 §2): up to 20 digits that fit into 64 bits, and perhaps LAST. Nothing: it is wrong, and
// where the octets of the chunk end is not known.
struct ChunkArgument {
    std::uint64_t octets = 0;
    bool is_last = false;
};
std::optional<ChunkArgument> parse_chunk_argument(std::string_view argument);

// The argument of MAIL without "FROM:", of RCPT without "TO:" (white space after the colon is let pass, as
// everybody does). False: the keyword is not there.
bool take_path_keyword(std::string_view keyword, std::string_view& argument);

// A domain name or an address literal as EHLO and HELO carry it (RFC 5321 §4.1.1.1). Lenient about what
// real clients send (underscores, single labels); strict about what could break a header or a log line.
bool is_hello_name(std::string_view name);

}  // namespace postfleet::smtp
