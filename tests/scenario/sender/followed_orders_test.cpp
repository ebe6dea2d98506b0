// Orders that were given at another sender of the cluster, or at a router.
#include <catch2/catch.hpp>

#include <algorithm>

#include "postfleet/support/sender_world.hpp"

using namespace postfleet;
using namespace postfleet::support;

namespace {

Order order(std::uint32_t id, OrderAction action, MailSelector which) {
    Order given;
    given.id = OrderId{id};
    given.action = action;
    given.which = std::move(which);
    given.who = "somebody at another sender";
    return given;
}

struct Cluster {
    SenderWorld world;
    Cluster() {
        world.route("x.test", "192.0.2.1:25");
        world.start();
    }
    // One for a@x.test, by order 7.
    void hold_a_mail() {
        follow({.revision = 1, .changed = {order(7, OrderAction::Pause, {.domain = "x.test"})}});
        world.accept({.to = {"a@x.test"}});
        world.advance(std::chrono::minutes(1));
        CHECK(world.count(EventType::Delivered) == 0);
    }
    void follow(OrderChanges changes) {
        world.sender->follow_orders(std::move(changes));
        world.settle();
    }
};

}  // namespace

TEST_CASE("a pause that was given elsewhere holds here, until it is withdrawn elsewhere") {
    Cluster cluster;
    SenderWorld& world = cluster.world;
    cluster.hold_a_mail();
    REQUIRE(world.orders().size() == 1);
    CHECK(world.orders()[0].id == OrderId{7});
    cluster.follow({.revision = 2, .removed = {OrderId{7}, OrderId{99}}});
    world.advance(std::chrono::minutes(1));
    CHECK(world.count(EventType::Delivered) == 1);
    CHECK(world.orders().empty());
}

TEST_CASE("a deletion that was given elsewhere is carried out here once, however often it is told") {
    Cluster cluster;
    SenderWorld& world = cluster.world;
    cluster.follow({.revision = 1, .changed = {order(7, OrderAction::Pause, {.everything = true})}});
    world.accept({.to = {"a@x.test"}});
    Order deletion = order(8, OrderAction::Delete, {.everything = true});
    deletion.which.accepted_before = world.executors[0]->wall_now() + std::chrono::seconds(1);
    cluster.follow({.revision = 2, .changed = {deletion}});
    CHECK(world.finished(OrderId{8}).recipients == 1);
    CHECK(world.count(EventType::Cancelled) == 1);
    deletion.recipients = 5;  // others are further now, and not finished
    cluster.follow({.revision = 3, .changed = {deletion}});
    CHECK(world.finished(OrderId{8}).recipients == 1);
}

TEST_CASE("a complete list ends what is not on it, but not what was given here meanwhile") {
    Cluster cluster;
    SenderWorld& world = cluster.world;
    const auto ids = [&] {
        std::vector<OrderId> all;
        for (const Order& one : world.orders()) all.push_back(one.id);
        return all;
    };
    const Order first = world.pause({.tenant = "first"});  // order 1
    cluster.follow({.revision = 1, .changed = {first}});
    const Order second = world.pause({.tenant = "second"});
    cluster.follow({.revision = 9, .complete = true, .changed = {first}});
    CHECK(ids() == std::vector{first.id, second.id});
    const Order other = order(20, OrderAction::Pause, {.tenant = "other"});
    cluster.follow({.revision = 10, .changed = {second, other}});
    cluster.follow({.revision = 11, .complete = true, .changed = {first, order(19, OrderAction::Pause, {.job = "j"})}});
    CHECK(ids() == std::vector{first.id, OrderId{19}});
}

TEST_CASE("a complete list with nothing on it ends everything that was heard of, and the mail goes on") {
    Cluster cluster;
    SenderWorld& world = cluster.world;
    cluster.hold_a_mail();
    cluster.follow({.revision = 20'000, .complete = true});
    CHECK(world.orders().empty());
    world.advance(std::chrono::minutes(1));
    CHECK(world.count(EventType::Delivered) == 1);
}

TEST_CASE("after a complete list a number that is given again is another order") {
    Cluster cluster;
    SenderWorld& world = cluster.world;
    Order before = order(7, OrderAction::Delete, {.tenant = "before"});
    before.which.accepted_before = world.executors[0]->wall_now();
    cluster.follow({.revision = 9, .changed = {before}});
    world.finished(OrderId{7});
    cluster.follow({.revision = 3, .complete = true});  // of a store from a backup
    cluster.follow({.revision = 4, .changed = {order(7, OrderAction::Pause, {.tenant = "after"})}});
    REQUIRE(world.orders().size() == 1);
    CHECK(world.orders()[0].which.tenant == "after");
}

TEST_CASE("that orders are finished is told again until the store has taken it") {
    Cluster cluster;
    SenderWorld& world = cluster.world;
    const WallTime over = world.executors[0]->wall_now() + std::chrono::minutes(10);
    const auto is_known_to_be_over = [&](OrderId id) {
        const std::vector<Order> all = world.state.orders().value();
        return std::any_of(all.begin(), all.end(),
                           [&](const Order& kept) { return kept.id == id && kept.finished_at.has_value(); });
    };
    const auto first = world.must_give({.which = {.tenant = "a"}, .expires_at = over});
    const auto second = world.must_give({.which = {.tenant = "b"}, .expires_at = over});
    world.advance(std::chrono::minutes(9));
    world.state.fail_next({ErrorKind::Unavailable, "no router answers"});
    world.advance(std::chrono::minutes(1));
    CHECK(world.finished(first.id).finished_at.has_value());
    CHECK_FALSE(is_known_to_be_over(first.id));
    world.advance(std::chrono::minutes(1));
    CHECK(is_known_to_be_over(first.id));
    CHECK(is_known_to_be_over(second.id));
}

TEST_CASE("what another sender has still to carry out stays in the store, until that has done it or is away too long") {
    Cluster cluster;
    SenderWorld& world = cluster.world;
    const auto in_store = [&] { return world.state.orders().value().size(); };
    const auto carry_out = [&] {
        return world.finished(world.must_give({.action = OrderAction::Delete, .which = {.tenant = "t"}}).id);
    };
    cluster.follow({.revision = 1, .complete = true});
    Order first = carry_out();
    Order second = carry_out();
    for (std::size_t i = 0; i < 1'001; ++i) carry_out();
    CHECK(in_store() == 1'003);
    CHECK(world.orders({.id = first.id}).empty());
    second.finished_at.reset();
    cluster.follow({.revision = 2, .changed = {second}});  // somebody is further, and has not finished
    CHECK(world.orders({.id = second.id}).empty());
    cluster.follow({.revision = 3, .changed = {first}});
    CHECK(world.orders({.id = first.id}).size() == 1);
    world.advance(std::chrono::hours(8 * 24));
    carry_out();
    CHECK(in_store() == 1'003);  // without the first, of which all have said that it is done
    world.advance(std::chrono::hours(31 * 24));
    carry_out();
    carry_out();
    CHECK(in_store() == 2);
}

TEST_CASE("an order that cannot be carried out here is logged, and the others are followed") {
    Cluster cluster;
    cluster.follow(
        {.revision = 1, .changed = {order(7, OrderAction::Pause, {}), order(8, OrderAction::Pause, {.tenant = "t"})}});
    REQUIRE(cluster.world.orders().size() == 1);
    CHECK(cluster.world.orders()[0].id == OrderId{8});
}
