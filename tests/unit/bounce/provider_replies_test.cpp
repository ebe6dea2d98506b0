// Every reply of tests/corpus/provider_replies gets its category.
#include "postfleet/bounce/classifier.hpp"

#include <catch2/catch.hpp>

#include <fstream>
#include <set>
#include <sstream>

#include "postfleet/smtp/reply_parser.hpp"

using namespace postfleet;
using bounce::Classifier;

namespace {

struct Row {
    std::string number, phase, category, reply;
};

std::vector<Row> rows() {
    std::ifstream file(POSTFLEET_SOURCE_DIR "/tests/corpus/provider_replies/replies.tsv");
    REQUIRE(file);
    std::vector<Row> out;
    for (std::string line; std::getline(file, line);) {
        std::istringstream fields(line);
        Row row;
        std::getline(fields, row.number, '\t');
        std::getline(fields, row.phase, '\t');
        std::getline(fields, row.category, '\t');
        std::getline(fields, row.reply);
        out.push_back(std::move(row));
    }
    return out;
}

SmtpPhase phase_of(std::string_view name) {
    for (int i = 0; i <= static_cast<int>(SmtpPhase::Quit); ++i) {
        if (name == to_string(static_cast<SmtpPhase>(i))) return static_cast<SmtpPhase>(i);
    }
    FAIL("no phase " << name);
    return SmtpPhase::None;
}

// As the client makes it of what the server sent; code 0 is our own.
Reply reply_of(std::string_view text) {
    if (text.starts_with("0 ")) {
        text.remove_prefix(2);
        Reply own;
        own.enhanced = smtp::take_enhanced_status(400, text);
        own.text = text;
        return own;
    }
    smtp::ReplyParser parser;
    const std::string line = std::string(text) + "\r\n";
    std::string_view input = line;
    REQUIRE(parser.parse(input) == smtp::ReplyParser::Status::Complete);
    return parser.to_reply();
}

}  // namespace

TEST_CASE("every documented reply of a large provider has its category, and so has every near miss") {
    std::set<std::string> seen;
    for (const Row& row : rows()) {
        seen.insert(row.number);
        const auto finding = Classifier::shipped()->find(reply_of(row.reply), phase_of(row.phase));
        INFO("row " << row.number << ": " << row.reply);
        INFO("decided by " << (finding.pattern ? finding.pattern->origin.to_string() + " " + finding.pattern->reply
                                               : std::string("status, phase or code")));
        CHECK(to_string(finding.category) == row.category);
    }
    for (int number = 1; number <= 82; ++number) {
        INFO("row " << number);
        CHECK(seen.contains(std::to_string(number)));
    }
}

TEST_CASE("a refusal for reputation, policy or our own mistakes never makes a bad address of the recipient") {
    const std::set<std::string> about_us{"policy-related",  "spam-related",  "content-related", "protocol-errors",
                                         "relaying-issues", "virus-related", "invalid-sender"};
    for (const Row& row : rows()) {
        if (!about_us.contains(row.category)) continue;
        // Wherever it is said, and whatever else is lost on the way.
        for (const SmtpPhase phase : {SmtpPhase::Greeting, SmtpPhase::Mail, SmtpPhase::Rcpt, SmtpPhase::EndOfData}) {
            Reply reply = reply_of(row.reply);
            INFO("row " << row.number << " in phase " << to_string(phase) << ": " << row.reply);
            CHECK(Classifier::shipped()->classify(reply, phase).type != "hard");
        }
    }
}

TEST_CASE("code and enhanced status may disagree, and stand on one line or on each") {
    const auto of = [](std::string_view octets) {
        smtp::ReplyParser parser;
        REQUIRE(parser.parse(octets) == smtp::ReplyParser::Status::Complete);
        return std::string(to_string(Classifier::shipped()->find(parser.to_reply(), SmtpPhase::Rcpt).category));
    };
    CHECK(of("421 5.7.32 the From: header isn't aligned\r\n") == "policy-related");
    CHECK(of("550 4.2.2 The box is full\r\n") == "bad-mailbox");  // the code counts, the status contradicts it
    CHECK(of("550-5.7.1 [192.0.2.1] this message is\r\n550 5.7.1 likely unsolicited mail\r\n") == "spam-related");
    CHECK(of("550-5.7.1 this message is\r\n550 likely unsolicited mail\r\n") == "spam-related");
    CHECK(of("550 5.1.1 utilisateur \xe9tait inconnu\r\n") == "bad-mailbox");
    CHECK(of("550 5.1.1 \xd0\xbd\xd0\xb5\xd1\x82 <joe@example.com>\r\n") == "bad-mailbox");
}
