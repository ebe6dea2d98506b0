// ReplyParser: cuts what an SMTP server sends into replies (RFC 5321 §4.2, RFC 2034 §4).
//
// Incremental: a reply may come in any pieces. A reply that arrives whole is parsed where it is, without a
// copy; its views live until the next call and no longer than the input. Bounded: a line has at most
// kMaxLineOctets, a reply kMaxReplyOctets; more is Garbage, so a hostile server costs a few KiB.
//
// Lenient where servers are sloppy: a bare LF ends a line, a reply may have no text, the lines of one reply
// may disagree about the code (the last one counts). Garbage: no three digits, a first digit outside 2 to 5,
// something else than space or "-" behind the code. After Garbage the stream is out of step for good.
//
// Threads: confined. Errors: Garbage, with flaw() for people.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "postfleet/mail/reply.hpp"

namespace postfleet::smtp {

class ReplyParser final {
public:
    static constexpr std::size_t kMaxLineOctets = 4096;
    static constexpr std::size_t kMaxReplyOctets = 64 * 1024;

    enum class Status : std::uint8_t { NeedMore, Complete, Garbage };

    // Takes octets off the front of `input` up to the end of one reply, or all of them.
    Status parse(std::string_view& input);

    // Of the reply that parse() completed.
    int code() const { return code_; }
    EnhancedStatus enhanced() const { return enhanced_; }
    // Its lines without codes, "\n" between them; octets as they came.
    std::string_view lines() const { return lines_; }
    // A copy to keep: text escaped and capped as mail/reply.hpp says.
    Reply to_reply() const;

    const char* flaw() const { return flaw_; }

private:
    enum class LineKind : std::uint8_t { Last, Continued, Bad };
    LineKind parse_line(std::string_view line);
    Status fail(const char* flaw);

    std::string partial_;   // the beginning of a line whose end has not come yet
    std::string gathered_;  // the lines before the last one of a multi-line reply
    std::string_view lines_;
    std::string_view line_text_;
    std::size_t reply_octets_ = 0;
    int code_ = 0;
    EnhancedStatus enhanced_;
    bool continued_ = false;
    const char* flaw_ = "";
};

// "5.1.1 no such user" → status 5.1.1, text "no such user"; the class must fit the reply code. Otherwise the
// text stays as it is and there is no status.
EnhancedStatus take_enhanced_status(int code, std::string_view& text);

}  // namespace postfleet::smtp
