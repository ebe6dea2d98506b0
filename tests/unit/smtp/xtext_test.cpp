#include "postfleet/smtp/xtext.hpp"

#include <catch2/catch.hpp>

namespace postfleet::smtp {

TEST_CASE("xtext is decoded, and encoded the same", "[smtp][X3461]") {
    CHECK(decode_xtext("user@example.org") == "user@example.org");
    CHECK(decode_xtext("user+2Bnews+20=") == std::nullopt);
    CHECK(decode_xtext("a+2Bb+20c+3Dd") == "a+b c=d");
    CHECK(decode_xtext("") == "");
    std::string out;
    append_xtext(out, "a+b c=d~!");
    CHECK(out == "a+2Bb+20c+3Dd~!");
    CHECK(decode_xtext(out) == "a+b c=d~!");
}

TEST_CASE("xtext that is cut, in lower case, or hides a line end is refused", "[smtp][X3461][SEC-7]") {
    for (const char* const text : {"a+", "a+2", "a+2b", "a+G0", "+0D+0A", "+00", "+7F", "+80", "a b", "a=b", "\x01", "\xc3\xa4"}) {
        INFO(text);
        CHECK_FALSE(decode_xtext(text));
    }
}

TEST_CASE("an address of type utf-8 has its own escapes, and raw UTF-8 only where it may be", "[smtp][X6531][X3461]") {
    for (const char* const good : {"user@example.org", "\\x{E4}@example.org", "a\\x{2B}b@c", "\\x{10FFFF}"}) {
        INFO(good);
        CHECK(is_utf8_address(good, false));
        CHECK(is_utf8_address(good, true));
    }
    CHECK(is_utf8_address("\xc3\xa4@example.org", true));
    CHECK_FALSE(is_utf8_address("\xc3\xa4@example.org", false));
    for (const char* const bad : {"", "a+2B", "a b", "\\", "\\x{}", "\\x{D}", "\\x{0A}", "\\x{7F}", "\\x{85}", "\\x{D800}", "\\x{110000}",
                                  "\\x{1234567}", "\\x{e4}", "\\y{E4}", "\xc3", "\xff"}) {
        INFO(bad);
        CHECK_FALSE(is_utf8_address(bad, true));
    }
}

}  // namespace postfleet::smtp
