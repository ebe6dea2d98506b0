#include "postfleet/bounce/classifier.hpp"

#include <catch2/catch.hpp>

using namespace postfleet;
using bounce::CategoryPattern;
using bounce::Classifier;

namespace {

const Reply kUnknown{550, {5, 1, 1}, "no such user"};

}  // namespace

TEST_CASE("the operator's patterns come before the shipped ones, in their order") {
    const auto classifier = Classifier::compile({{"no such user", BounceCategory::Other, {"mta.yaml", 7, 3}},
                                                 {"user", BounceCategory::SpamRelated, {"mta.yaml", 8, 3}}})
                                .value();
    const auto finding = classifier.find(kUnknown, SmtpPhase::Rcpt);
    CHECK(finding.category == BounceCategory::Other);
    REQUIRE(finding.pattern != nullptr);
    CHECK(finding.pattern->origin.to_string() == "mta.yaml:7:3");
    CHECK(classifier.classify(kUnknown, SmtpPhase::Rcpt).type == "soft");
}

TEST_CASE("a pattern sees code, enhanced status and text") {
    const auto classifier = Classifier::compile({{"^550 5\\.1\\.1 no", BounceCategory::Other, {}}}).value();
    CHECK(classifier.find(kUnknown, SmtpPhase::Rcpt).category == BounceCategory::Other);
    CHECK(classifier.find(Reply{550, {5, 1, 0}, "no such user"}, SmtpPhase::Rcpt).category ==
          BounceCategory::BadMailbox);
}

TEST_CASE("what no pattern takes is told from the status, then from phase and code") {
    const auto of = [](Reply reply, SmtpPhase phase) {
        const auto finding = Classifier::shipped()->find(reply, phase);
        CHECK(finding.pattern == nullptr);
        return std::string(to_string(finding.category));
    };
    CHECK(of({550, {5, 1, 2}, "?"}, SmtpPhase::Rcpt) == "bad-domain");
    CHECK(of({550, {}, "?"}, SmtpPhase::Rcpt) == "bad-mailbox");
    CHECK(of({554, {}, "?"}, SmtpPhase::EndOfData) == "content-related");
}

TEST_CASE("our own words are not taken for a server's") {
    CHECK(Classifier::shipped()
              ->find(Reply{0, {4, 4, 1}, "connecting to spamhaus.example: refused"}, SmtpPhase::Connect)
              .category == BounceCategory::NoAnswerFromHost);
}

TEST_CASE("a wrong pattern, and a wrong line of a pattern file, are named") {
    const auto wrong = Classifier::compile({{"user (", BounceCategory::Other, {}}});
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().text.find("user (") != std::string::npos);
    const auto line = bounce::parse_category_patterns("# one\n\nbad-mailbox\n", "x.txt");
    REQUIRE_FALSE(line);
    CHECK(line.error().text == "x.txt:3: must be a bounce category, white space and a pattern");
    CHECK_FALSE(bounce::parse_category_patterns("bad-postbox unknown", "x.txt"));
}

TEST_CASE("only a few of the shipped patterns have to be run for a reply") {
    std::vector<std::string> texts;
    for (const CategoryPattern& pattern : Classifier::shipped()->patterns()) texts.push_back(pattern.reply);
    const PatternSet set = PatternSet::compile(texts).value();
    CHECK(set.size() > 50);
    CHECK(
        set.candidates("550 5.1.1 The email account that you tried to reach does not exist. Please try again.").size() <
        set.size() / 3);
}
