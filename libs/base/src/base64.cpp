#include "postfleet/base/base64.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

namespace postfleet {

namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t kForeign = 0xff;

constexpr std::array<std::uint8_t, 256> make_values() {
    std::array<std::uint8_t, 256> values{};
    values.fill(kForeign);
    for (std::size_t i = 0; i < kAlphabet.size(); ++i)
        values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::uint8_t>(i);
    return values;
}
constexpr std::array<std::uint8_t, 256> kValues = make_values();

std::uint32_t octet_at(std::string_view octets, std::size_t at) {
    return at < octets.size() ? static_cast<unsigned char>(octets[at]) : 0;
}

}  // namespace

std::string base64_encode(std::string_view octets, Base64Form form) {
    std::string text;
    text.reserve((octets.size() + 2) / 3 * 4);
    for (std::size_t at = 0; at < octets.size(); at += 3) {
        const std::uint32_t group =
            octet_at(octets, at) << 16 | octet_at(octets, at + 1) << 8 | octet_at(octets, at + 2);
        const std::size_t digits = octets.size() - at >= 3 ? 4 : octets.size() - at + 1;
        for (std::size_t i = 0; i < digits; ++i) text += kAlphabet[(group >> (18 - 6 * i)) & 63];
        if (form == Base64Form::Padded) text.append(4 - digits, '=');
    }
    return text;
}

std::optional<std::string> base64_decode(std::string_view text, Base64Form form) {
    if (form == Base64Form::Padded) {
        if (text.size() % 4 != 0) return std::nullopt;
        if (text.ends_with("==")) text.remove_suffix(2);
        else if (text.ends_with('=')) text.remove_suffix(1);
    }
    if (text.size() % 4 == 1) return std::nullopt;
    std::string octets;
    octets.reserve(text.size() / 4 * 3 + 2);
    for (std::size_t at = 0; at < text.size(); at += 4) {
        const std::size_t digits = std::min<std::size_t>(4, text.size() - at);
        std::uint32_t group = 0;
        for (std::size_t i = 0; i < digits; ++i) {
            const std::uint8_t value = kValues[static_cast<unsigned char>(text[at + i])];
            if (value == kForeign) return std::nullopt;
            group |= static_cast<std::uint32_t>(value) << (18 - 6 * i);
        }
        // Two digits carry one octet, three carry two; the bits behind them must be zero.
        if (digits == 2 && (group & 0xffff) != 0) return std::nullopt;
        if (digits == 3 && (group & 0xff) != 0) return std::nullopt;
        for (std::size_t i = 0; i + 1 < digits; ++i) octets += static_cast<char>(group >> (16 - 8 * i) & 0xff);
    }
    return octets;
}

}  // namespace postfleet
