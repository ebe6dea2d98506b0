#include <catch2/catch.hpp>

#include "postfleet/submission/message_body.hpp"

using namespace postfleet;
using submission::parse_message;

namespace {

using Headers = std::vector<std::pair<std::string, std::string>>;

std::string problem_of(std::string content, const Headers& headers) {
    const auto parsed = parse_message(std::move(content), headers);
    return parsed ? "" : parsed.error().text;
}

}  // namespace

TEST_CASE("a finished message has its envelope beside it", "[submission]") {
    const auto parsed = parse_message("From: a@b.example\n\nHi\n", {{"Mail-From", "a@b.example"},
                                                                    {"rcpt-to", "c@d.example"},
                                                                    {"rcpt-to", "e@f.example"},
                                                                    {"virtual-mta", "bulk"},
                                                                    {"job", "news"},
                                                                    {"envid", "7"},
                                                                    {"priority", "-3"},
                                                                    {"send-at", "2026-12-24T08:00:00Z"},
                                                                    {"tag", "x"},
                                                                    {"idempotency-key", "k"},
                                                                    {"x-death", "not ours"}});
    REQUIRE(parsed);
    CHECK(parsed->mail_from == "a@b.example");
    CHECK(parsed->recipients.size() == 2);
    CHECK(parsed->virtual_mta == "bulk");
    CHECK(parsed->job == "news");
    CHECK(parsed->priority == -3);
    CHECK(parsed->send_at);
    CHECK(parsed->idempotency_key == "k");
    CHECK(parsed->content == "From: a@b.example\n\nHi\n");
}

TEST_CASE("what is missing or twice among the headers is named", "[submission]") {
    const Headers good{{"mail-from", "a@b.example"}, {"rcpt-to", "c@d.example"}};
    CHECK(problem_of("", good).starts_with("the body is empty"));
    CHECK(problem_of("x", {good[0]}).starts_with("header rcpt-to: is missing"));
    CHECK(problem_of("x", {good[1]}).starts_with("header mail-from: is missing"));
    CHECK(problem_of("x", {good[0], good[0], good[1]}).starts_with("header mail-from: stands there more than once"));
    CHECK(problem_of("x", {good[0], good[1], {"priority", "high"}}).starts_with("header priority: must be a number"));
    CHECK(problem_of("x", {good[0], good[1], {"send-at", "soon"}}).starts_with("header send-at: is not a time"));
}
