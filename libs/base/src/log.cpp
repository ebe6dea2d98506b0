#include "postfleet/base/log.hpp"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "postfleet/base/text.hpp"
#include "postfleet/base/time.hpp"

namespace postfleet {
namespace {

constexpr std::size_t kMaxValueOctets = 512;

std::string_view name_of(LogLevel level) {
    switch (level) {
        case LogLevel::Debug: return "debug";
        case LogLevel::Info: return "info";
        case LogLevel::Warning: return "warning";
        case LogLevel::Error: return "error";
    }
    return "unknown";
}

bool is_bare(char c) { return c > ' ' && c < 0x7f && c != '"' && c != '=' && c != '\\'; }

// Most values (ids, names, codes) need nothing; the others are made printable, then quoted.
void append_value(std::string& out, std::string_view value) {
    if (!value.empty() && value.size() <= kMaxValueOctets && std::all_of(value.begin(), value.end(), is_bare)) {
        out += value;
        return;
    }
    out += '"';
    for (const char c : printable(value, kMaxValueOctets)) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    out += '"';
}

}  // namespace

Log::Line::Line(LogSink* sink, LogLevel level, std::string_view event) : sink_(sink), level_(level) {
    if (sink_ == nullptr) return;
    text_.reserve(256);
    text_ += "time=";
    text_ += format_rfc3339(wall_clock_now());
    text_ += " level=";
    text_ += name_of(level);
    text_ += " event=";
    append_value(text_, event);
}

Log::Line::~Line() {
    if (sink_ != nullptr) sink_->write(level_, std::move(text_));
}

Log::Line& Log::Line::field(std::string_view name, std::string_view value) {
    if (sink_ == nullptr) return *this;
    text_ += ' ';
    text_ += name;
    text_ += '=';
    append_value(text_, value);
    return *this;
}

Log::Line& Log::Line::field(std::string_view name, double value) {
    if (sink_ == nullptr) return *this;
    fmt::format_to(std::back_inserter(text_), " {}={}", name, value);
    return *this;
}

Log::Line& Log::Line::number(std::string_view name, std::int64_t value) {
    if (sink_ == nullptr) return *this;
    const fmt::format_int digits(value);
    text_ += ' ';
    text_ += name;
    text_ += '=';
    text_.append(digits.data(), digits.size());
    return *this;
}

}  // namespace postfleet
