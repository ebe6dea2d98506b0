#include "postfleet/smtp/reply_parser.hpp"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

using postfleet::EnhancedStatus;
using postfleet::Reply;
using postfleet::smtp::ReplyParser;
using Status = ReplyParser::Status;

namespace {

Reply parse_one(std::string_view input) {
    ReplyParser parser;
    REQUIRE(parser.parse(input) == Status::Complete);
    REQUIRE(input.empty());
    return parser.to_reply();
}

Status parse_all(std::string_view input) {
    ReplyParser parser;
    Status status = Status::NeedMore;
    while (!input.empty() && status != Status::Garbage) status = parser.parse(input);
    return status;
}

}  // namespace

TEST_CASE("a reply is code, enhanced status and text", "[rfc5321-4.2][rfc2034]") {
    CHECK(parse_one("250 OK\r\n") == Reply{250, {}, "OK"});
    CHECK(parse_one("550 5.1.1 no such user\r\n") == Reply{550, {5, 1, 1}, "no such user"});
    CHECK(parse_one("250\r\n") == Reply{250, {}, ""});
    CHECK(parse_one("250 \r\n") == Reply{250, {}, ""});
    CHECK(parse_one("421 4.7.28\r\n") == Reply{421, {4, 7, 28}, ""});
}

TEST_CASE("an enhanced status that does not fit the code is text", "[rfc2034]") {
    CHECK(parse_one("450 5.1.1 odd\r\n") == Reply{450, {}, "5.1.1 odd"});
    CHECK(parse_one("550 5.1 odd\r\n") == Reply{550, {}, "5.1 odd"});
    CHECK(parse_one("550 5.1.1x odd\r\n") == Reply{550, {}, "5.1.1x odd"});
    CHECK(parse_one("550 5.1234.1 odd\r\n") == Reply{550, {}, "5.1234.1 odd"});
}

TEST_CASE("the lines of a multi-line reply are joined, each without its status") {
    CHECK(parse_one("550-5.7.1 first\r\n550-5.7.1 second\r\n550 5.7.1 third\r\n") ==
          Reply{550, {5, 7, 1}, "first second third"});
    CHECK(parse_one("250-\r\n250 end\r\n") == Reply{250, {}, "end"});
}

TEST_CASE("the last line decides when the lines disagree about the code") {
    CHECK(parse_one("250-yes\r\n450 no\r\n").code == 450);
}

TEST_CASE("a bare LF ends a line, and control octets are escaped") {
    CHECK(parse_one("250 ok\n").text == "ok");
    CHECK(parse_one(std::string_view("250 a\0b\rc\x1b[0m\r\n", 15)).text == "a\\x00b\\x0dc\\x1b[0m");
    CHECK(parse_one("250 caf\xe9\r\n").text == "caf\\xe9");
}

TEST_CASE("a reply may come octet by octet, and several may come at once") {
    const std::string input = "250-one\r\n250 two\r\n354 go\r\n550 5.1.1 gone\r\n";
    for (std::size_t piece = 1; piece <= input.size(); ++piece) {
        CAPTURE(piece);
        ReplyParser parser;
        std::vector<Reply> replies;
        for (std::size_t at = 0; at < input.size(); at += piece) {
            std::string_view part = std::string_view(input).substr(at, piece);
            while (!part.empty()) {
                const Status status = parser.parse(part);
                REQUIRE(status != Status::Garbage);
                if (status == Status::Complete) replies.push_back(parser.to_reply());
            }
        }
        CHECK(replies == std::vector<Reply>{{250, {}, "one two"}, {354, {}, "go"}, {550, {5, 1, 1}, "gone"}});
    }
}

TEST_CASE("what is not SMTP is garbage") {
    for (const char* input : {"hello\r\n", "25 ok\r\n", "2x0 ok\r\n", "000 ok\r\n", "199 ok\r\n", "600 ok\r\n",
                              "999 ok\r\n", "250ok\r\n", "250_ok\r\n", "\r\n", "250-ok\r\nmore\r\n"}) {
        CAPTURE(input);
        CHECK(parse_all(input) == Status::Garbage);
    }
}

TEST_CASE("a reply is bounded in line length and in total") {
    CHECK(parse_all("250 " + std::string(4000, 'x') + "\r\n") == Status::Complete);
    CHECK(parse_all("250 " + std::string(5000, 'x')) == Status::Garbage);
    std::string endless;
    for (int i = 0; i < 20'000; ++i) endless += "250-x\r\n";
    CHECK(parse_all(endless) == Status::Garbage);

    CHECK(parse_one("250 " + std::string(3000, 'x') + "\r\n").text.size() == postfleet::kMaxReplyText);
    CHECK(parse_one("250 " + std::string(3000, '\xf4') + "\r\n").text.size() <= postfleet::kMaxReplyText);
}
