// Orders that were given at another sender of the cluster, or at a router.
#include <catch2/catch.hpp>

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
    void follow(OrderChanges changes) {
        world.sender->follow_orders(std::move(changes));
        world.settle();
    }
};

}  // namespace

TEST_CASE("a pause that was given elsewhere holds here, until it is withdrawn elsewhere") {
    Cluster cluster;
    SenderWorld& world = cluster.world;
    cluster.follow({.revision = 1, .changed = {order(7, OrderAction::Pause, {.domain = "x.test"})}});
    world.accept({.to = {"a@x.test"}});
    world.advance(std::chrono::minutes(1));
    CHECK(world.count(EventType::Delivered) == 0);
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
    const Order ours = world.pause({.tenant = "ours"});  // order 1
    const Order older = order(20, OrderAction::Pause, {.tenant = "older"});
    const Order younger = order(21, OrderAction::Pause, {.tenant = "younger"});
    cluster.follow({.revision = 1, .changed = {older, younger}});
    CHECK(world.orders().size() == 3);
    cluster.follow({.revision = 9, .complete = true, .changed = {ours, order(19, OrderAction::Pause, {.job = "j"})}});
    std::vector<OrderId> left;
    for (const Order& one : world.orders()) left.push_back(one.id);
    CHECK(left == std::vector{ours.id, OrderId{19}, OrderId{20}, OrderId{21}});
    cluster.follow({.revision = 10, .complete = true, .changed = {younger}});
    REQUIRE(world.orders().size() == 1);
    CHECK(world.orders()[0].id == OrderId{21});
}

TEST_CASE("an order that cannot be carried out here is logged, and the others are followed") {
    Cluster cluster;
    cluster.follow(
        {.revision = 1, .changed = {order(7, OrderAction::Pause, {}), order(8, OrderAction::Pause, {.tenant = "t"})}});
    REQUIRE(cluster.world.orders().size() == 1);
    CHECK(cluster.world.orders()[0].id == OrderId{8});
}
