#include "postfleet/ingest/pickup_envelope.hpp"

#include <catch2/catch.hpp>

namespace postfleet::ingest {
namespace {

PickupEnvelope parsed(std::string_view text, RestOfFile rest = RestOfFile::IsEmpty) {
    auto result = parse_pickup_envelope(text, rest);
    INFO((result ? "" : result.error().text));
    REQUIRE(result);
    REQUIRE(*result);
    return std::move(**result);
}

std::string mistake(std::string_view text) {
    const auto result = parse_pickup_envelope(text, RestOfFile::IsEmpty);
    REQUIRE_FALSE(result);
    return result.error().text;
}

const std::string kMail = "From: a@src.test\n\nHello\n";

}  // namespace

TEST_CASE("a pickup file begins with its sender and receivers", "[pickup]") {
    const std::string text = "x-sender: a@src.test\nX-Receiver: b@dst.test\nx-receiver:c@dst.test\n" + kMail;
    const PickupEnvelope envelope = parsed(text);
    CHECK(envelope.sender == "<a@src.test>");
    CHECK(envelope.receivers == std::vector<std::string>{"<b@dst.test>", "<c@dst.test>"});
    CHECK(envelope.fields.empty());
    CHECK(text.substr(envelope.octets) == kMail);
}

TEST_CASE("lines of the envelope may end in CRLF", "[pickup]") {
    const PickupEnvelope envelope = parsed("x-sender: <a@src.test>\r\nx-receiver: <b@dst.test>\r\n" + kMail);
    CHECK(envelope.sender == "<a@src.test>");
    CHECK(envelope.receivers.front() == "<b@dst.test>");
}

TEST_CASE("ESMTP parameters may follow an address, in brackets or not", "[pickup]") {
    const PickupEnvelope envelope = parsed(
        "x-sender: a@src.test RET=HDRS\nx-receiver: <b@dst.test> NOTIFY=NEVER\n"
        "x-receiver: \"b c\"@dst.test ORCPT=rfc822;b@dst.test\n" +
        kMail);
    CHECK(envelope.sender == "<a@src.test> RET=HDRS");
    CHECK(envelope.receivers.front() == "<b@dst.test> NOTIFY=NEVER");
    CHECK(envelope.receivers.back() == "<\"b c\"@dst.test> ORCPT=rfc822;b@dst.test");
}

TEST_CASE("x-virtual-mta, x-job and x-envid stay fields of the message", "[pickup]") {
    const PickupEnvelope envelope =
        parsed("x-virtual-mta: promo\nx-sender: <>\nx-job: autumn\nx-receiver: b@dst.test\nx-envid: 7\n" + kMail);
    CHECK(envelope.fields == "x-virtual-mta: promo\r\nx-job: autumn\r\nx-envid: 7\r\n");
    CHECK(envelope.sender == "<>");
}

TEST_CASE("an empty x-sender is the null reverse-path", "[pickup]") {
    CHECK(parsed("x-sender:\nx-receiver: b@dst.test\n" + kMail).sender == "<>");
}

TEST_CASE("UTF-8 in an address is noticed", "[pickup]") {
    CHECK(parsed("x-sender: a@src.test\nx-receiver: \xc3\xa4@dst.test\n" + kMail).has_utf8);
    CHECK_FALSE(parsed("x-sender: a@src.test\nx-receiver: b@dst.test\nSubject: \xc3\xa4\n\n").has_utf8);
}

TEST_CASE("an envelope that does not end in what is there asks for more", "[pickup]") {
    for (const char* text :
         {"", "x-sen", "x-sender: a@src.test", "x-sender: a@src.test\nx-receiver: b@dst.test\nFro"}) {
        const auto result = parse_pickup_envelope(text, RestOfFile::Follows);
        REQUIRE(result);
        CHECK_FALSE(*result);
    }
}

TEST_CASE("what is wrong with an envelope is said for people", "[pickup]") {
    CHECK(mistake("") == "the file does not begin with an x-sender line");
    CHECK(mistake(kMail) == "the file does not begin with an x-sender line");
    CHECK(mistake("x-sender: a@src.test\n" + kMail) == "there is no x-receiver line at the top of the file");
    CHECK(mistake("x-sender: a@src.test\nx-sender: a@src.test\n") == "there is more than one x-sender line");
    CHECK(mistake("x-sender: a@src.test\nx-receiver: b@dst.test\n") == "there is no message behind the envelope");
    CHECK(mistake("x-sender: a@src.test\nx-receiver: b@dst.test\n folded\n") ==
          "a line of the envelope goes on in the next line; write it in one");
}

TEST_CASE("a receiver among the message's own fields is a mistake, not a field that everybody sees", "[pickup]") {
    const std::string text =
        "x-sender: a@src.test\nx-receiver: b@dst.test\nFrom: a@src.test\n"
        "x-receiver: c@dst.test\n\nHello\n";
    CHECK(mistake(text).find("x-receiver: c@dst.test") != std::string::npos);
    // In the body it is text.
    parsed("x-sender: a@src.test\nx-receiver: b@dst.test\nFrom: a@src.test\n\nx-receiver: c@dst.test\n");
}

}  // namespace postfleet::ingest
