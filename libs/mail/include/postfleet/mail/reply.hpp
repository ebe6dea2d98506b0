// Reply, EnhancedStatus: what an SMTP server answered (RFC 5321 §4.2, RFC 3463). Parsed once, at the edge.
//
// `text` holds the lines without codes, joined by one space, control octets escaped, at most
// kMaxReplyText octets. An answer of our own making (timeout, refused connection) uses code 0 with a text
// that says what happened. Threads: value types.
#pragma once

#include <cstdint>
#include <string>

namespace postfleet {

inline constexpr std::size_t kMaxReplyText = 1024;

struct EnhancedStatus {
    std::uint8_t klass = 0;  // 2, 4 or 5; 0: none given
    std::uint16_t subject = 0;
    std::uint16_t detail = 0;
    explicit operator bool() const { return klass != 0; }
    std::string to_string() const;  // "5.1.1"; empty if none
    friend bool operator==(const EnhancedStatus&, const EnhancedStatus&) = default;
};

struct Reply {
    int code = 0;
    EnhancedStatus enhanced;
    std::string text;

    bool is_positive() const { return code >= 200 && code < 400; }
    bool is_transient() const { return code >= 400 && code < 500; }
    bool is_permanent() const { return code >= 500 && code < 600; }
    // "550 5.1.1 no such user"; only the text when the code is 0.
    std::string to_string() const;
    friend bool operator==(const Reply&, const Reply&) = default;
};

}  // namespace postfleet
