#include "postfleet/wire/submission_message.hpp"

#include <catch2/catch.hpp>

#include "postfleet/v1/submission.pb.h"

using namespace postfleet;

namespace {

v1::Submission whole() {
    v1::Submission s;
    s.set_mail_from("bounces@shop.example");
    s.add_recipients()->set_address("alice@customer.example");
    s.set_mime("From: a@shop.example\r\n\r\nHi");
    return s;
}

std::string problem_of(const v1::Submission& message) {
    const auto parsed = wire::parse_submission(message.SerializeAsString());
    return parsed ? "" : parsed.error().text;
}

}  // namespace

TEST_CASE("a finished message as protobuf", "[wire][submission]") {
    v1::Submission s = whole();
    v1::Recipient& recipient = *s.mutable_recipients(0);
    (*recipient.mutable_variables())["Name"] = "Alice";
    recipient.add_notify("FAILURE");
    recipient.set_original_recipient("rfc822;alice@customer.example");
    s.set_virtual_mta("bulk");
    s.set_job("news");
    s.set_priority(-2);
    s.set_send_at_ms(1'795'000'000'123);
    s.set_return_content("full");
    s.add_tags("a");
    (*s.mutable_metadata())["b"] = "2";
    (*s.mutable_metadata())["a"] = "1";
    s.set_idempotency_key("k");
    const auto parsed = wire::parse_submission(s.SerializeAsString());
    REQUIRE(parsed);
    CHECK(parsed->mail_from == "bounces@shop.example");
    CHECK(parsed->content == "From: a@shop.example\r\n\r\nHi");
    CHECK_FALSE(parsed->draft);
    CHECK(parsed->is_personal);
    CHECK(parsed->recipients[0].variables.find("name") == "Alice");
    CHECK(parsed->recipients[0].notify == kNotifyFailure);
    CHECK(parsed->priority == -2);
    CHECK(parsed->send_at == from_unix_microseconds(1'795'000'000'123'000));
    CHECK(parsed->return_content == ReturnContent::Full);
    CHECK(parsed->metadata == std::vector<std::pair<std::string, std::string>>{{"a", "1"}, {"b", "2"}});
    CHECK(parsed->idempotency_key == "k");
}

TEST_CASE("a draft as protobuf", "[wire][submission]") {
    v1::Submission s;
    s.mutable_from()->set_address("orders@shop.example");
    s.mutable_from()->set_name("Shop");
    s.add_to()->set_address("alice@customer.example");
    s.add_bcc()->set_address("archive@shop.example");
    s.set_subject("Hello");
    s.set_text("Hello!");
    auto& header = *s.add_headers();
    header.set_name("X-Order");
    header.set_value("17");
    auto& file = *s.add_attachments();
    file.set_filename("a.bin");
    file.set_content(std::string("\0\xff", 2));
    file.set_is_inline(true);
    const auto parsed = wire::parse_submission(s.SerializeAsString());
    REQUIRE(parsed);
    CHECK_FALSE(parsed->mail_from);
    REQUIRE(parsed->draft);
    CHECK(parsed->draft->from == NamedAddress{"Shop", "orders@shop.example"});
    CHECK(parsed->draft->attachments[0].content == std::string("\0\xff", 2));
    CHECK(parsed->draft->attachments[0].disposition == Attachment::Disposition::Inline);
    CHECK(parsed->bcc.size() == 1);
}

TEST_CASE("what cannot be read as protobuf is named", "[wire][submission]") {
    CHECK(wire::parse_submission("\xff\xff").error().text.starts_with("the body is not a postfleet.v1.Submission"));
    // Field 500, a varint: from a newer or another file.
    CHECK(wire::parse_submission(whole().SerializeAsString() + "\xa0\x1f\x01")
              .error()
              .text.starts_with("the body: has a field with the number 500"));
    v1::Submission s = whole();
    s.set_return_content("all");
    CHECK(problem_of(s).starts_with("return_content: must be full or headers"));
    s = whole();
    s.set_priority(100);
    CHECK(problem_of(s).starts_with("priority: must be"));
    s = whole();
    s.mutable_recipients(0)->add_notify("never");
    s.mutable_recipients(0)->add_notify("delay");
    CHECK(problem_of(s).starts_with("recipients[0].notify: NEVER cannot"));
    s = whole();
    (*s.mutable_recipients(0)->mutable_variables())["1st"] = "x";
    CHECK(problem_of(s).starts_with("recipients[0].variables.1st: is not the name"));
    s = whole();
    s.set_send_at_ms(-1);
    CHECK(problem_of(s).starts_with("send_at_ms: must be"));
}

TEST_CASE("what a body takes of memory is known before it is parsed", "[wire][submission][SEC-3]") {
    const auto small = wire::survey_submission(whole().SerializeAsString());
    REQUIRE(small);
    CHECK(small->parts == 1);
    CHECK(small->memory_octets < 1000);
    // Two octets are a recipient, which takes a hundred times as much.
    std::string recipients;
    for (std::size_t i = 0; i <= wire::kMaxSubmissionParts; ++i) recipients += std::string("\x12\0", 2);
    const auto many = wire::parse_submission(recipients);
    REQUIRE_FALSE(many);
    CHECK(many.error().text.find("more than 110000 recipients") != std::string::npos);
    recipients.resize(recipients.size() - 2);
    const auto fewer = wire::survey_submission(recipients);
    REQUIRE(fewer);
    CHECK(fewer->memory_octets > 250 * wire::kMaxSubmissionParts);
    std::string tags;
    for (std::size_t i = 0; i <= wire::kMaxSubmissionFields; ++i) tags += std::string("\xaa\x01\0", 3);
    CHECK(wire::parse_submission(tags).error().text.find("more than 1500000 fields") != std::string::npos);
    // Groups, which nobody writes any more, could hold thousands in one field.
    CHECK_FALSE(wire::survey_submission("\x0b\x0c"));
    CHECK_FALSE(wire::survey_submission("\x12\x7f"));
}

TEST_CASE("the variables of a recipient are counted before they are compared", "[wire][submission][SEC-3]") {
    v1::Submission s = whole();
    for (int i = 0; i < 257; ++i) (*s.mutable_recipients(0)->mutable_variables())["v" + std::to_string(i)] = "";
    CHECK(problem_of(s) == "recipients[0].variables: has more than 256 entries");
}
