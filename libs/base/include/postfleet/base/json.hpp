// JsonWriter: appends JSON to a string, in one pass and without a tree (RFC 8259).
//
// Strings are escaped, and octets that are not UTF-8 become U+FFFD, so the output is always valid JSON.
// A number that JSON has no form for (NaN, infinity) becomes null. One writer writes one value; misuse (a
// key outside an object, an unclosed array) is a bug. Threads: confined. Reading JSON is not its work; the
// app layer uses Boost.JSON for that.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

#include "postfleet/base/require.hpp"

namespace postfleet {

class JsonWriter {
public:
    static constexpr int kMaxDepth = 64;

    explicit JsonWriter(std::string& out) : out_(out) {}
    ~JsonWriter() { require(depth_ == 0); }
    JsonWriter(const JsonWriter&) = delete;
    JsonWriter& operator=(const JsonWriter&) = delete;

    JsonWriter& begin_object();
    JsonWriter& end_object();
    JsonWriter& begin_array();
    JsonWriter& end_array();
    JsonWriter& key(std::string_view name);

    JsonWriter& value(std::string_view text);
    JsonWriter& value(const char* text) { return value(std::string_view(text)); }
    JsonWriter& value(bool flag);
    JsonWriter& value(double number);
    template <std::integral T>
        requires(!std::same_as<T, bool>)
    JsonWriter& value(T number) {
        if constexpr (std::is_signed_v<T>) return integer(static_cast<std::int64_t>(number));
        else return unsigned_integer(static_cast<std::uint64_t>(number));
    }
    JsonWriter& null();

    template <class T>
    JsonWriter& member(std::string_view name, const T& v) {
        return key(name).value(v);
    }

private:
    JsonWriter& integer(std::int64_t number);
    JsonWriter& unsigned_integer(std::uint64_t number);
    void separate();
    JsonWriter& open(char bracket, bool is_object);
    JsonWriter& close(char bracket, bool is_object);

    std::string& out_;
    std::uint64_t objects_ = 0;  // one bit per level, lowest is the innermost: 1 in an object
    int depth_ = 0;
    bool needs_comma_ = false;
    bool after_key_ = false;
};

}  // namespace postfleet
