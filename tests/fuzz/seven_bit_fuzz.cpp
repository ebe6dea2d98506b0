// 7-bit conversion: what comes out is ASCII with CRLF line ends, is left alone when converted again, and keeps every
// line of structure.
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "postfleet/base/require.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/mime/seven_bit.hpp"

using namespace postfleet;

void fuzz_seven_bit(std::span<const std::byte> input) {
    // Acceptance has made all line ends CRLF.
    std::string content;
    for (const std::byte octet : input) {
        const char c = static_cast<char>(octet);
        if (c == '\n') content.push_back('\r');
        if (c != '\r') content.push_back(c);
    }
    const auto once = mime::to_seven_bit(content);
    if (!once) return;
    require(is_ascii(*once));
    require(once->size() <= 256 + content.size() * 40);  // a part of a few octets may get two fields
    const auto twice = mime::to_seven_bit(*once);
    require(twice && *twice == *once);
}
