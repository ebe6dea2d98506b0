// Whole notifications, octet for octet, and what is in them by rule.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "fixture.hpp"

using namespace postfleet;
using namespace postfleet::dsn;

namespace {

// POSTFLEET_UPDATE_GOLDEN=1 writes the files anew; git shows what changed. Lines end in LF there.
void check_golden(const char* name, const Composed& composed) {
    const std::string path = std::string(POSTFLEET_SOURCE_DIR "/tests/golden/dsn/") + name + ".eml";
    std::string text = composed.content;
    std::erase(text, '\r');
    if (std::getenv("POSTFLEET_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << text;
    std::stringstream golden;
    golden << std::ifstream(path).rdbuf();
    INFO(path);
    CHECK(text == golden.str());
}

RecipientStatus expired() {
    RecipientStatus status;
    status.has_expired = true;
    status.address = "carol@x.test";
    status.reply = Reply{0, {4, 4, 1}, "connection timed out"};
    status.remote_host = "192.0.2.25";
    status.category = BounceCategory::MessageExpired;
    status.attempts = 12;
    return status;
}

}  // namespace

TEST_CASE("notifications are as the golden files say", "[dsn][X3461]") {
    Case one;
    check_golden("failed", one.compose());

    Case whole;
    whole.message.return_content = ReturnContent::Full;
    whole.recipients.push_back(expired());
    check_golden("failed-and-expired-whole-message", whole.compose());

    Case relayed;
    relayed.recipients[0].action = Action::Relayed;
    relayed.recipients[0].reply = Reply{250, {2, 0, 0}, "queued as 4711"};
    relayed.recipients[0].category = {};
    check_golden("relayed", relayed.compose());

    Case utf8;
    utf8.message.reverse_path = "änne@from.test";
    utf8.message.smtputf8 = true;
    utf8.content = "From: <änne@from.test>\r\nSubject: grüße\r\n\r\nText.\r\n";
    utf8.message.header_subject = "grüße";
    utf8.recipients[0].address = "bücher=1@x.test";
    utf8.recipients[0].original = "utf-8;bücher\\x{3D}1@x.test";
    check_golden("utf8-sender", utf8.compose());
}

TEST_CASE("it is addressed to the sender, from the mail system, as an answer that nobody answers",
          "[dsn][X3461][X3834]") {
    const std::string text = Case().compose().content;
    CHECK(has(text, "From: Mail Delivery System <MAILER-DAEMON@mta.test>\r\n"));
    CHECK(has(text, "To: <ann@from.test>\r\n"));
    CHECK(has(text, "Auto-Submitted: auto-replied\r\n"));
    CHECK(has(text, "In-Reply-To: <17@from.test>\r\nReferences: <17@from.test>\r\n"));
    CHECK(has(text, "Message-ID: <0193a5b2-2c00-7000-8000-000000000002@mta.test>\r\n"));
    CHECK(has(text, "Date: Sun, 22 Nov 2026 "));
}

TEST_CASE("the status has the class of the action, whatever the class of the reply", "[dsn][rfc3464-2.3.4]") {
    RecipientStatus status;
    CHECK(status_of(status).to_string() == "5.0.0");
    status.reply = Reply{450, {4, 2, 1}, ""};
    CHECK(status_of(status).to_string() == "5.2.1");
    status.action = Action::Delayed;
    CHECK(status_of(status).to_string() == "4.2.1");
    status.is_late = true;
    CHECK(status_of(status).to_string() == "4.4.7");
    status = {};
    status.action = Action::Relayed;
    status.reply = Reply{250, {}, "ok"};
    CHECK(status_of(status).to_string() == "2.0.0");
    CHECK(status_of(expired()).to_string() == "5.4.7");
}

TEST_CASE("words of our own are no SMTP reply", "[dsn]") {
    Case one;
    one.recipients[0] = expired();
    const std::string text = one.compose().content;
    CHECK(has(text, "Diagnostic-Code: X-Postfleet; connection timed out\r\n"));
    CHECK(has(text, "Remote-MTA: dns; [192.0.2.25]\r\n"));
    CHECK(has(text, "Not delivered in time, after 12 attempts."));
}

TEST_CASE("several recipients are in one notification, each with its own fields", "[dsn]") {
    Case one;
    one.recipients.push_back(expired());
    RecipientStatus relayed;
    relayed.action = Action::Relayed;
    relayed.address = "dora@x.test";
    one.recipients.push_back(relayed);
    const std::string text = one.compose().content;
    CHECK(has(text, "Subject: Undelivered"));
    CHECK(has(text,
              "\r\n\r\nOriginal-Recipient: rfc822;bob+tag@y.test\r\nFinal-Recipient: rfc822; bob@x.test\r\n"
              "Action: failed\r\nStatus: 5.1.1\r\n"));
    CHECK(has(text, "\r\n\r\nFinal-Recipient: rfc822; carol@x.test\r\nAction: failed\r\nStatus: 5.4.7\r\n"));
    CHECK(has(text, "\r\n\r\nFinal-Recipient: rfc822; dora@x.test\r\nAction: relayed\r\nStatus: 2.0.0\r\n"));
}

TEST_CASE("UTF-8 addresses are escaped where the sender's is ASCII", "[dsn][X6531][rfc6533-3]") {
    Case one;
    one.recipients[0].address = "b\u00fccher@x.test";
    one.recipients[0].original = "utf-8;b\u00fccher@x.test";
    const Composed composed = one.compose();
    CHECK_FALSE(composed.needs_smtputf8);
    CHECK(is_ascii(composed.content));
    CHECK(has(composed.content, "Content-Type: message/delivery-status\r\n"));
    CHECK(has(composed.content, "Original-Recipient: utf-8;b\\x{FC}cher@x.test\r\n"));
    CHECK(has(composed.content, "Final-Recipient: utf-8; b\\x{FC}cher@x.test\r\n"));
    CHECK(has(composed.content,
              "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable"));
}

TEST_CASE("a sender with a UTF-8 address gets UTF-8 throughout, and its server must know SMTPUTF8", "[dsn][X6531]") {
    Case one;
    one.message.reverse_path = "\u00e4nne@from.test";
    one.recipients[0].address = "b\u00fccher@x.test";
    const Composed composed = one.compose();
    CHECK(composed.needs_smtputf8);
    CHECK(composed.is_eight_bit);
    CHECK(has(composed.content, "Content-Type: message/global-delivery-status\r\n"));
    CHECK(has(composed.content, "Final-Recipient: utf-8; b\u00fccher@x.test\r\n"));
}
