#include "postfleet/mime/short_lines.hpp"

#include <catch2/catch.hpp>

using namespace postfleet;
using mime::to_short_lines;

namespace {

const std::string kLong(1200, 'x');

std::string shortened(const std::string& content) {
    const auto result = to_short_lines(content);
    INFO((result ? "" : result.error().text));
    REQUIRE(result);
    CHECK_FALSE(mime::has_long_line(*result));
    return *result;
}

std::string why_not(const std::string& content) {
    const auto result = to_short_lines(content);
    REQUIRE_FALSE(result);
    return result.error().text;
}

// `text` in lines of `width`, each ending in `end` but the last.
std::string in_lines(std::string text, std::size_t width, const std::string& end) {
    for (std::size_t at = width; at < text.size(); at += width + end.size()) text.insert(at, end);
    return text;
}

std::string unfolded(std::string text) {
    for (std::size_t at = 0; (at = text.find("\r\n ", at)) != std::string::npos;) text.erase(at, 2);
    return text;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a message whose lines are short is not changed, whatever is in it", "[M5322-2]") {
    for (const std::string& content :
         {std::string(), "A: " + std::string(995, 'x') + "\r\n\r\n" + std::string(998, 'y') + "\r\n",
          std::string("Content-Transfer-Encoding: 8bit\r\n\r\nK\xc3\xb6ln\r\n"),
          std::string("Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n")}) {
        CHECK(shortened(content) == content);
    }
}

TEST_CASE("a long line of text becomes quoted-printable with the MIME fields that this takes", "[M5322-2]") {
    CHECK(shortened("Subject: x\r\n\r\n" + kLong + "\r\nend\r\n") ==
          "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n"
          "Content-Transfer-Encoding: quoted-printable\r\n\r\n" +
              in_lines(kLong, 75, "=\r\n") + "\r\nend\r\n");
    CHECK(shortened("MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
                    "X: y\r\n\r\n<p>K\xc3\xb6ln " +
                    kLong + "\r\n")
              .starts_with("MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n"
                           "Content-Transfer-Encoding: quoted-printable\r\nX: y\r\n\r\n<p>K=C3=B6ln xxx"));
}

TEST_CASE("what is not text becomes Base64, and so does text that is shorter that way", "[M5322-2]") {
    const std::string head = "MIME-Version: 1.0\r\nContent-Type: application/json\r\n";
    CHECK(shortened(head + "\r\n[" + std::string(1000, '1') + "]\r\n")
              .starts_with(head + "Content-Transfer-Encoding: base64\r\n\r\nWzExMTEx"));
    std::string umlauts;
    while (umlauts.size() < 1200) umlauts += "\xc3\xb6";
    CHECK(has(shortened("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + umlauts + "\r\n"),
              "Content-Transfer-Encoding: base64\r\n"));
}

TEST_CASE("only the parts with long lines are encoded, and what is 8bit may stay so", "[M5322-2]") {
    const std::string before =
        "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + kLong +
        "\r\npreamble\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        "K\xc3\xb6ln\r\n";
    const std::string behind = "\r\n--b--\r\n--b" + std::string(1000, ' ') + "x\r\nepilogue\r\n";
    const std::string result = shortened(before + "--b\r\n\r\n" + kLong + behind);
    CHECK(result ==
          "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\r\npreamble\r\n"
          "--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nK\xc3\xb6ln\r\n"
          "--b\r\nContent-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" +
              in_lines(kLong, 75, "=\r\n") + "\r\n--b--\r\n\r\nepilogue\r\n");
    CHECK(shortened(result) == result);
}

TEST_CASE("what is encoded already is broken where its encoding lets it be", "[M5322-2]") {
    const std::string base64 = "Content-Transfer-Encoding: base64\r\n\r\n";
    CHECK(shortened(base64 + std::string(1200, 'A') + "\r\nQUJD\r\n") ==
          base64 + in_lines(std::string(1200, 'A'), 76, "\r\n") + "\r\nQUJD\r\n");
    const std::string quoted = "Content-Transfer-Encoding: quoted-printable\r\n\r\n";
    std::string text;
    while (text.size() < 1200) text += "=3D=E4.. a";
    const std::string result = shortened(quoted + text + "\r\n");
    std::string joined;
    for (std::size_t at = quoted.size(); at < result.size();) {
        const std::size_t end = result.find("\r\n", at);
        std::string line = result.substr(at, end - at);
        CHECK(line.size() <= 76);
        CHECK_FALSE(line.starts_with('.'));
        if (line.ends_with('=')) line.pop_back();
        if (line.starts_with("=2E")) line.replace(0, 3, ".");
        joined += line;
        at = end + 2;
    }
    CHECK(joined == text);
}

TEST_CASE("header fields are folded at white space, also those of parts, and say the same", "[M5322-2]") {
    std::string to = "To: ";
    while (to.size() < 2500) to += "someone@rcpt.example, ";
    to += "last@rcpt.example\r\n";
    const std::string result = shortened("From: a@b.example\r\n" + to + "Subject: x\r\n\r\nbody\r\n");
    CHECK(unfolded(result) == "From: a@b.example\r\n" + to + "Subject: x\r\n\r\nbody\r\n");
    CHECK(unfolded(
              shortened("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX-Note: " + to + "\r\nx\r\n--b--\r\n"))
              .find("X-Note: " + to) != std::string::npos);
    // A line of nothing but white space would end the header for some.
    const std::string blank = "X: a" + std::string(600, ' ') + std::string(700, 'b') + std::string(200, ' ') + "\r\n";
    const std::string folded = shortened(blank + "\r\n");
    CHECK_FALSE(has(folded, "\r\n \r\n"));
    CHECK(unfolded(folded) == blank + "\r\n");
}

TEST_CASE("what must not change, or gives no way to break a line, is said with the reason", "[M5322-2]") {
    CHECK(why_not("Subject: " + kLong + "\r\n\r\n") ==
          "a header field of it has a long line without white space to fold it at");
    for (const std::string kind : {"signed", "encrypted"}) {
        CHECK(why_not("Content-Type: multipart/" + kind + "; boundary=b\r\n\r\n--b\r\n\r\n" + kLong +
                      "\r\n--b--\r\n") == "it has long lines in multipart/" + kind + ", which must not change");
    }
    CHECK(why_not("Content-Type: message/partial\r\n\r\n" + kLong) ==
          "it has a part in message/partial, which must not be encoded");
    CHECK(why_not("Content-Transfer-Encoding: x-uuencode\r\n\r\n" + kLong) ==
          "a part of it has long lines that its transfer encoding does not allow");
    CHECK(why_not("Content-Type: multipart/mixed; boundary=b\r\n\r\n" + kLong) ==
          "a multipart in it lacks its boundary");
    CHECK(why_not("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b" + std::string(1000, ' ') +
                  "\r\n\r\nx\r\n--b--") == "a boundary in it is too long");
}

TEST_CASE("a signed message may still have its own header folded", "[M5322-2]") {
    const std::string part = "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n";
    CHECK(shortened("X: " + std::string(600, 'a') + " " + std::string(600, 'b') + "\r\n" + part).ends_with(part));
}

TEST_CASE("a message of one line of many megabytes costs time and memory in proportion", "[M5322-2][SEC-10]") {
    const std::string content = "Subject: x\r\n\r\n" + std::string(20u << 20, 'z') + "\r\n";
    const std::string result = shortened(content);
    CHECK(result.size() < content.size() + content.size() / 20);
}
