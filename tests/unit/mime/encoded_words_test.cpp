#include <algorithm>
#include <catch2/catch.hpp>

#include "postfleet/base/text.hpp"
#include "postfleet/mime/encoded_words.hpp"

using namespace postfleet;
using namespace postfleet::mime;

namespace {

std::string text_field(std::string_view text, TextForm form = TextForm::Fixed) {
    std::string out;
    append_text_field(out, "Subject", text, form);
    return out;
}

std::string address_field(std::vector<NamedAddress> addresses) {
    std::string out;
    append_address_field(out, "To", addresses);
    return out;
}

std::string parameter(std::string_view value) {
    std::string out;
    append_parameter(out, "filename", value);
    return out;
}

std::size_t longest_line(std::string_view text) {
    std::size_t longest = 0;
    for (const std::string_view line : split(text, '\n')) longest = std::max(longest, trim(line).size());
    return longest;
}

}  // namespace

TEST_CASE("ASCII stays readable, and is folded between words", "[mime][RFC5322-2.1.1]") {
    CHECK(text_field("Hello there") == "Subject: Hello there\r\n");
    CHECK(text_field("") == "Subject: \r\n");
    const std::string folded =
        text_field("one two three four five six seven eight nine ten eleven twelve thirteen fourteen");
    CHECK(folded ==
          "Subject: one two three four five six seven eight nine ten eleven twelve\r\n thirteen fourteen\r\n");
}

TEST_CASE("other languages become encoded words of at most 75 octets", "[mime][RFC2047-2]") {
    CHECK(text_field("Grüße aus Wien") == "Subject: =?UTF-8?Q?Gr=C3=BC=C3=9Fe_aus_Wien?=\r\n");
    CHECK(text_field("日本語のお知らせ") == "Subject: =?UTF-8?B?5pel5pys6Kqe44Gu44GK55+l44KJ44Gb?=\r\n");
    std::string japanese;
    for (int i = 0; i < 60; ++i) japanese += "語";
    const std::string field = text_field(japanese);
    CHECK(longest_line(field) <= 78);
    // No character is cut in two: three octets each, four Base64 digits.
    for (const std::string_view line : split(field, '\n')) {
        const std::size_t begin = line.find("?B?"), end = line.find("?=");
        if (begin != std::string_view::npos) CHECK((end - begin - 3) % 4 == 0);
    }
}

TEST_CASE("what folding would change, and what looks like an encoded word, is encoded", "[mime][RFC2047-6.2]") {
    CHECK(text_field("a  b") == "Subject: =?UTF-8?Q?a__b?=\r\n");
    CHECK(text_field(" a") == "Subject: =?UTF-8?Q?_a?=\r\n");
    CHECK(text_field("=?UTF-8?Q?a?=") == "Subject: =?UTF-8?Q?=3D=3FUTF-8=3FQ=3Fa=3F=3D?=\r\n");
}

TEST_CASE("words with variables stay as they are where a text is to be merged", "[mime][merge]") {
    CHECK(text_field("Grüße an [name] in Wien", TextForm::Mergeable) ==
          "Subject: =?UTF-8?Q?Gr=C3=BC=C3=9Fe_an?= [name] in Wien\r\n");
    CHECK(text_field("[name], hello", TextForm::Mergeable) == "Subject: [name], hello\r\n");
    CHECK(text_field("hello [name]", TextForm::Mergeable) == "Subject: hello [name]\r\n");
    CHECK(text_field("[a] ü", TextForm::Mergeable) == "Subject: [a] =?UTF-8?Q?=C3=BC?=\r\n");
}

TEST_CASE("names of addresses are atoms, quoted or encoded, as they need", "[mime][RFC5322-3.4]") {
    CHECK(address_field({{"", "a@b.example"}}) == "To: a@b.example\r\n");
    CHECK(address_field({{"The Shop", "a@b.example"}, {"", "c@d.example"}}) ==
          "To: The Shop <a@b.example>, c@d.example\r\n");
    CHECK(address_field({{"Shop, \"the\"", "a@b.example"}}) == "To: \"Shop, \\\"the\\\"\" <a@b.example>\r\n");
    CHECK(address_field({{"Jürgen", "a@b.example"}}) == "To: =?UTF-8?Q?J=C3=BCrgen?= <a@b.example>\r\n");
    std::vector<NamedAddress> many(20, {"Somebody", "somebody@customer.example"});
    CHECK(longest_line(address_field(many)) <= 78);
}

TEST_CASE("names of files are quoted, or written as RFC 2231 has them", "[mime][RFC2231]") {
    CHECK(parameter("invoice 7.pdf") == ";\r\n filename=\"invoice 7.pdf\"");
    CHECK(parameter("a\"b") == ";\r\n filename=\"a\\\"b\"");
    CHECK(parameter("Übersicht.pdf") == ";\r\n filename*=UTF-8''%C3%9Cbersicht.pdf");
    const std::string parts = parameter(std::string(100, 'x'));
    CHECK(parts.find("filename*0*=UTF-8''xxx") != std::string::npos);
    CHECK(parts.find("filename*1*=xxx") != std::string::npos);
}

TEST_CASE("a text that could end its line is no header text", "[mime][SEC-17]") {
    CHECK(is_header_text("Grüße"));
    CHECK_FALSE(is_header_text("a\r\nBcc: b"));
    CHECK_FALSE(is_header_text("a\nb"));
    CHECK_FALSE(is_header_text(std::string("a\0b", 3)));
    CHECK_FALSE(is_header_text("a\xff"));
}
