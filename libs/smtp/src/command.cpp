#include "postfleet/smtp/command.hpp"

#include <algorithm>
#include <charconv>

#include "postfleet/base/text.hpp"

namespace postfleet::smtp {
namespace {

constexpr std::size_t kVerbOctets = 4;

// Four letters as one number, lower case: commands are told apart by a single comparison.
constexpr std::uint32_t pack(std::string_view letters) {
    std::uint32_t packed = 0;
    for (const char c : letters) packed = (packed << 8) | (static_cast<std::uint8_t>(c) | 0x20u);
    return packed;
}

bool is_space(char c) { return c == ' ' || c == '\t'; }

std::string_view trim_spaces(std::string_view text) {
    while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
    return text;
}

Verb four_letter_verb(std::string_view word) {
    // Setting bit 5 maps some punctuation onto letters, so letters are checked first.
    for (const char c : word) {
        if ((c < 'A' || c > 'Z') && (c < 'a' || c > 'z')) return Verb::Unknown;
    }
    switch (pack(word)) {
        case pack("ehlo"): return Verb::Ehlo;
        case pack("helo"): return Verb::Helo;
        case pack("mail"): return Verb::Mail;
        case pack("rcpt"): return Verb::Rcpt;
        case pack("data"): return Verb::Data;
        case pack("bdat"): return Verb::Bdat;
        case pack("rset"): return Verb::Rset;
        case pack("noop"): return Verb::Noop;
        case pack("quit"): return Verb::Quit;
        case pack("vrfy"): return Verb::Vrfy;
        case pack("help"): return Verb::Help;
        case pack("expn"): return Verb::Expn;
        case pack("auth"): return Verb::Auth;
        case pack("etrn"): return Verb::Etrn;
        case pack("turn"): return Verb::Turn;
        case pack("xmrg"): return Verb::Xmrg;
        case pack("xdfn"): return Verb::Xdfn;
        case pack("xprt"): return Verb::Xprt;
        case pack("xack"): return Verb::Xack;
        case pack("post"):
        case pack("head"): return Verb::Foreign;
        default: return Verb::Unknown;
    }
}

bool is_foreign(std::string_view word) {
    return ascii_iequals(word, "GET") || ascii_iequals(word, "PUT") || ascii_iequals(word, "CONNECT") ||
           ascii_iequals(word, "OPTIONS");
}

}  // namespace

const char* to_string(Verb verb) {
    switch (verb) {
        case Verb::Ehlo: return "EHLO";
        case Verb::Helo: return "HELO";
        case Verb::Mail: return "MAIL";
        case Verb::Rcpt: return "RCPT";
        case Verb::Data: return "DATA";
        case Verb::Bdat: return "BDAT";
        case Verb::Rset: return "RSET";
        case Verb::Noop: return "NOOP";
        case Verb::Quit: return "QUIT";
        case Verb::Vrfy: return "VRFY";
        case Verb::Help: return "HELP";
        case Verb::Expn: return "EXPN";
        case Verb::Starttls: return "STARTTLS";
        case Verb::Auth: return "AUTH";
        case Verb::Xclient: return "XCLIENT";
        case Verb::Xmrg: return "XMRG";
        case Verb::Xdfn: return "XDFN";
        case Verb::Xprt: return "XPRT";
        case Verb::Xack: return "XACK";
        case Verb::Etrn: return "ETRN";
        case Verb::Turn: return "TURN";
        case Verb::Foreign: return "foreign";
        case Verb::Unknown: return "unknown";
    }
    return "unknown";
}

Command parse_command(std::string_view line) {
    const auto end = std::find_if(line.begin(), line.end(), is_space);
    const std::string_view word = line.substr(0, static_cast<std::size_t>(end - line.begin()));
    Command command{Verb::Unknown, trim_spaces(line.substr(word.size()))};
    if (word.size() == kVerbOctets) command.verb = four_letter_verb(word);
    else if (ascii_iequals(word, "STARTTLS")) command.verb = Verb::Starttls;
    else if (ascii_iequals(word, "XCLIENT")) command.verb = Verb::Xclient;
    else if (is_foreign(word)) command.verb = Verb::Foreign;
    return command;
}

std::optional<ChunkArgument> parse_chunk_argument(std::string_view argument) {
    constexpr std::size_t kMaxDigits = 20;
    const auto end =
        static_cast<std::size_t>(std::find_if(argument.begin(), argument.end(), is_space) - argument.begin());
    const std::string_view digits = argument.substr(0, end);
    const std::string_view rest = trim_spaces(argument.substr(end));
    ChunkArgument chunk;
    if (digits.empty() || digits.size() > kMaxDigits) return std::nullopt;
    const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), chunk.octets);
    if (error != std::errc{} || stop != digits.data() + digits.size()) return std::nullopt;
    chunk.is_last = ascii_iequals(rest, "LAST");
    if (!rest.empty() && !chunk.is_last) return std::nullopt;
    return chunk;
}

bool take_path_keyword(std::string_view keyword, std::string_view& argument) {
    if (argument.size() <= keyword.size() || argument[keyword.size()] != ':' ||
        !ascii_istarts_with(argument, keyword)) {
        return false;
    }
    argument.remove_prefix(keyword.size() + 1);
    argument = trim_spaces(argument);
    return true;
}

bool is_hello_name(std::string_view name) {
    constexpr std::size_t kLimit = 255;
    if (name.empty() || name.size() > kLimit) return false;
    const bool literal = name.front() == '[';
    if (literal != (name.back() == ']')) return false;
    if (literal) name = name.substr(1, name.size() - 2);
    return !name.empty() && std::all_of(name.begin(), name.end(), [literal](char c) {
        const bool letter_or_digit = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        return letter_or_digit || c == '.' || c == '-' || c == '_' || (literal && c == ':');
    });
}

}  // namespace postfleet::smtp
