#include "../../../services/standalone/src/cli/merge_answers.hpp"

#include <boost/json.hpp>
#include <catch2/catch.hpp>

using namespace postfleet;
using namespace postfleet::standalone;

namespace {

boost::json::value merged(const std::string& command, const std::vector<SenderAnswer>& answers,
                          const runtime::ControlArguments& arguments = {}) {
    const auto json = merge_answers(command, arguments, answers);
    REQUIRE(json);
    return boost::json::parse(*json);
}

}  // namespace

TEST_CASE("queues of several senders are one list, sorted and cut as it was asked for, with whose each is") {
    const std::vector<SenderAnswer> answers{
        {"s0", R"({"total":2,"queues":[{"name":"a/x","ready":1},{"name":"c/x","ready":5}]})"},
        {"s1", R"({"total":1,"queues":[{"name":"b/y","ready":3}]})"}};
    const auto by_name = merged("queues", answers);
    CHECK(by_name.at("total").to_number<int>() == 3);
    CHECK(by_name.at("queues").at(1).at("name") == "b/y");
    CHECK(by_name.at("queues").at(1).at("sender") == "s1");
    const auto largest = merged("queues", answers, {{"sort", "queued"}, {"limit", "2"}});
    CHECK(largest.at("queues").as_array().size() == 2);
    CHECK(largest.at("queues").at(0).at("name") == "c/x");
    CHECK(largest.at("total").to_number<int>() == 3);
}

TEST_CASE("one status of several senders adds up, and names who is not ready") {
    const auto status = merged(
        "status",
        {{"s0",
          R"({"ready":true,"not_ready":[],"process":{"hostname":"s0"},"sender":{"queued_recipients":4,"accepted_per_second":1.5},
              "spool":{"condition":"ready","free_octets":10},"reports":[{"name":"file","lag_events":1}]})"},
         {"s1",
          R"({"ready":false,"not_ready":["spool: full"],"process":{"hostname":"s1"},"sender":{"queued_recipients":3,"accepted_per_second":2},
              "spool":{"condition":"latched","reason":"full","free_octets":5},"reports":[{"name":"file","lag_events":2}]})"}});
    CHECK(status.at("sender").at("queued_recipients").to_number<int>() == 7);
    CHECK(status.at("sender").at("accepted_per_second").to_number<double>() == 3.5);
    CHECK(status.at("ready") == false);
    CHECK(status.at("not_ready").at(0) == "s1: spool: full");
    CHECK(status.at("spool").at("condition") == "latched");
    CHECK(status.at("spool").at("free_octets").to_number<int>() == 15);
    CHECK(status.at("reports").at(0).at("lag_events").to_number<int>() == 3);
}

TEST_CASE("counts are added, tasks are put together up to the limit") {
    const auto count = merged("retry", {{"s0", R"({"count":{"recipients":2,"tasks":1}})"},
                                        {"s1", R"({"count":{"recipients":5,"tasks":4}})"}});
    CHECK(count.at("count").at("recipients").to_number<int>() == 7);
    CHECK(merged("set-mode", {{"s0", R"({"queues":2})"}, {"s1", R"({"queues":1})"}}).at("queues").to_number<int>() ==
          3);
    const auto tasks = merged(
        "list",
        {{"s0", R"({"more":false,"tasks":[{"task":1},{"task":2}]})"}, {"s1", R"({"more":false,"tasks":[{"task":3}]})"}},
        {{"limit", "2"}});
    CHECK(tasks.at("tasks").as_array().size() == 2);
    CHECK(tasks.at("more") == true);
}

TEST_CASE("an answer of another shape names whose it is") {
    const auto merged = merge_answers("queues", {}, {{"s0", "[1]"}, {"s1", "{}"}});
    REQUIRE_FALSE(merged);
    CHECK(merged.error().text.find("s0") != std::string::npos);
}

TEST_CASE("orders are given at one sender, counts and lists are asked of all") {
    CHECK(recipients_of("pause", {}) == Recipients::AnySender);
    CHECK(recipients_of("pause", {{"dry_run", "yes"}}) == Recipients::EverySender);
    CHECK(recipients_of("queues", {}) == Recipients::EverySender);
    CHECK(recipients_of("trace", {}) == Recipients::OneSender);
    for (const char* command :
         {"senders", "takeover", "release", "reload", "suppressions", "suppressions-add", "suppressions-remove"}) {
        CHECK(recipients_of(command, {}) == Recipients::NoSender);
    }
}

TEST_CASE("what is over counts before what waits, and events that two have told are there once") {
    const auto told = merged(
        "history",
        {{"s0",
          R"({"message":{"message_id":"m"},"recipients":[{"index":0,"next_attempt_at":"2026-01-01T00:00:09Z"}],
              "events":[{"id":"b","time":"2026-01-01T00:00:02Z"}],"files":[],"notes":["late"]})"},
         {"f0",
          R"({"message":{"subject":"hi"},"recipients":[{"index":0,"state":"delivered","ended_at":"2026-01-01T00:00:03Z"}],
              "events":[{"id":"b","time":"2026-01-01T00:00:02Z"},{"id":"a","time":"2026-01-01T00:00:01Z"}],
              "files":["e.jsonl"],"notes":[]})"}});
    CHECK(told.at("message").as_object().size() == 2);
    CHECK(told.at("recipients").at(0).at("state") == "delivered");
    REQUIRE(told.at("events").as_array().size() == 2);
    CHECK(told.at("events").at(0).at("id") == "a");
    CHECK(told.at("files").at(0) == "f0: e.jsonl");
    CHECK(told.at("notes").at(0) == "s0: late");
}
