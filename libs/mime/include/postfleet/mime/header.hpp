// HeaderReader: walks the header fields of a message in place (RFC 5322 §2.2).
//
//   Subject: a\r\n  b\r\n     one field: name "Subject", value " a\r\n  b" (folded, as it stands)
//   \r\n                      end of the header; the body follows
//
// The header also ends, unfinished, at the first line that is no field (no colon, or a name that is not
// printable ASCII): what follows is taken for the body. Obsolete white space before the colon is let pass.
// Content has CRLF line ends (smtp::DataScanner sees to it); a last line without one counts as a line.
//
// Threads: confined; views live as long as the message. Units: octets from the start of the message.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace postfleet::mime {

struct Span {
    std::size_t begin = 0;
    std::size_t end = 0;
};

struct Field {
    std::string_view name;
    std::string_view value;  // behind the colon, without the last CRLF
    Span span;               // the whole field with its last CRLF
};

class HeaderReader {
public:
    explicit HeaderReader(std::string_view message) : message_(message) {}

    std::optional<Field> next();

    // After next() gave nothing. Where the fields end: the blank line, or the first line that is no field.
    std::size_t end() const { return at_; }
    // A blank line closed the header.
    bool is_closed() const { return closed_; }
    // The message ended before the header did.
    bool is_cut_off() const { return at_ == message_.size(); }

private:
    std::string_view message_;
    std::size_t at_ = 0;
    bool closed_ = false;
};

// The value in one line: line ends go, white space at both ends too; at most `limit` octets.
std::string unfold(std::string_view value, std::size_t limit);
// False: the value is one line already, and trim() is all that it needs.
bool is_folded(std::string_view value);

// Cuts the spans out; they are in order and do not overlap.
void remove_spans(std::string& message, std::span<const Span> spans);

}  // namespace postfleet::mime
