// MIME bombs (SEC-11): whoever reads a body ends early or in one pass, however it is built.
#include <catch2/catch.hpp>

#include "postfleet/mime/media_type.hpp"
#include "postfleet/mime/seven_bit.hpp"
#include "postfleet/mime/short_lines.hpp"

using namespace postfleet;

namespace {

const std::string kUnwanted = std::string(1200, 'x') + "\xc3\xa4\r\n";  // for both conversions

// What each says; empty: it is converted.
void expect(const std::string& content, const std::string& why) {
    for (const auto& converted : {mime::to_seven_bit(content), mime::to_short_lines(content)}) {
        CHECK((converted ? "" : converted.error().text) == why);
    }
}

std::string multipart(const std::string& boundary) {
    return "Content-Type: multipart/mixed; boundary=\"" + boundary + "\"\r\n\r\n--" + boundary + "\r\n";
}

}  // namespace

TEST_CASE("SEC-11: ten thousand levels of multipart or message/rfc822 end at a limit, not at the stack's", "[SEC-11]") {
    std::string parts, messages;
    for (int i = 0; i < 10'000; ++i) {
        parts += multipart("b" + std::to_string(i));
        messages += "Content-Type: message/rfc822\r\n\r\n";
    }
    expect(parts + "\r\n" + kUnwanted, "its parts are nested too deep");
    expect(messages + "\r\n" + kUnwanted, "its parts are nested too deep");
}

TEST_CASE("SEC-11: a hundred thousand parts end at a limit", "[SEC-11]") {
    std::string content = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
    for (int i = 0; i < 100'000; ++i) content += "--b\r\n\r\n";
    expect(content + kUnwanted + "--b--\r\n", "it has too many parts");
}

TEST_CASE("SEC-11: megabytes of lines that are almost a boundary are read once", "[SEC-11]") {
    std::string content = multipart("b") + "\r\n" + kUnwanted;
    while (content.size() < 4u << 20) content += "--bb\r\n--b-\r\n--b--x\r\n--b--b--b--b--b--b\r\n";
    expect(content + "--b--\r\n", "");
    expect(content, "");  // nor does it have to end
}

TEST_CASE("SEC-11: a boundary that begins like that of the part around it is another one", "[SEC-11]") {
    const std::string inner = multipart("outer2") + "\r\n" + kUnwanted + "\r\n--outer2--";
    const auto converted = mime::to_short_lines(multipart("outer") + inner + "\r\n--outer--\r\n");
    REQUIRE(converted);
    CHECK(converted->starts_with(multipart("outer") + multipart("outer2") + "Content-Type: text/plain"));
    CHECK(converted->ends_with("\r\n--outer2--\r\n--outer--\r\n"));
}

TEST_CASE("SEC-11: a Content-Type of a hundred thousand parameters, comments or continuations is read once",
          "[SEC-11]") {
    std::string continuations = "multipart/mixed", comments = "multipart/", unclosed = "multipart/mixed; boundary=\"";
    for (int i = 0; i < 100'000; ++i) {
        continuations += ";\r\n boundary*" + std::to_string(i) + "*=utf-8''%" + std::to_string(i % 100);
        comments += "((\\(";
        unclosed += "\\\"";
    }
    CHECK(mime::parse_media_type(continuations).boundary.empty());
    CHECK(mime::parse_media_type(comments).is("text", "plain"));
    CHECK(mime::parse_media_type(unclosed).boundary.size() == 100'000);
    expect("Content-Type: " + continuations + "\r\n\r\n" + kUnwanted, "");
    CHECK(mime::to_seven_bit("Content-Type: " + comments + "\r\n\r\n" + kUnwanted));
    CHECK_FALSE(mime::to_seven_bit("Content-Type: " + unclosed + "\r\n\r\n" + kUnwanted));
}
