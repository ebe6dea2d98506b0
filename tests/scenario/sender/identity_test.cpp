// Virtual MTAs: their source addresses, and mail of one that is gone.

#include <catch2/catch.hpp>
#include <set>

#include "postfleet/support/sender_world.hpp"

using namespace postfleet;
using namespace postfleet::support;
using namespace std::chrono_literals;

TEST_CASE("several sources take turns, each only for peers of its family") {
    SenderWorld world;
    world.add_virtual_mta("multi", {"192.0.2.21", "2001:db8::21", "192.0.2.22"});
    world.route("x.test", "192.0.2.1:25");
    world.shaping().max_messages_per_connection = 1;
    world.start();
    for (int i = 0; i < 4; ++i) world.accept({.virtual_mta = "multi"});
    CHECK(world.host("192.0.2.1:25").sources ==
          std::vector<std::string>{"192.0.2.21", "192.0.2.22", "192.0.2.21", "192.0.2.22"});
}

TEST_CASE("a peer of a family that the virtual MTA has no source for is passed over") {
    SenderWorld world;
    world.resolver.set_mx("x.test", {"10 a.mx 2001:db8::1 192.0.2.1"});
    world.start();
    world.accept({});
    CHECK(world.host("[2001:db8::1]:25").connects == 0);
    CHECK(world.host("192.0.2.1:25").deliveries.size() == 1);

    world.resolver.set_mx("six.test", {"10 six.mx 2001:db8::6"});
    world.accept({.to = {"a@six.test"}});
    const auto deferred = world.events(EventType::Deferred);
    REQUIRE(deferred.size() == 1);
    CHECK(deferred[0].delivery->reply.text ==
          "no host of the destination has an address that may be used; v1 has no IPv6 source address");
}

TEST_CASE("a source that cannot be bound is never replaced by another address; mail waits and says why", "[F48]") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    FakeHost& host = world.host("192.0.2.1:25");
    host.unbindable.insert("192.0.2.10");
    world.start();
    world.accept({});
    world.advance(50s);
    CHECK(host.sources.empty());
    CHECK(host.connects == 4);  // probed after 5, 10 and 20 s
    CHECK(world.count(EventType::Deferred) == 0);
    const std::string why = "cannot bind 192.0.2.10: Cannot assign requested address";
    CHECK(world.queue("x.test/v1").hold_reason == why);
    const auto disabled = world.events(EventType::VirtualMtaDisabled);
    REQUIRE(disabled.size() == 1);
    CHECK(disabled[0].virtual_mta == "v1");
    CHECK(disabled[0].reason == why);
    const auto identities = world.ask<std::vector<VirtualMtaStatus>>(
        [&](auto done) { world.sender->control().list_virtual_mtas(std::move(done)); });
    REQUIRE(identities.size() == 1);
    CHECK_FALSE(identities[0].enabled);
    CHECK(identities[0].disabled_reason == why);
    CHECK(identities[0].queued == 1);

    world.advance(5min);
    CHECK(host.connects == 7);  // after 40, 80 and 160 s, and then every five minutes
    CHECK(world.count(EventType::VirtualMtaDisabled) == 1);

    host.unbindable.clear();
    world.advance(5min);
    CHECK(host.deliveries.size() == 1);
    CHECK(host.sources == std::vector<std::string>{"192.0.2.10"});
    CHECK(world.count(EventType::VirtualMtaEnabled) == 1);
    CHECK(world.queue("x.test/v1").hold_reason.empty());
}

TEST_CASE("a source that an operator disabled is not used, after a restart neither, until it is enabled") {
    SenderWorld world;
    world.config.virtual_mtas["v1"].sources = {IpAddress::parse("192.0.2.10").value(),
                                               IpAddress::parse("192.0.2.11").value()};
    world.route("x.test", "192.0.2.1:25");
    world.start();
    const auto disable = [&](SourceSelector which, std::optional<Duration> duration = {}) {
        return world.ask<Result<std::uint64_t>>([&](auto done) {
            world.sender->control().disable_source(which, duration, "olaf", "listed", std::move(done));
        });
    };
    const auto sources_used = [&] {
        const auto& all = world.host("192.0.2.1:25").sources;
        return std::set<std::string>(all.begin(), all.end());
    };
    const auto send = [&] {
        for (int i = 0; i < 4; ++i) {
            world.accept({});
            world.advance(10s);  // each over a connection of its own
        }
    };
    CHECK(disable({"192.0.2.99", {}, {}}).error().text == "no virtual MTA has the source 192.0.2.99");
    CHECK(disable({"192.0.2.10", "v1", {}}).value() == 1);
    send();
    CHECK(sources_used() == std::set<std::string>{"192.0.2.11"});
    CHECK(world.events(EventType::VirtualMtaDisabled).at(0).reason == "by olaf: listed");

    world.stop();
    world.spool.restart();
    world.start();
    send();
    CHECK(sources_used() == std::set<std::string>{"192.0.2.11"});
    const auto identities = world.ask<std::vector<VirtualMtaStatus>>(
        [&](auto done) { world.sender->control().list_virtual_mtas(std::move(done)); });
    REQUIRE(identities[0].disabled_sources.size() == 1);
    CHECK(identities[0].disabled_sources[0].reason == "by olaf: listed");
    CHECK(identities[0].enabled);

    CHECK(disable({"192.0.2.11", {}, "x.test"}, 1h).value() == 1);
    world.accept({});
    CHECK(world.queue("x.test/v1").hold_reason.starts_with("source 192.0.2.1"));
    const auto enable = [&](SourceSelector which) {
        return world.ask<Result<std::uint64_t>>(
            [&](auto done) { world.sender->control().enable_source(which, std::move(done)); });
    };
    CHECK(enable({"192.0.2.10", {}, {}}).value() == 1);
    world.settle();
    CHECK(sources_used().contains("192.0.2.10"));
    CHECK_FALSE(enable({"192.0.2.10", {}, {}}));
    CHECK(world.count(EventType::VirtualMtaEnabled) == 1);
}

