#include <catch2/catch.hpp>

#include "postfleet/submission/json_body.hpp"

using namespace postfleet;
using submission::parse_json;

namespace {

std::string problem_of(std::string_view body) {
    const auto parsed = parse_json(body);
    return parsed ? "" : parsed.error().text;
}

}  // namespace

TEST_CASE("the fields of an e-mail API", "[submission][json]") {
    const auto parsed = parse_json(R"({
        "from": "\"Shop, The\" <orders@shop.example>",
        "to": ["alice@customer.example", {"address": "bob@customer.example", "name": "Bob"}],
        "cc": "carol@customer.example",
        "bcc": {"address": "archive@shop.example"},
        "reply_to": "help@shop.example",
        "subject": "Your order",
        "text": "It is on its way.",
        "html": "<p>It is on its way.</p>",
        "headers": {"X-Order": 17},
        "attachments": [
            {"filename": "invoice.pdf", "content_type": "application/pdf", "content": "UERG\n"},
            {"filename": "logo.png", "type": "image/png", "content": "UE5H", "content_id": "logo"}],
        "virtual_mta": "transactional", "job": "orders", "envelope_id": "17", "priority": 3,
        "tags": ["order", "first"], "metadata": {"customer": 42, "vip": true, "note": null},
        "send_at": "2026-12-24T08:00:00+01:00", "expires_at": 1798108200,
        "return_content": "headers", "idempotency_key": "order-17"
    })");
    REQUIRE(parsed);
    const Submission& s = *parsed;
    REQUIRE(s.draft);
    CHECK(s.draft->from == NamedAddress{"Shop, The", "orders@shop.example"});
    CHECK(s.draft->to == std::vector<NamedAddress>{{"", "alice@customer.example"}, {"Bob", "bob@customer.example"}});
    CHECK(s.draft->cc.size() == 1);
    CHECK(s.bcc == std::vector<NamedAddress>{{"", "archive@shop.example"}});
    CHECK(s.draft->headers.front() == std::pair<std::string, std::string>{"X-Order", "17"});
    REQUIRE(s.draft->attachments.size() == 2);
    CHECK(s.draft->attachments[0].content == "PDF");
    CHECK(s.draft->attachments[0].disposition == Attachment::Disposition::Attachment);
    CHECK(s.draft->attachments[1].disposition == Attachment::Disposition::Inline);
    CHECK(s.virtual_mta == "transactional");
    CHECK(s.priority == 3);
    CHECK(format_rfc3339(*s.send_at) == "2026-12-24T07:00:00.000000Z");
    CHECK(format_rfc3339(*s.expires_at) == "2026-12-24T10:30:00.000000Z");
    CHECK(s.return_content == ReturnContent::Headers);
    CHECK(s.metadata.size() == 3);
    CHECK(s.idempotency_key == "order-17");
    CHECK(s.content.empty());
    CHECK_FALSE(s.is_personal);
}

TEST_CASE("MailerQ's names say the same", "[submission][json]") {
    const auto parsed = parse_json(R"({
        "envelope": "bounces@shop.example", "recipient": "alice@customer.example",
        "mime": "From: a@shop.example\r\n\r\nHi", "pool": "bulk", "tags": "news", "keepmime": true,
        "nextattempt": {"time": "2026-12-24 08:00:00"}, "maxdelivertime": "2026-12-25 08:00:00",
        "dsn": {"notify": "FAILURE,DELAY", "ret": "HDRS", "orcpt": "rfc822;alice@customer.example", "envid": "e1"}
    })");
    REQUIRE(parsed);
    CHECK(parsed->mail_from == "bounces@shop.example");
    REQUIRE(parsed->recipients.size() == 1);
    CHECK(parsed->recipients[0].address == "alice@customer.example");
    CHECK(parsed->recipients[0].notify == (kNotifyFailure | kNotifyDelay));
    CHECK(parsed->recipients[0].original == "rfc822;alice@customer.example");
    CHECK(parsed->content.ends_with("Hi"));
    CHECK_FALSE(parsed->draft);
    CHECK(parsed->virtual_mta == "bulk");
    CHECK(parsed->envelope_id == "e1");
    CHECK(format_rfc3339(*parsed->send_at) == "2026-12-24T08:00:00.000000Z");
}

