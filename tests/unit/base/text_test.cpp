#include "postfleet/base/text.hpp"

#include <catch2/catch.hpp>

using namespace postfleet;

TEST_CASE("case is ASCII's, whatever the locale and whatever the octets") {
    CHECK(to_ascii_lower("AbZ[@`{É") == "abz[@`{É");
    CHECK(ascii_iequals("X-Job", "x-jOB"));
    CHECK_FALSE(ascii_iequals("a", "ab"));
    CHECK_FALSE(ascii_iequals("[", "{"));  // differ only in the bit that parts the cases of letters
    CHECK_FALSE(ascii_iequals("@", "`"));
    CHECK_FALSE(ascii_iequals("É", "é"));
    CHECK(ascii_istarts_with("MAIL FROM:<a>", "mail from:"));
    CHECK(ascii_istarts_with("x", ""));
    CHECK_FALSE(ascii_istarts_with("ma", "mail"));
}

TEST_CASE("trim takes blanks and line ends at both ends only") {
    CHECK(trim(" \t\r\na b\r\n") == "a b");
    CHECK(trim(" \t ").empty());
    CHECK(trim("").empty());
    CHECK(trim("\x0b x") == "\x0b x");
}

TEST_CASE("split keeps empty parts") {
    CHECK(split("a,,b,", ',') == std::vector<std::string_view>{"a", "", "b", ""});
    CHECK(split("", ',') == std::vector<std::string_view>{""});
    CHECK(split("abc", ',') == std::vector<std::string_view>{"abc"});
}

TEST_CASE("UTF-8 is judged by the table of its RFC", "[rfc3629-4]") {
    CHECK(utf8_sequence_length("") == 0);
    CHECK(utf8_sequence_length("ab") == 1);
    CHECK(utf8_sequence_length("é!") == 2);
    CHECK(utf8_sequence_length("€") == 3);
    CHECK(utf8_sequence_length("🙂") == 4);
    for (const std::string_view bad :
         {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x7f", "\xe0\x9f\xbf", "\xe1\x80", "\xe1\x80\xc0",
          "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xfe", "\xff"}) {
        CAPTURE(bad);
        CHECK(utf8_sequence_length(bad) == 0);
        CHECK_FALSE(is_utf8(bad));
    }
    CHECK(is_utf8("\xf4\x8f\xbf\xbf\xee\x80\x80\xed\x9f\xbf"));
    CHECK(is_utf8(""));
}

TEST_CASE("printable text is safe on one line of a terminal", "[SEC-24]") {
    CHECK(printable("plain, Grüße 東京 🙂") == "plain, Grüße 東京 🙂");
    CHECK(printable(std::string_view("a\0\r\n\x1b[31m\x7f", 10)) == "a\\x00\\x0d\\x0a\\x1b[31m\\x7f");
    CHECK(printable("\xc2\x9bm") == "\\xc2\\x9bm");  // CSI as one C1 control
    CHECK(printable("\xc2\xa0") == "\xc2\xa0");
    CHECK(printable("a\u202egpj.exe\u2066\u2028\u200f\u061c") ==
          "a\\xe2\\x80\\xaegpj.exe\\xe2\\x81\\xa6\\xe2\\x80\\xa8\\xe2\\x80\\x8f\\xd8\\x9c");
    CHECK(printable("\u200b\u2013\u2070") == "\u200b\u2013\u2070");
    CHECK(printable("\xff\xc3") == "\\xff\\xc3");
}

TEST_CASE("printable text is cut between characters") {
    CHECK(printable("abcdef", 3) == "abc");
    CHECK(printable("abc", 3) == "abc");
    CHECK(printable("aé", 2) == "a");
    CHECK(printable("a🙂", 4) == "a");
    CHECK(printable("a🙂", 5) == "a🙂");
    CHECK(printable("🙂🙂", 7) == "🙂");
    CHECK(printable("x", 0).empty());
    CHECK(printable("\x80\x80\x80\x80\x80\x80", 4) == "\\x80\\x80\\x80\\x80");  // no UTF-8: nothing to respect
    CHECK(printable("é", 0).empty());
}

TEST_CASE("sizes have binary units") {
    CHECK(*parse_size("0") == 0);
    CHECK(*parse_size("4096") == 4096);
    CHECK(*parse_size("512KiB") == 512 * 1024);
    CHECK(*parse_size("10MiB") == 10u << 20);
    CHECK(*parse_size("3GiB") == 3ull << 30);
    CHECK(*parse_size("2TiB") == 2ull << 40);
    CHECK(*parse_size("18446744073709551615") == UINT64_MAX);
    CHECK(*parse_size("16777215TiB") == 16777215ull << 40);
}

TEST_CASE("what is no size is refused with advice") {
    const auto text = GENERATE(as<std::string>(), "", "KiB", "10MB", "10mib", "10 MiB", " 1", "1 ", "-1", "+1",
                               "1.5MiB", "0x10", "18446744073709551616", "16777216TiB", "1KiBKiB", "1KiB2");
    CAPTURE(text);
    const auto size = parse_size(text);
    REQUIRE_FALSE(size);
    CHECK_THAT(size.error().text, Catch::Matchers::Contains("\"" + text + "\"") && Catch::Matchers::Contains("10MiB"));
}

TEST_CASE("the text of a size is exact") {
    CHECK(format_size(0) == "0");
    CHECK(format_size(1023) == "1023");
    CHECK(format_size(1024) == "1KiB");
    CHECK(format_size(1536) == "1536");
    CHECK(format_size(1537ull << 10) == "1537KiB");
    CHECK(format_size(10ull << 20) == "10MiB");
    for (const std::uint64_t octets : {std::uint64_t{1}, std::uint64_t{1} << 63, UINT64_MAX, std::uint64_t{5} << 40}) {
        CHECK(*parse_size(format_size(octets)) == octets);
    }
}

TEST_CASE("a wildcard is a star, as often as one likes, and nothing else is special") {
    CHECK(matches_wildcard("*.example.com", "a.b.example.com"));
    CHECK(matches_wildcard("a*c*e", "abcde"));
    CHECK(matches_wildcard("a*", "a"));
    CHECK(matches_wildcard("*", ""));
    CHECK(matches_wildcard("", ""));
    CHECK(matches_wildcard("a*b", "aabab"));
    CHECK_FALSE(matches_wildcard("*.example.com", "example.com"));
    CHECK_FALSE(matches_wildcard("a?c", "abc"));
    CHECK_FALSE(matches_wildcard("a", "ab"));
    CHECK_FALSE(matches_wildcard("A", "a"));
}
