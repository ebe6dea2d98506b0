// Hexadecimal digits, for the sources of libs/base only.
#pragma once

namespace postfleet::hex {

inline constexpr char kDigits[] = "0123456789abcdef";

// The value of a digit in either case; -1 for anything else.
constexpr int digit_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

}  // namespace postfleet::hex
