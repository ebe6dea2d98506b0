#include "postfleet/bounce/classify.hpp"

#include <catch2/catch.hpp>

using namespace postfleet;
using bounce::classify;

namespace {

BounceFacts of(int code, EnhancedStatus status, SmtpPhase phase = SmtpPhase::Rcpt) {
    return classify(Reply{code, status, "text"}, phase);
}

}  // namespace

TEST_CASE("the enhanced status tells the category", "[rfc3463]") {
    CHECK(of(550, {5, 1, 1}) == BounceFacts{"hard", "bad-mailbox", false});
    CHECK(of(550, {5, 1, 2}) == BounceFacts{"hard", "bad-domain", false});
    CHECK(of(556, {5, 1, 10}) == BounceFacts{"hard", "bad-domain", false});
    CHECK(of(550, {5, 2, 1}) == BounceFacts{"hard", "inactive-mailbox", false});
    CHECK(of(552, {5, 2, 2}) == BounceFacts{"soft", "quota-issues", false});
    CHECK(of(0, {4, 4, 1}) == BounceFacts{"soft", "no-answer-from-host", false});
    CHECK(of(0, {4, 4, 7}) == BounceFacts{"soft", "message-expired", false});
    CHECK(of(554, {5, 6, 0}) == BounceFacts{"block", "content-related", false});
}

TEST_CASE("a refusal for policy or reputation never blames the address") {
    for (const SmtpPhase phase : {SmtpPhase::Greeting, SmtpPhase::Mail, SmtpPhase::Rcpt, SmtpPhase::EndOfData}) {
        CHECK(of(550, {5, 7, 1}, phase) == BounceFacts{"block", "policy-related", false});
    }
}

TEST_CASE("without a status, phase and code tell the category") {
    CHECK(of(550, {}, SmtpPhase::Rcpt).category == "bad-mailbox");
    CHECK(of(550, {}, SmtpPhase::Mail).category == "invalid-sender");
    CHECK(of(554, {}, SmtpPhase::EndOfData).category == "content-related");
    CHECK(of(552, {}, SmtpPhase::Rcpt).category == "quota-issues");
    CHECK(of(503, {}, SmtpPhase::Rcpt).category == "protocol-errors");
    CHECK(of(554, {5, 0, 0}, SmtpPhase::Rcpt).category == "other");
}
