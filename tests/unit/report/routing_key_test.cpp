#include "postfleet/report/routing_key.hpp"

#include <algorithm>
#include <catch2/catch.hpp>

using namespace postfleet;
using postfleet::report::report_routing_key;

namespace {

Event event_of(EventType type, const std::string& tenant, const std::string& pool) {
    auto message = std::make_shared<Message>();
    message->tenant = tenant;
    Event event;
    event.type = type;
    event.message = std::move(message);
    event.pool = pool;
    return event;
}

}  // namespace

TEST_CASE("a routing key is the type, the tenant and the pool") {
    CHECK(report_routing_key(event_of(EventType::Bounced, "acme", "bulk")) == "email.bounced.acme.bulk");
    CHECK(report_routing_key(event_of(EventType::Delivered, "default", "")) == "email.delivered.default.none");
}

TEST_CASE("the pool of an event without one is that of its message") {
    Event event = event_of(EventType::Accepted, "acme", "");
    auto message = std::make_shared<Message>(*event.message);
    message->pool = "transactional";
    event.message = message;
    CHECK(report_routing_key(event) == "email.accepted.acme.transactional");
}

TEST_CASE("operator events have routing keys, too") {
    Event event;
    event.type = EventType::QueueBackoffEntered;
    event.pool = "bulk";
    CHECK(report_routing_key(event) == "queue.backoff_entered.none.bulk");
}

TEST_CASE("what a routing key cannot have is mended, so that its words stay four") {
    CHECK(report_routing_key(event_of(EventType::Bounced, "a.b*c#d e", "p\xc3\xa4")) == "email.bounced.a_b_c_d_e.p__");
    const std::string key =
        report_routing_key(event_of(EventType::Bounced, std::string(300, 'x'), std::string(300, '.')));
    CHECK(key.size() <= 255);
    CHECK(std::count(key.begin(), key.end(), '.') == 3);
}
