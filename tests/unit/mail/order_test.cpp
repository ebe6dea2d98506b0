#include "postfleet/mail/order.hpp"

#include <catch2/catch.hpp>

using namespace postfleet;

TEST_CASE("a selection is described by what was given") {
    CHECK(describe({}) == "everything");
    CHECK(describe({.everything = true}) == "everything");
    CHECK(describe({.domain = "x.test", .job = "promo-*", .reverse_path = "a@b.test"}) ==
          "domain x.test, job promo-*, sender a@b.test");
    CHECK(describe({.queue = "google/v1"}) == "queue google/v1");
}

TEST_CASE("a wider selection includes a narrower one, however the queue is written") {
    CHECK(includes({.everything = true}, {.job = "a"}));
    CHECK(includes({.virtual_mta = "v1"}, {.queue = "x.test/v1"}));
    CHECK(includes({.queue = "*/v1"}, {.virtual_mta = "v1", .site = "x.test"}));
    CHECK(includes({.job = "promo-*"}, {.tenant = "t", .job = "promo-1"}));
    CHECK_FALSE(includes({.job = "promo-1"}, {.job = "promo-*"}));
    CHECK_FALSE(includes({.queue = "x.test/v1"}, {.virtual_mta = "v1"}));
    CHECK_FALSE(includes({.tenant = "t"}, {.everything = true}));
    CHECK(includes({.domain = "X.TEST"}, {.domain = "x.test"}));
}

TEST_CASE("actions have names") {
    for (const OrderAction action :
         {OrderAction::Pause, OrderAction::Suppress, OrderAction::Delete, OrderAction::Bounce, OrderAction::Move}) {
        CHECK(parse_order_action(to_string(action)) == action);
    }
    CHECK_FALSE(parse_order_action("explode"));
}

TEST_CASE("an order stands when it pauses or suppresses, or has an end") {
    CHECK(Order{.action = OrderAction::Pause}.is_standing());
    CHECK(Order{.action = OrderAction::Suppress}.is_standing());
    CHECK_FALSE(Order{.action = OrderAction::Delete}.is_standing());
    CHECK(Order{.action = OrderAction::Delete, .expires_at = WallTime{}}.is_standing());
}
