#include "postfleet/base/json.hpp"

#include <array>
#include <cmath>
#include <iterator>

#include <fmt/format.h>

#include "hex.hpp"
#include "postfleet/base/text.hpp"

namespace postfleet {
namespace {

// What may go out as it is: everything in ASCII but the controls, the quote and the backslash.
constexpr std::array<bool, 256> kPlain = [] {
    std::array<bool, 256> plain{};
    for (unsigned c = 0x20; c < 0x7f; ++c) plain[c] = c != '"' && c != '\\';
    return plain;
}();

std::size_t plain_run(std::string_view text) {
    std::size_t length = 0;
    while (length < text.size() && kPlain[static_cast<std::uint8_t>(text[length])]) ++length;
    return length;
}

void append_escape(std::string& out, char c) {
    switch (c) {
        case '"': out += "\\\""; return;
        case '\\': out += "\\\\"; return;
        case '\b': out += "\\b"; return;
        case '\f': out += "\\f"; return;
        case '\n': out += "\\n"; return;
        case '\r': out += "\\r"; return;
        case '\t': out += "\\t"; return;
        default: break;
    }
    const auto octet = static_cast<std::uint8_t>(c);
    out += "\\u00";
    out += hex::kDigits[octet >> 4];
    out += hex::kDigits[octet & 15];
}

void append_string(std::string& out, std::string_view text) {
    out += '"';
    for (;;) {
        const std::size_t run = plain_run(text);
        out.append(text, 0, run);
        text.remove_prefix(run);
        if (text.empty()) break;
        const std::size_t length = utf8_sequence_length(text);
        if (length == 1) append_escape(out, text[0]);
        else if (length == 0) out += "\xef\xbf\xbd";  // U+FFFD
        else out.append(text, 0, length);
        text.remove_prefix(length == 0 ? 1 : length);
    }
    out += '"';
}

}  // namespace

void JsonWriter::separate() {
    // In an object a value needs its key; outside everything there is one value only.
    require(after_key_ || (depth_ == 0 ? !needs_comma_ : (objects_ & 1) == 0));
    if (needs_comma_) out_ += ',';
    needs_comma_ = true;
    after_key_ = false;
}

JsonWriter& JsonWriter::open(char bracket, bool is_object) {
    separate();
    require(depth_ < kMaxDepth);
    out_ += bracket;
    objects_ = objects_ << 1 | (is_object ? 1u : 0u);
    ++depth_;
    needs_comma_ = false;
    return *this;
}

JsonWriter& JsonWriter::close(char bracket, bool is_object) {
    require(depth_ > 0 && !after_key_ && ((objects_ & 1) == 1) == is_object);
    out_ += bracket;
    objects_ >>= 1;
    --depth_;
    needs_comma_ = true;
    return *this;
}

JsonWriter& JsonWriter::begin_object() { return open('{', true); }
JsonWriter& JsonWriter::end_object() { return close('}', true); }
JsonWriter& JsonWriter::begin_array() { return open('[', false); }
JsonWriter& JsonWriter::end_array() { return close(']', false); }

JsonWriter& JsonWriter::key(std::string_view name) {
    require(depth_ > 0 && (objects_ & 1) == 1 && !after_key_);
    if (needs_comma_) out_ += ',';
    append_string(out_, name);
    out_ += ':';
    needs_comma_ = false;
    after_key_ = true;
    return *this;
}

JsonWriter& JsonWriter::value(std::string_view text) {
    separate();
    append_string(out_, text);
    return *this;
}

JsonWriter& JsonWriter::value(bool flag) {
    separate();
    out_ += flag ? "true" : "false";
    return *this;
}

JsonWriter& JsonWriter::value(double number) {
    if (!std::isfinite(number)) return null();
    separate();
    fmt::format_to(std::back_inserter(out_), "{}", number);
    return *this;
}

JsonWriter& JsonWriter::null() {
    separate();
    out_ += "null";
    return *this;
}

JsonWriter& JsonWriter::integer(std::int64_t number) {
    separate();
    const fmt::format_int digits(number);
    out_.append(digits.data(), digits.size());
    return *this;
}

JsonWriter& JsonWriter::unsigned_integer(std::uint64_t number) {
    separate();
    const fmt::format_int digits(number);
    out_.append(digits.data(), digits.size());
    return *this;
}

}  // namespace postfleet
