// What comes from outside stays what it is: a value.
#include <catch2/catch.hpp>

#include "fixture.hpp"

using namespace postfleet;
using namespace postfleet::dsn;

namespace {

constexpr const char* kInjected =
    "x\r\nBcc: <victim@v.test>\r\n\r\n--=_0193a5b2-2c00-7000-8000-000000000002\r\nFake: 1";

}  // namespace

TEST_CASE("no text from outside begins a line of its own", "[dsn][SEC-7]") {
    Case one;
    one.message.reverse_path = kInjected;
    one.message.envelope_id = kInjected;
    one.message.helo = kInjected;
    one.message.header_message_id = std::string("<") + kInjected + ">";
    one.message.header_subject = kInjected;
    one.recipients[0].address = kInjected;
    one.recipients[0].original = kInjected;
    one.recipients[0].remote_host = kInjected;
    one.recipients[0].reply->text = kInjected;
    const std::string text = one.compose().content;
    CHECK_FALSE(has(text, "\nBcc:"));
    CHECK_FALSE(has(text, "\nFake:"));
    CHECK_FALSE(has(text, "In-Reply-To"));
    std::size_t delimiters = 0;
    for (const std::string_view line : split(text, '\n')) delimiters += line.starts_with("--=_") ? 1 : 0;
    CHECK(delimiters == 4);
}

TEST_CASE("a Message-ID is repeated only where it is one", "[dsn][SEC-7]") {
    Case one;
    for (const std::string wrong : {"", "17@from.test", "<a b@c>", "<a@b> <c@d>", "<\u00e4@b>", "<>"}) {
        one.message.header_message_id = wrong;
        INFO(wrong);
        CHECK_FALSE(has(one.compose().content, "References"));
    }
    one.message.header_message_id = "<" + std::string(1000, 'x') + "@y>";
    CHECK_FALSE(has(one.compose().content, "References"));
}

TEST_CASE("long replies are folded, and a word that no line can hold is cut", "[dsn]") {
    Case one;
    one.recipients[0].reply->text.clear();
    for (int i = 0; i < 100; ++i) one.recipients[0].reply->text += "word" + std::to_string(i) + " ";
    CHECK(longest_line(one.compose().content) <= 79);
    one.recipients[0].reply->text = std::string(3000, 'x');
    CHECK(longest_line(one.compose().content) <= 999);
    CHECK(has(one.compose().content, "Diagnostic-Code: smtp; 550 5.1.1\r\n " + std::string(899, 'x') + "\r\n x"));
}

TEST_CASE("a reply that is not ASCII leaves the notification 7-bit clean", "[dsn]") {
    Case one;
    one.recipients[0].reply->text = "gibt es nicht: \u00fc \xff\xfe";
    const Composed composed = one.compose();
    CHECK(is_ascii(composed.content));
    CHECK(has(composed.content, "Diagnostic-Code: smtp; 550 5.1.1 gibt es nicht: ? ??\r\n"));
}
