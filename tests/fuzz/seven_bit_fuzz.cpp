// 7-bit conversion, and the breaking of long lines: what comes out has nothing of what was to go, and is left alone when
// converted again.
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "postfleet/base/require.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/mime/seven_bit.hpp"
#include "postfleet/mime/short_lines.hpp"

using namespace postfleet;

namespace {

void check_short_lines(const std::string& content) {
    const auto once = mime::to_short_lines(content);
    if (!once) return;
    require(!mime::has_long_line(*once));
    require(mime::has_long_line(content) || once->size() <= 256 + content.size() * 2);
    const auto twice = mime::to_short_lines(*once);
    require(twice && *twice == *once);
}

}  // namespace

void fuzz_seven_bit(std::span<const std::byte> input) {
    // Acceptance has made all line ends CRLF.
    std::string content;
    for (const std::byte octet : input) {
        const char c = static_cast<char>(octet);
        if (c == '\n') content.push_back('\r');
        if (c != '\r') content.push_back(c);
    }
    check_short_lines(content);
    // Inputs are short: as one of few octets would look with long lines.
    std::string wide;
    for (const char c : content) c == 'l' ? wide.append(400, c) : wide.append(1, c);
    check_short_lines(wide);
    const auto once = mime::to_seven_bit(content);
    if (!once) return;
    require(is_ascii(*once));
    require(once->size() <= 256 + content.size() * 40);  // a part of a few octets may get two fields
    const auto twice = mime::to_seven_bit(*once);
    require(twice && *twice == *once);
}
