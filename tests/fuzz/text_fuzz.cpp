// Text of foreign making: what we write of it is always valid, on one line, and comes back where it can.
#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "postfleet/base/id.hpp"
#include "postfleet/base/json.hpp"
#include "postfleet/base/network.hpp"
#include "postfleet/base/require.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/base/time.hpp"

using namespace postfleet;

namespace {

bool has_control(std::string_view text) {
    return std::any_of(text.begin(), text.end(),
                       [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

void check_json(std::string_view text) {
    std::string out;
    JsonWriter(out).value(text);
    require(out.size() >= 2 && out.front() == '"' && out.back() == '"');
    require(is_utf8(out) && !has_control(out));
    for (std::size_t i = 1; i + 1 < out.size(); ++i) {
        require(out[i] != '"');
        if (out[i] == '\\') require(++i + 1 < out.size());
    }
}

template <class Parse>
void check_round_trip(std::string_view text, Parse parse) {
    const auto parsed = parse(text);
    if (parsed) require(*parse(parsed->to_string()) == *parsed);
}

}  // namespace

void fuzz_text(std::span<const std::byte> input) {
    const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
    check_json(text);
    const std::string shown = printable(text, 100);
    require(is_utf8(shown) && !has_control(shown) && shown.size() <= 400);
    check_round_trip(text, IpAddress::parse);
    check_round_trip(text, Endpoint::parse);
    check_round_trip(text, Network::parse);
    check_round_trip(text, MessageId::parse);
    if (const auto size = parse_size(text)) require(*parse_size(format_size(*size)) == *size);
    if (const auto duration = parse_duration(text)) require(*parse_duration(format_duration(*duration)) == *duration);
}
