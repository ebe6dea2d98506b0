#include <catch2/catch.hpp>

#include "postfleet/submission/finish.hpp"

using namespace postfleet;
using namespace postfleet::submission;

namespace {

const WallTime kNow = from_unix_microseconds(1'795'000'000'000'000);

Submission drafted() {
    Submission s;
    s.draft.emplace();
    s.draft->from = {"Shop", "orders@Shop.Example"};
    s.draft->to = {{"", "alice@customer.example"}};
    s.draft->subject = "Hello";
    s.draft->text = "Hello!";
    return s;
}

Submission whole() {
    Submission s;
    s.mail_from = "bounces@shop.example";
    s.recipients = {{.address = "alice@Customer.Example"}};
    s.content = "From: a@shop.example\n\nHi\n";
    return s;
}

Result<FinishedSubmission> finished(Submission s) {
    return finish(std::move(s), {.max_recipients = 20},
                  {.now = kNow, .date = "Sun, 22 Nov 2026 10:11:12 +0000", .id = "0193", .hostname = "mx.example"});
}

std::string problem_of(Submission s) {
    const auto done = finished(std::move(s));
    return done ? "" : done.error().text;
}

}  // namespace

TEST_CASE("a draft goes to everybody it names, once, and bounces to its author", "[submission]") {
    Submission s = drafted();
    s.draft->cc = {{"", "alice@CUSTOMER.example"}, {"", "bob@customer.example"}};
    s.bcc = {{"", "archive@shop.example"}};
    const auto done = finished(s);
    REQUIRE(done);
    CHECK(done->reverse_path == "orders@shop.example");
    REQUIRE(done->recipients.size() == 3);
    CHECK(done->recipients[0].address == "alice@customer.example");
    CHECK(done->recipients[2].address == "archive@shop.example");
    CHECK(done->content.find("Message-ID: <0193@mx.example>\r\n") != std::string::npos);
    CHECK(done->content.find("archive") == std::string::npos);
    CHECK_FALSE(done->needs_utf8);
}

TEST_CASE("a finished message goes as it is", "[submission]") {
    const auto done = finished(whole());
    REQUIRE(done);
    CHECK(done->content == "From: a@shop.example\n\nHi\n");
    CHECK(done->recipients[0].address == "alice@customer.example");
    Submission null_path = whole();
    null_path.mail_from = "";
    CHECK(finished(null_path)->reverse_path.empty());
}

TEST_CASE("an address with UTF-8 needs SMTPUTF8", "[submission][RFC6531]") {
    Submission s = drafted();
    s.draft->to = {{"", "jürgen@customer.example"}};
    CHECK(finished(s)->needs_utf8);
    s.draft->to = {{"Jürgen", "j@grüße.example"}};
    CHECK_FALSE(finished(s)->needs_utf8);
}

TEST_CASE("tags stand among the metadata", "[submission]") {
    Submission s = whole();
    s.tags = {"a", "b"};
    s.metadata = {{"customer", "7"}};
    const auto done = finished(s);
    REQUIRE(done);
    CHECK(done->metadata.back() == std::pair<std::string, std::string>{"tags", "a,b"});
}

TEST_CASE("recipients that are wrong are all named", "[submission]") {
    Submission s = whole();
    s.recipients = {{.address = "a"}, {.address = "b@x.example"}, {.address = "c@x..example"}};
    const std::string problem = problem_of(s);
    CHECK(problem.find("recipients[0]: \"a\" is not an address") != std::string::npos);
    CHECK(problem.find("recipients[2]: ") != std::string::npos);
    CHECK(problem.find("recipients[1]: ") == std::string::npos);
    s.recipients.assign(15, {.address = "a"});
    CHECK(problem_of(s).ends_with("; and 5 more"));
}

TEST_CASE("what cannot be sent is refused with what to do", "[submission]") {
    const auto with = [](auto change) {
        Submission s = whole();
        change(s);
        return problem_of(std::move(s));
    };
    CHECK(problem_of({}).starts_with("from: is missing"));
    CHECK(with([](auto& s) { s.draft.emplace(); }).starts_with("mime: is a finished message"));
    CHECK(with([](auto& s) { s.mail_from.reset(); }).starts_with("mail_from: is missing"));
    CHECK(with([](auto& s) { s.mail_from = "nobody"; }).starts_with("mail_from: \"nobody\" is not an address"));
    CHECK(with([](auto& s) { s.mail_from = "a@b.example>\r\nRCPT TO:<c@d.example"; }).starts_with("mail_from: "));
    CHECK(with([](auto& s) { s.recipients.clear(); }).starts_with("recipients: there are none"));
    CHECK(with([](auto& s) { s.recipients.resize(21, s.recipients[0]); }).find("at most 20 (max_recipients)") !=
          std::string::npos);
    CHECK(with([](auto& s) { s.bcc = {{"", "x@y.example"}}; }).starts_with("bcc: cannot stand beside recipients"));
    CHECK(with([](auto& s) { s.virtual_mta = "a\nb"; }).starts_with("virtual_mta: must be one line"));
    CHECK(with([](auto& s) { s.envelope_id = "ü"; }).starts_with("envelope_id: must be printable ASCII"));
    CHECK(with([](auto& s) { s.expires_at = kNow; }).starts_with("expires_at: is over"));
    CHECK(with([](auto& s) { s.send_at = kNow + std::chrono::hours(24 * 31); }).starts_with("send_at: is too far"));
    // The nanoseconds until then have no room in 64 bits.
    CHECK(with([](auto& s) {
              s.send_at = kNow + std::chrono::hours(24 * 366 * 600);
          }).starts_with("send_at: is too far"));
    CHECK(with([](auto& s) {
              s.send_at = kNow + std::chrono::hours(2);
              s.expires_at = kNow + std::chrono::hours(1);
          }).starts_with("expires_at: is before send_at"));
    CHECK(with([](auto& s) {
              s.recipients[0].variables.add("a", std::string(15'001, '"'));
          }).starts_with("recipients[0].variables.a: is longer than 15000"));
    CHECK(with([](auto& s) { s.tags = {"a,b"}; }).starts_with("tags[0]: "));
    CHECK(with([](auto& s) { s.metadata.resize(51); }).starts_with("metadata: has too many"));
    CHECK(with([](auto& s) { s.recipients[0].original = "alice"; }).starts_with("recipients[0].orcpt: "));
    CHECK(with([](auto& s) {
              s.is_personal = true;
              s.recipients.clear();
          }).starts_with("recipients: is missing"));
    CHECK_FALSE(check_idempotency_key(std::string(256, 'x')));
    CHECK(check_idempotency_key("order-17"));
}

TEST_CASE("what was to be sent in the past is sent now", "[submission]") {
    Submission s = whole();
    s.send_at = kNow - std::chrono::hours(1);
    CHECK_FALSE(finished(s)->send_at);
}
