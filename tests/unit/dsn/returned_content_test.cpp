// How much of a message comes back, and in which form.
#include <catch2/catch.hpp>

#include "fixture.hpp"

using namespace postfleet;
using namespace postfleet::dsn;

TEST_CASE("without RET the header comes back, with our own fields before it, and nothing of the text", "[dsn][X3461]") {
    Case one;
    const std::string text = one.compose().content;
    CHECK(has(text,
              "Content-Type: text/rfc822-headers\r\n\r\nReceived: from client.from.test by mta.test; Sun, 22 Nov "
              "2026 10:11:12 +0000\r\nFrom: <ann@from.test>\r\nSubject: hello\r\n\r\n--"));
    CHECK_FALSE(has(text, "The text."));
}

TEST_CASE("RET=FULL returns the whole message, up to the size that is set", "[dsn][X3461]") {
    Case one;
    one.message.return_content = ReturnContent::Full;
    CHECK(has(one.compose().content, "Content-Type: message/rfc822\r\n\r\nReceived: "));
    CHECK(has(one.compose().content, "\r\n\r\nThe text.\r\n\r\n--"));
    one.max_returned_octets = one.message.prepended_header.size() + one.content.size() - 1;
    CHECK(has(one.compose().content, "text/rfc822-headers"));
    CHECK_FALSE(has(one.compose().content, "The text."));
}

TEST_CASE("a message that must stay on verified TLS comes back as its header", "[dsn][X8689]") {
    Case one;
    one.message.return_content = ReturnContent::Full;
    one.message.tls_wish = TlsWish::Required;
    CHECK_FALSE(has(one.compose().content, "The text."));
}

TEST_CASE("of a message in several chunks the header comes back", "[dsn]") {
    Case one;
    one.message.return_content = ReturnContent::Full;
    one.message.content_chunks = 2;
    CHECK_FALSE(has(one.compose().content, "The text."));
}

TEST_CASE("a message that cannot be read is told of without it", "[dsn]") {
    Case one;
    one.content.clear();
    one.message.prepended_header.clear();
    const std::string text = one.compose().content;
    CHECK_FALSE(has(text, "rfc822-headers"));
    CHECK(text.ends_with("--\r\n"));
}

TEST_CASE("a whole message in 8bit comes back in 8bit, if it can be made 7bit on the way", "[dsn][X6152]") {
    Case one;
    one.message.return_content = ReturnContent::Full;
    one.message.body_type = BodyType::EightBitMime;
    SECTION("plain text can") {
        one.content = "Subject: a\r\n\r\ngr\u00fc\u00dfe\r\n";
        const Composed composed = one.compose();
        CHECK(composed.is_eight_bit);
        CHECK(has(composed.content, "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"));
        CHECK(has(composed.content, "gr\u00fc\u00dfe"));
    }
    SECTION("what is signed cannot: its header comes back") {
        one.content =
            "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\u00fc\r\n"
            "--b\r\n\r\nx\r\n--b--\r\n";
        const Composed composed = one.compose();
        CHECK_FALSE(composed.is_eight_bit);
        CHECK(has(composed.content, "text/rfc822-headers"));
    }
}

TEST_CASE("8-bit octets and over-long lines in a header are encoded", "[dsn]") {
    Case one;
    one.message.return_content = ReturnContent::Full;
    SECTION("raw Latin-1") {
        one.content =
            "Subject: gr\xfc\xdf"
            "e\r\n\r\nx\r\n";
    }
    SECTION("a line of 2000 octets") { one.content = "Subject: " + std::string(2000, 'x') + "\r\n\r\nx\r\n"; }
    SECTION("a bare line feed") { one.content = "Subject: a\nb\r\n\r\nx\r\n"; }
    const Composed composed = one.compose();
    CHECK_FALSE(composed.is_eight_bit);
    CHECK(is_ascii(composed.content));
    CHECK(longest_line(composed.content) <= 999);
    CHECK(
        has(composed.content, "Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: quoted-printable\r\n"));
}

TEST_CASE("the UTF-8 header of a message for an ASCII sender is encoded, too", "[dsn][X6531][rfc6533-6]") {
    Case one;
    one.message.smtputf8 = true;
    one.content = "Subject: gr\u00fc\u00dfe\r\n\r\nx\r\n";
    const Composed composed = one.compose();
    CHECK(is_ascii(composed.content));
    CHECK(has(composed.content,
              "Content-Type: message/global-headers\r\nContent-Transfer-Encoding: quoted-printable\r\n"));
}

TEST_CASE("a header without end is cut between two fields", "[dsn]") {
    Case one;
    one.content.clear();
    for (int i = 0; i < 3000; ++i) one.content += "X-Field: " + std::string(50, 'a') + "\r\n";
    const std::string text = one.compose().content;
    CHECK(text.size() < 70'000);
    CHECK(has(text, std::string(50, 'a') + "\r\n\r\n--"));
}

TEST_CASE("a line of the message that begins with a dot is told to who sends it", "[dsn][SEC-2]") {
    Case one;
    CHECK_FALSE(one.compose().has_leading_dots);
    one.message.return_content = ReturnContent::Full;
    one.content = "Subject: a\r\n\r\n.\r\n";
    CHECK(one.compose().has_leading_dots);
}