TEST_CASE("each recipient can have variables, and data is everybody's", "[submission][json][merge]") {
    const auto parsed = parse_json(R"({
        "from": "news@shop.example", "subject": "Hello [name]", "text": "[shop] [city]",
        "data": {"shop": "Ours", "city": "Vienna"},
        "recipients": [{"to": "a@x.example", "variables": {"Name": "Alice", "city": "Graz"}}, "b@x.example"]
    })");
    REQUIRE(parsed);
    CHECK(parsed->is_personal);
    REQUIRE(parsed->recipients.size() == 2);
    CHECK(parsed->recipients[0].variables.find("name") == "Alice");
    CHECK(parsed->recipients[0].variables.find("city") == "Graz");
    CHECK(parsed->recipients[0].variables.find("shop") == "Ours");
    CHECK(parsed->recipients[1].variables.find("city") == "Vienna");
}

TEST_CASE("every error names the field and says how to mend it", "[submission][json]") {
    CHECK(problem_of("").starts_with("the body is not JSON"));
    CHECK(problem_of("{\"from\": ").starts_with("the body is not JSON"));
    CHECK(problem_of("{} {}").find("at octet 3") != std::string::npos);
    CHECK(problem_of("[]") == "the body: must be an object");
    CHECK(problem_of(R"({"form": "a@b.example"})") ==
          "form: is no field that is known here; what is yours alone belongs into metadata");
    CHECK(problem_of(R"({"subject": 7})") == "subject: must be a text");
    CHECK(problem_of(R"({"to": [{"mail": "a@b.example"}]})").starts_with("to[0].mail: is no field"));
    CHECK(problem_of(R"({"to": 5})").starts_with("to: must be an address such as"));
    CHECK(problem_of(R"({"vmta": "a", "pool": "b"})") == "pool: says the same as vmta; give one of them");
    CHECK(problem_of(R"({"send_at": "tomorrow"})").starts_with("send_at: is not a time; write it as"));
    CHECK(problem_of(R"({"send_at": "2026-13-01T00:00:00Z"})").starts_with("send_at: is not a time"));
    CHECK(problem_of(R"({"priority": 10})").starts_with("priority: must be a number from -9 to 9"));
    CHECK(problem_of(R"({"attachments": [{"filename": "a", "content": "a b!"}]})")
              .starts_with("attachments[0].content: is not Base64"));
    CHECK(problem_of(R"({"attachments": [{"filename": "a"}]})") == "attachments[0]: has no content");
    CHECK(problem_of(R"({"attachments": "a"})").starts_with("attachments: must be a list"));
    CHECK(problem_of(R"({"recipients": [{"variables": {}}]})").starts_with("recipients[0]: has no address"));
    CHECK(problem_of(R"({"recipients": [{"to": "a@b.example", "variables": {"1st": "x"}}]})")
              .starts_with("recipients[0].variables.1st: is not the name of a variable"));
    CHECK(problem_of(R"({"metadata": {"a": [1]}})") == "metadata.a: must be a text, a number, true or false");
    CHECK(problem_of(R"({"smarthost": {}})").find("routes") != std::string::npos);
    CHECK(problem_of(R"({"dsn": {"notify": "sometimes"}})").starts_with("dsn.notify: must be never"));
}

TEST_CASE("hostile JSON costs no more than its size", "[submission][json][SEC-3]") {
    CHECK(problem_of(std::string(100'000, '[')).starts_with("the body is not JSON"));
    CHECK(problem_of("{\"metadata\": {\"a\": " + std::string(20, '[') + std::string(20, ']') + "}}")
              .starts_with("the body is not JSON"));
    CHECK(problem_of("{\"subject\": \"\xff\"}").starts_with("the body is not JSON"));
    std::string to;
    for (int i = 0; i < 110'001; ++i) to += "\"\",";
    to.back() = ']';
    CHECK(problem_of("{\"to\": [" + to + "}").starts_with("to: has more than 110000 items"));
    // What all share is copied for each.
    std::string recipients;
    for (int i = 0; i < 5000; ++i) recipients += R"("a@b.example",)";
    recipients.back() = ']';
    const std::string shared(10'000, 'x');
    CHECK(problem_of(R"({"recipients": [)" + recipients + R"(, "data": {"a": ")" + shared + R"("}})")
              .starts_with("data: with it the variables of all recipients have more than 4"));
    // And each variable is compared with the others.
    std::string variables;
    for (int i = 0; i < 300; ++i) variables += "\"v" + std::to_string(i) + "\": 1,";
    variables.back() = '}';
    CHECK(problem_of(R"({"recipients": [{"to": "a@b.example", "variables": {)" + variables + "}]}")
              .starts_with("recipients[0].variables: are too many; at most 256"));
}
