#include "postfleet/mime/seven_bit.hpp"

#include <catch2/catch.hpp>

#include "postfleet/base/text.hpp"

using namespace postfleet;
using mime::to_seven_bit;

namespace {

std::string converted(const std::string& content) {
    const auto result = to_seven_bit(content);
    REQUIRE(result);
    CHECK(is_ascii(*result));
    return *result;
}

std::string why_not(const std::string& content) {
    const auto result = to_seven_bit(content);
    REQUIRE_FALSE(result);
    return result.error().text;
}

}  // namespace

TEST_CASE("a text in 8bit becomes quoted-printable, its other fields stay", "[X6152]") {
    CHECK(converted(
              "A: 1\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\nContent-Type: text/plain; "
              "charset=utf-8\r\nB: 2\r\n\r\n1 = 1, gr\xc3\xbc\xc3\x9f dich sch\xc3\xb6n, wo immer du bist \r\n\r\n") ==
          "A: 1\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\nContent-Type: text/plain; "
          "charset=utf-8\r\nB: 2\r\n\r\n1 =3D 1, gr=C3=BC=C3=9F dich sch=C3=B6n, wo immer du bist=20\r\n\r\n");
}

TEST_CASE("a text that is mostly 8-bit, and every other type, becomes base64", "[X6152]") {
    CHECK(converted("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\xd0\x94\xd0\xb0\r\n") ==
          "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
          "0JTQsA0K\r\n");
    CHECK(converted("MIME-Version: 1.0\r\nContent-Type: image/x\r\nContent-Transfer-Encoding: binary\r\n\r\nabc\xff")
              .ends_with("Content-Transfer-Encoding: base64\r\n\r\nYWJj/w==\r\n"));
}

TEST_CASE("a message without MIME fields gets them", "[X6152]") {
    CHECK(converted("Subject: x\r\n\r\nplain text with an \xc3\xa4 in it\r\n") ==
          "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
          "Content-Transfer-Encoding: quoted-printable\r\n\r\nplain text with an =C3=A4 in it\r\n");
    CHECK(converted("Subject: x\r\n\r\nplain text with an \xe4 in it\r\n").find("charset=unknown-8bit") !=
          std::string::npos);
}

TEST_CASE("in a multipart only the parts that need it are encoded, and no container claims 8bit", "[X6152]") {
    CHECK(
        converted(
            "Content-Type: multipart/mixed; boundary=\"b b\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
            "pre \xc3\xa4\r\n--b b\r\n\r\nplain\r\n--b b\r\nContent-Type: message/rfc822\r\n"
            "Content-Transfer-Encoding: 8bit\r\n\r\nSubject: in\r\n\r\nonly one \xc3\xa4 here\r\n--b b\r\n"
            "Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b b--  \r\npost \xff\r\n") ==
        "Content-Type: multipart/mixed; boundary=\"b b\"\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
        "pre ??\r\n--b b\r\n\r\nplain\r\n--b b\r\nContent-Type: message/rfc822\r\n"
        "Content-Transfer-Encoding: 7bit\r\n\r\nSubject: in\r\nMIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        "only one =C3=A4 here\r\n--b b\r\n"
        "Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b b--  \r\npost ?\r\n");
}

TEST_CASE("a line that only begins with the boundary does not end a part", "[X6152]") {
    CHECK(converted(
              "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n--bc\r\n\xc3\xa4--b and more text\r\n--b--")
              .find("--bc\r\n=C3=A4--b and more text\r\n--b--") != std::string::npos);
}

TEST_CASE("what is signed or encrypted stays as it is, or cannot be sent", "[X6152]") {
    const std::string clean =
        "Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n"
        "--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\nx\r\n--b--\r\n--o\r\n\r\nsome text \xc3\xa4 here\r\n--o--\r\n";
    CHECK(converted(clean).find("--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\nx") != std::string::npos);
    CHECK(why_not("Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n\xc3\xa4\r\n--b--\r\n")
              .find("multipart/signed") != std::string::npos);
    CHECK(why_not("Content-Type: multipart/encrypted; boundary=b\r\n\r\n\xc3\xa4").find("multipart/encrypted") !=
          std::string::npos);
}

TEST_CASE("what has no 7-bit form is refused with the reason", "[X6152]") {
    CHECK(why_not("Subject: \xc3\xa4\r\n\r\nx\r\n").find("header") != std::string::npos);
    CHECK(why_not("Content-Transfer-Encoding: base64\r\n\r\n\xc3\xa4\r\n").find("transfer encoding") !=
          std::string::npos);
    CHECK(why_not("Content-Transfer-Encoding: 8bit\r\nContent-Transfer-Encoding: 7bit\r\n\r\n\xc3\xa4\r\n")
              .find("transfer encoding") != std::string::npos);
    CHECK(why_not("Content-Type: message/partial; id=1\r\n\r\n\xc3\xa4").find("message/partial") != std::string::npos);
    CHECK(why_not("Content-Type: multipart/mixed; boundary=b\r\n\r\n\xc3\xa4").find("boundary") != std::string::npos);
    std::string nested;
    for (int i = 0; i < 60; ++i) nested += "Content-Type: message/rfc822\r\n\r\n";
    CHECK(why_not(nested + "\r\n\xc3\xa4").find("nested") != std::string::npos);
}

TEST_CASE("a message of a great many parts is refused before it grows", "[SEC-11]") {
    std::string content = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
    for (std::size_t i = 0; i <= mime::kMaxParts; ++i) content += "--b\r\n\r\n\xc3\xa4\r\n";
    CHECK(why_not(content).find("too many parts") != std::string::npos);
}

TEST_CASE("no line of what was quoted is longer than 76 octets, and none begins with a dot") {
    std::string body;
    for (int i = 0; i < 400; ++i) body += i % 7 == 0 ? "\xc3\xa4" : ".";
    const std::string out =
        converted("MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nFrom me" + std::string(300, 'a') + body);
    CHECK(out.find("=46rom me") != std::string::npos);
    for (const std::string_view line : split(out, '\n')) {
        CHECK(line.size() <= 77);
        CHECK_FALSE(line.starts_with('.'));
    }
}

TEST_CASE("quoted-printable with octets that were forgotten is completed") {
    CHECK(
        converted("Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A4 \xc3\xa4=\r\n")
            .ends_with("\r\n\r\n=C3=A4 =C3=A4=\r\n"));
}
