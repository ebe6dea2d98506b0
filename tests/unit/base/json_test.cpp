#include "postfleet/base/json.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <limits>

using postfleet::JsonWriter;

namespace {

std::string written(std::string_view text) {
    std::string out;
    JsonWriter(out).value(text);
    return out;
}

}  // namespace

TEST_CASE("objects and arrays nest, with commas only between") {
    std::string out = "prefix ";
    JsonWriter json(out);
    json.begin_object().member("a", 1).key("b").begin_array().value(1).value("two").begin_object().end_object();
    json.begin_array().end_array().end_array().member("c", "d").key("e").begin_object().member("f", true);
    json.end_object().key("g").null().end_object();
    CHECK(out == R"(prefix {"a":1,"b":[1,"two",{},[]],"c":"d","e":{"f":true},"g":null})");
}

TEST_CASE("numbers keep their value at every border") {
    std::string out;
    JsonWriter json(out);
    json.begin_array();
    json.value(std::numeric_limits<std::int64_t>::min()).value(std::numeric_limits<std::uint64_t>::max());
    json.value(std::uint8_t{255}).value(0).value(-1).value(false).value(0.5).value(1e300).value(-0.1);
    json.value(1.0 / 3).value(std::nan("")).value(HUGE_VAL).end_array();
    CHECK(out ==
          "[-9223372036854775808,18446744073709551615,255,0,-1,false,0.5,1e+300,-0.1,"
          "0.3333333333333333,null,null]");
}

TEST_CASE("what must be escaped is escaped, and nothing else", "[rfc8259-7]") {
    CHECK(written("") == R"("")");
    CHECK(written("plain / ~") == R"("plain / ~")");
    CHECK(written("a\"b\\c") == R"("a\"b\\c")");
    CHECK(written("\b\f\n\r\t") == R"("\b\f\n\r\t")");
    CHECK(written(std::string_view("\0\x01\x1f\x7f", 4)) == R"("\u0000\u0001\u001f\u007f")");
    CHECK(written("Grüße, 東京, 🙂") == "\"Grüße, 東京, 🙂\"");
}

TEST_CASE("octets that are not UTF-8 become one replacement character each", "[rfc3629]") {
    const std::string replacement = "\xef\xbf\xbd";
    const auto expect = [&](std::string_view text, const std::string& inside) {
        CHECK(written(text) == '"' + inside + '"');
    };
    expect("\xff", replacement);
    expect("a\x80z", "a" + replacement + "z");
    expect("\xc3", replacement);                                                        // cut off
    expect("\xc3(", replacement + "(");                                                 // the next octet is not lost
    expect("\xc0\xaf", replacement + replacement);                                      // overlong "/"
    expect("\xe0\x80\xaf", replacement + replacement + replacement);                    // overlong again
    expect("\xed\xa0\x80", replacement + replacement + replacement);                    // a surrogate
    expect("\xf4\x90\x80\x80", replacement + replacement + replacement + replacement);  // above U+10FFFF
    expect("\xf0\x9f\x99", replacement + replacement + replacement);                    // an emoji cut off
    expect("\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf", "\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf");
}

TEST_CASE("keys are escaped as values are") {
    std::string out;
    JsonWriter(out).begin_object().member("a\"\n", 1).end_object();
    CHECK(out == R"({"a\"\n":1})");
}
