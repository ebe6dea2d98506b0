#include "postfleet/ingest/pickup_dialogue.hpp"

#include <algorithm>

#include "postfleet/base/text.hpp"
#include "postfleet/smtp/command.hpp"

namespace postfleet::ingest {
namespace {

using smtp::Verb;
using Waiting = smtp::ServerSession::Waiting;

// Longer lines of a message are said in pieces; a command is never that long.
constexpr std::size_t kLongestHeld = 64 * 1024;
// QUIT and empty lines.
constexpr std::size_t kMostBehind = 1024;

constexpr const char* kMoreBehind = "there is more behind the message; a file is one message";

bool is_for_files(Verb verb) {
    constexpr Verb kVerbs[] = {Verb::Helo, Verb::Ehlo, Verb::Mail, Verb::Rcpt, Verb::Data, Verb::Xmrg,
                               Verb::Xdfn, Verb::Xprt, Verb::Xack, Verb::Rset, Verb::Noop};
    return std::find(std::begin(kVerbs), std::end(kVerbs), verb) != std::end(kVerbs);
}

std::string_view without_cr(std::string_view line) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
}

// The last line of a reply to one command.
std::string_view last_line(std::string_view replies) {
    if (replies.ends_with("\r\n")) replies.remove_suffix(2);
    const std::size_t before = replies.rfind('\n');
    return before == std::string_view::npos ? replies : replies.substr(before + 1);
}

}  // namespace

bool begins_dialogue(std::string_view first_line) {
    const Verb verb = smtp::parse_command(without_cr(first_line)).verb;
    return verb == Verb::Helo || verb == Verb::Ehlo || verb == Verb::Mail || verb == Verb::Xmrg || verb == Verb::Xack;
}

void PickupDialogue::take(std::string_view octets) {
    rest_.append(octets);
    left_ -= std::min<std::uint64_t>(left_, octets.size());
}

std::optional<std::string> PickupDialogue::check_command(std::string_view line) {
    const smtp::Command command = smtp::parse_command(line);
    if (!is_for_files(command.verb)) return "no command for a file: " + printable(line, 100);
    const bool is_last =
        command.argument.size() > 4 && ascii_iequals(command.argument.substr(command.argument.size() - 4), "LAST");
    ends_message_ = command.verb == Verb::Data || (command.verb == Verb::Xprt && is_last);
    return std::nullopt;
}

std::optional<std::string> PickupDialogue::check_end(std::string_view behind) const {
    if (left_ + behind.size() > kMostBehind) return kMoreBehind;
    for (const std::string_view line : split(behind, '\n')) {
        if (!trim(line).empty() && !ascii_iequals(trim(line), "QUIT")) return kMoreBehind;
    }
    return std::nullopt;
}

std::optional<std::string> PickupDialogue::say(std::string_view line, bool& may_try_again) {
    const bool is_command = session_.waiting_for() == Waiting::Command;
    std::string replies;
    session_.receive(line, replies);
    const std::string_view reply = last_line(replies);
    if (!reply.starts_with('4') && !reply.starts_with('5')) return std::nullopt;
    may_try_again = reply.starts_with('4');
    if (!is_command) return printable(reply);
    return printable(reply) + ", in answer to: " + printable(trim(line), 200);
}

std::optional<std::string> PickupDialogue::go_on(bool& may_try_again) {
    std::size_t at = 0;
    std::optional<std::string> problem;
    while (!problem && session_.wants_input() && !is_accepted()) {
        const bool in_content = session_.waiting_for() == Waiting::Content;
        const std::string_view rest = std::string_view(rest_).substr(at);
        const std::size_t end = rest.find('\n');
        if (end == std::string_view::npos && left_ > 0) {
            if (rest.size() <= kLongestHeld) break;
            if (!in_content) return "a line is too long";
            problem = say(rest, may_try_again);
            at = rest_.size();
            continue;
        }
        if (rest.empty()) return "the file ends before its message does";
        const std::string_view line = without_cr(rest.substr(0, end));
        const std::size_t size = end == std::string_view::npos ? rest.size() : end + 1;
        if (in_content && ends_message_ && line == ".") {
            problem = check_end(rest.substr(size));
            if (!problem && left_ > 0) break;  // QUIT, or something else
        } else if (!in_content) {
            problem = check_command(line);
        }
        if (!problem) problem = say(std::string(line) + "\r\n", may_try_again);
        at += size;
    }
    rest_.erase(0, at);
    return problem;
}

}  // namespace postfleet::ingest