TEST_CASE("a source that is disabled for a time comes back by itself, and open connections carry nothing more") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.shaping().idle_timeout = 10min;
    world.start();
    world.accept({});
    CHECK(world.host("192.0.2.1:25").open == 1);
    const auto touched = world.ask<Result<std::uint64_t>>([&](auto done) {
        world.sender->control().disable_source({"192.0.2.10", {}, {}}, 30min, "olaf", "", std::move(done));
    });
    CHECK(touched.value() == 1);
    world.settle();
    CHECK(world.host("192.0.2.1:25").open == 0);
    world.accept({});
    CHECK(world.queue("x.test/v1").hold_reason == "source 192.0.2.10 is disabled: by olaf");
    world.advance(29min);
    CHECK(world.count(EventType::Delivered) == 1);
    world.advance(2min);
    CHECK(world.count(EventType::Delivered) == 2);
}

TEST_CASE("with a second source, the mail goes from that one while the first is disabled") {
    SenderWorld world;
    world.add_virtual_mta("multi", {"192.0.2.21", "192.0.2.22"});
    world.route("x.test", "192.0.2.1:25");
    world.shaping().max_messages_per_connection = 1;
    FakeHost& host = world.host("192.0.2.1:25");
    host.unbindable.insert("192.0.2.21");
    world.start();
    for (int i = 0; i < 5; ++i) world.accept({.virtual_mta = "multi"});
    CHECK(host.deliveries.size() == 5);
    CHECK(host.sources == std::vector<std::string>(5, "192.0.2.22"));
    CHECK(host.connects == 6);
}

TEST_CASE("mail of a virtual MTA that is gone holds as virtual-mta-missing, and goes when it is back") {
    SenderWorld world;
    world.add_virtual_mta("old", {"192.0.2.30"});
    world.route("x.test", "192.0.2.1:25");
    world.start();
    world.config.virtual_mtas.erase("old");
    world.reload();
    world.accept({.virtual_mta = "old"});
    const FakeHost& host = world.host("192.0.2.1:25");
    world.advance(1min);
    CHECK(host.connects == 0);
    CHECK(world.queue("x.test/old").hold_reason == "virtual-mta-missing");
    CHECK(world.queue("x.test/old").ready == 1);

    world.add_virtual_mta("old", {"192.0.2.31"});
    world.reload();
    CHECK(host.deliveries.size() == 1);
    CHECK(host.sources == std::vector<std::string>{"192.0.2.31"});
}

TEST_CASE("mail of a virtual MTA that is missing at start holds, and expires in its time") {
    SenderWorld world;
    world.add_virtual_mta("old", {"192.0.2.30"});
    world.route("x.test", "192.0.2.1:25");
    world.host("192.0.2.1:25").refuses = CloseReason{CloseReason::Kind::ConnectRefused, "refused"};
    world.start();
    world.accept({.virtual_mta = "old"});
    world.stop();
    world.config.virtual_mtas.erase("old");
    world.start();
    CHECK(world.queue("x.test/old").hold_reason == "virtual-mta-missing");
    world.advance(1h);
    CHECK(world.count(EventType::Expired) == 1);
    CHECK(world.spool.tasks().empty());
}

TEST_CASE("new settings apply to queues at once") {
    SenderWorld world;
    world.route("x.test", "192.0.2.1:25");
    world.shaping().max_connections = 0;
    world.start();
    world.accept({});
    CHECK(world.queue("x.test/v1").hold_reason == "connection limit");
    world.shaping().max_connections = 1;
    world.reload();
    CHECK(world.host("192.0.2.1:25").deliveries.size() == 1);
}
