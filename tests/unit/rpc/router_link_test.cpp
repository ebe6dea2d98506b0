#include "postfleet/rpc/router_link.hpp"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>

#include "postfleet/net/loop_group.hpp"
#include "postfleet/rpc/router_server.hpp"
#include "postfleet/sqlite/state_store.hpp"
#include "postfleet/support/await.hpp"
#include "postfleet/support/temporary_directory.hpp"
#include "postfleet/v1/control.grpc.pb.h"

using namespace postfleet;
using rpc::RouterLink;
using rpc::RouterServer;
using support::await_result;
using support::eventually;

namespace {

// A store with as many routers over it as a test starts, and what links need.
struct World {
    support::TemporaryDirectory directory;
    Metrics metrics;
    std::unique_ptr<net::LoopGroup> loops = net::LoopGroup::create(1).value();
    std::unique_ptr<sql_state::SqlStateStore> store = sqlite::open_state_store(directory.file("state.db")).value();

    World() { loops->start(); }
    Executor& executor() { return (*loops)[0]; }

    std::unique_ptr<RouterServer> router(int port = 0) {
        auto server = RouterServer::start({.address = "127.0.0.1:" + std::to_string(port),
                                           .tls = {},
                                           .store = *store,
                                           .executor = executor(),
                                           .metrics = metrics,
                                           .log = {}});
        if (!server) FAIL(server.error().text);
        return *std::move(server);
    }
    std::unique_ptr<RouterLink> link(std::vector<int> ports, bool watches_orders = false) {
        std::vector<std::string> addresses;
        for (const int port : ports) addresses.push_back("127.0.0.1:" + std::to_string(port));
        auto link = RouterLink::open({.addresses = addresses,
                                      .tls = {},
                                      .service = "test",
                                      .name = "test-0",
                                      .directory = directory.file("router"),
                                      .executor = executor(),
                                      .metrics = metrics,
                                      .log = {},
                                      .watches_orders = watches_orders,
                                      .checks_recipients = watches_orders});
        if (!link) FAIL(link.error().text);
        return *std::move(link);
    }
    ConfigurationSnapshot activate(std::string version) {
        ConfigurationSnapshot snapshot{.version = version, .files = {{"a.yaml", "hostname: " + version + "\n"}}};
        snapshot.epoch = (*await_result<Result<std::uint64_t>>(executor(), [&](auto done) {
                             store->activate(snapshot, std::move(done));
                         })).value();
        return snapshot;
    }
    KeyVerdict claim(RouterLink& link, const std::string& key, std::uint32_t n) {
        const KeyClaim claim{.key = {"t", key}, .message = IdGenerator(n).next(WallTime{})};
        auto verdicts = *await_result<Result<std::vector<KeyVerdict>>>(
            executor(), [&](auto done) { link.keys().claim({claim}, std::move(done)); });
        return verdicts.value().at(0);
    }
};

}  // namespace

TEST_CASE("a service gets the active configuration, and each that becomes active later") {
    World world;
    auto router = world.router();
    const ConfigurationSnapshot first = world.activate("v1");
    router->publish(first);
    auto link = world.link({router->port()});
    CHECK(link->first_snapshot(support::kPatience).value() == first);
    CHECK(eventually([&] { return link->obstacle().empty(); }));
    std::atomic<std::uint64_t> epoch{0};
    link->on_snapshot([&](const ConfigurationSnapshot& snapshot) { epoch = snapshot.epoch; });
    const ConfigurationSnapshot second = world.activate("v2");
    router->publish(second);
    CHECK(eventually([&] { return epoch == second.epoch; }));
}

TEST_CASE("a service starts with what it has kept when no router is there, and not with something damaged [F60]") {
    World world;
    ConfigurationSnapshot snapshot;
    int port = 0;
    {
        auto router = world.router();
        port = router->port();
        snapshot = world.activate("v1");
        router->publish(snapshot);
        CHECK(world.link({port})->first_snapshot(support::kPatience).has_value());
    }
    CHECK(world.link({port})->first_snapshot(Duration(0)).value() == snapshot);
    const std::string kept = world.directory.file("router") + "/snapshot";
    REQUIRE(std::filesystem::exists(kept));
    std::ofstream(kept, std::ios::binary | std::ios::app) << "x";
    const auto refused = world.link({port})->first_snapshot(Duration(0));
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().kind == ErrorKind::Unavailable);
    CHECK(refused.error().text.find("127.0.0.1:" + std::to_string(port)) != std::string::npos);
}

TEST_CASE("a link may be closed at any moment of its first calls, whether a router is there or not") {
    World world;
    auto router = world.router();
    router->publish(world.activate("v1"));
    const int port = router->port();
    const auto snapshot = world.link({port})->first_snapshot(support::kPatience);
    REQUIRE(snapshot.has_value());
    for (int round = 0; round < 400; round++) {
        if (round == 50) router.reset();
        auto link = world.link({port});
        std::this_thread::sleep_for(std::chrono::microseconds(round % 8 * 50));  // so that each closes elsewhere
        link.reset();
    }
    const auto kept = world.link({port})->first_snapshot(Duration(0));
    REQUIRE(kept.has_value());
    CHECK(*kept == *snapshot);
}

TEST_CASE("keys are claimed over any router, and a router that is gone costs one attempt [F61]") {
    World world;
    auto first = world.router(), second = world.router();
    auto link = world.link({first->port(), second->port()});
    CHECK(world.claim(*link, "a", 1).state == KeyState::New);
    const KeyVerdict again = world.claim(*link, "a", 2);
    CHECK(again.state == KeyState::Pending);
    CHECK(again.message == IdGenerator(1).next(WallTime{}));
    const std::vector<IdempotencyKey> keys{{"t", "a"}};
    CHECK(await_result<Status>(world.executor(), [&](auto done) {
              link->keys().confirm(keys, std::move(done));
          })->has_value());
    first.reset();
    CHECK(world.claim(*link, "a", 3).state == KeyState::Done);
    CHECK(world.claim(*link, "b", 4).state == KeyState::New);
    second.reset();
    const auto failed = await_result<Result<std::vector<KeyVerdict>>>(world.executor(), [&](auto done) {
        link->keys().claim({{.key = {"t", "c"}, .message = {}}}, std::move(done));
    });
    REQUIRE(failed.has_value());
    CHECK(failed->error().kind == ErrorKind::Unavailable);
    CHECK_FALSE(link->obstacle().empty());
}

TEST_CASE("orders reach those that watch, as changes, and are known at the next start without a router") {
    World world;
    auto router = world.router();
    const int port = router->port();
    Order order;
    order.action = OrderAction::Pause;
    order.which.tenant = "acme";
    order.who = "root";
    std::mutex mutex;
    std::map<OrderId, Order> known;
    const auto learn = [&](const OrderChanges& changes) {
        const std::lock_guard lock(mutex);
        if (changes.complete) known.clear();
        for (const Order& changed : changes.changed) known[changed.id] = changed;
        for (const OrderId id : changes.removed) known.erase(id);
    };
    const auto count = [&] {
        const std::lock_guard lock(mutex);
        return known.size();
    };
    {
        auto link = world.link({port}, true);
        link->on_orders(learn);
        auto ids = await_result<Result<std::vector<OrderId>>>(world.executor(), [&](auto done) {
            link->orders().add_orders({order, order}, std::move(done));
        });
        REQUIRE(ids->value().size() == 2);
        router->announce_orders(1);
        CHECK(eventually([&] { return count() == 2; }));
        CHECK(await_result<Status>(world.executor(), [&](auto done) {
                  link->orders().remove_orders({ids->value()[0]}, std::move(done));
              })->has_value());
        router->announce_orders(2);
        CHECK(eventually([&] { return count() == 1; }));
        CHECK(eventually([&] { return std::filesystem::exists(world.directory.file("router") + "/orders"); }));
        CHECK(eventually([&] { return link->orders().orders().value().size() == 1; }));
        // What another sender has done of it is not ours.
        Order left = link->orders().orders().value()[0];
        left.recipients = 5;
        CHECK(await_result<Status>(world.executor(), [&](auto done) {
                  world.store->report_progress("another", left, std::move(done));
              })->has_value());
        router->announce_orders(3);
        CHECK(eventually([&] {
            const std::lock_guard lock(mutex);
            return known.at(left.id).recipients == 5;
        }));
        CHECK(link->orders().orders().value().at(0).recipients == 0);
    }
    router.reset();
    // What was kept may be half a second old; the link before wrote after its last change or not at all.
    auto link = world.link({port}, true);
    const auto kept = link->orders().orders().value();
    CHECK((kept.size() == 1 || kept.size() == 2));
    CHECK(kept.at(0).which.tenant == "acme");
}

TEST_CASE("what a router with a new state does not know of holds, until that is given an order") {
    World before;
    Order order;
    order.action = OrderAction::Pause;
    order.who = "root";
    order.which.tenant = "before";
    const auto give = [&](World& world, RouterLink& link) {
        const auto ids = await_result<Result<std::vector<OrderId>>>(
            world.executor(), [&](auto done) { link.orders().add_orders({order}, std::move(done)); });
        REQUIRE(ids->has_value());
    };
    const auto tenants = [](RouterLink& link) {
        std::vector<std::string> all;
        for (const Order& known : link.orders().orders().value()) all.push_back(known.which.tenant);
        return all;
    };
    {
        const auto router = before.router();
        const auto link = before.link({router->port()}, true);
        give(before, *link);
        router->announce_orders(1);
        CHECK(eventually([&] { return std::filesystem::exists(before.directory.file("router") + "/orders"); }));
    }
    World after;
    std::filesystem::copy(before.directory.file("router"), after.directory.file("router"));
    const auto router = after.router();
    std::atomic<bool> was_told_nothing_is_left{false};
    const auto link = after.link({router->port()}, true);
    link->on_orders([&](const OrderChanges& changes) {
        if (changes.complete && changes.changed.empty()) was_told_nothing_is_left = true;
    });
    // The store answers one after the other: who watches has asked before the order is given.
    const auto watchers = [&] {
        for (const Metrics::Family& family : after.metrics.collect()) {
            if (family.name == "postfleet_router_watchers") return family.samples.at(0).value;
        }
        return 0.0;
    };
    CHECK(eventually([&] { return watchers() == 2; }));  // of orders, and of the configuration
    CHECK(tenants(*link) == std::vector<std::string>{"before"});
    order.which.tenant = "after";
    give(after, *link);
    router->announce_orders(1);
    CHECK(eventually([&] { return tenants(*link) == std::vector<std::string>{"after"}; }));
    CHECK_FALSE(was_told_nothing_is_left);
}

TEST_CASE("an owner hears of a takeover, and goes on without routers [F57]") {
    World world;
    auto router = world.router();
    std::atomic<std::uint64_t> granted{0};
    std::atomic<bool> refused{false};
    RouterLink::Ownership ownership{.claim = {.sender = "sender-0", .spool_id = "spool-a", .holder = "a:/data"},
                                    .on_granted = [&](const SenderGrant& grant) { granted = grant.epoch; },
                                    .on_refused = [&](const std::string&) { refused = true; }};
    const int port = router->port();
    {
        auto link = world.link({port});
        link->hold_sender(ownership);
        CHECK(eventually([&] { return granted == 1; }));
    }
    granted = 0;
    router.reset();
    {
        auto link = world.link({port});
        link->hold_sender(ownership);
        CHECK(eventually([&] { return granted == 1; }));  // what it was granted before
        CHECK_FALSE(refused);
        const auto taken = await_result<Result<SenderGrant>>(world.executor(), [&](auto done) {
            world.store->take_over_sender({.sender = "sender-0", .spool_id = "spool-b"}, std::move(done));
        });
        REQUIRE(taken->has_value());
        router = world.router(port);
        CHECK(eventually([&] { return refused.load(); }));
    }
}

TEST_CASE("recipients are asked for only when there are suppressions, over one stream, whoever asks") {
    World world;
    world.activate("v1");
    const auto router = world.router();
    const auto link = world.link({router->port()}, true);
    CHECK(eventually([&] { return !link->recipients().has_any(); }, std::chrono::seconds(60)));
    const std::vector<Suppression> list{{.key = {"acme", "ann@x.test"}, .reason = "unsubscribed", .source = "root"},
                                        {.key = {"", "bad.test"}, .reason = "spam trap"}};
    REQUIRE(await_result<Status>(world.executor(), [&](auto done) {
                world.store->add_suppressions(list, std::move(done));
            })->has_value());
    CHECK(eventually([&] { return link->recipients().has_any(); }, std::chrono::seconds(60)));
    // More than one request has room for, from several who ask at the same time.
    std::vector<SuppressionQuestion> many(2'500, {"acme", "bob@x.test"});
    many[0].address = "Ann@x.test";
    many[1'700] = {"other", "any@bad.test"};
    many[2'499].address = "ann@x.test";
    std::atomic<int> others{0};
    for (int i = 0; i < 20; ++i) {
        link->recipients().check({{"other", "ann@x.test"}, {"acme", "ann@x.test"}},
                                 {&world.executor(), [&](Result<RecipientCheck::Answers> answers) {
                                      if (answers && !answers->at(0) && answers->at(1)) others.fetch_add(1);
                                  }});
    }
    const auto found = *await_result<Result<RecipientCheck::Answers>>(
        world.executor(), [&](auto done) { link->recipients().check(many, std::move(done)); });
    REQUIRE(found);
    REQUIRE(found->size() == many.size());
    CHECK(std::count_if(found->begin(), found->end(), [](const auto& one) { return one.has_value(); }) == 3);
    CHECK((*found)[0]->reason == "unsubscribed");
    CHECK((*found)[0]->source == "root");
    CHECK((*found)[1'700]->key.target == "bad.test");
    CHECK((*found)[2'499].has_value());
    CHECK(eventually([&] { return others.load() == 20; }, std::chrono::seconds(60)));
}

TEST_CASE("without a router nobody waits for an answer about recipients; another router gives it") {
    World world;
    world.activate("v1");
    REQUIRE(await_result<Status>(world.executor(), [&](auto done) {
                world.store->add_suppressions({{.key = {"", "bad.test"}}}, std::move(done));
            })->has_value());
    auto first = world.router();
    const auto second = world.router();
    const auto link = world.link({first->port(), second->port()}, true);
    const auto is_found = [&] {
        const auto found = *await_result<Result<RecipientCheck::Answers>>(world.executor(), [&](auto done) {
            link->recipients().check({{"t", "a@bad.test"}}, std::move(done));
        });
        return found && found->at(0).has_value();
    };
    CHECK(eventually(is_found, std::chrono::seconds(60)));
    first.reset();
    CHECK(eventually(is_found, std::chrono::seconds(60)));
    CHECK(link->recipients().has_any());

    World alone;
    alone.activate("v1");
    auto router = alone.router();
    const auto lonely = alone.link({router->port()}, true);
    router.reset();
    CHECK(eventually(
        [&] {
            const auto answer = *await_result<Result<RecipientCheck::Answers>>(alone.executor(), [&](auto done) {
                lonely->recipients().check({{"t", "a@x.test"}}, std::move(done));
            });
            return !answer && answer.error().kind == ErrorKind::Unavailable;
        },
        std::chrono::seconds(60)));
}

TEST_CASE("answers about recipients that nobody waits for (any more) are read over, and the link still ends") {
    // Every answer twice: the second is as late as one to a request that was given up.
    class Twice final : public v1::Router::Service {
        using Stream = grpc::ServerReaderWriter<v1::CheckRecipientsResponse, v1::CheckRecipientsRequest>;
        grpc::Status CheckRecipients(grpc::ServerContext*, Stream* stream) override {
            v1::CheckRecipientsRequest request;
            while (stream->Read(&request) && stream->Write({}) && stream->Write({})) {
            }
            return grpc::Status::OK;
        }
    };
    Twice service;
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&service);
    const auto server = builder.BuildAndStart();
    World world;
    auto link = world.link({port}, true);
    CHECK(eventually([&] { return !link->recipients().has_any(); }, std::chrono::seconds(60)));
    for (int i = 0; i < 3; ++i) {
        CHECK(eventually(
            [&] {
                return await_result<Result<RecipientCheck::Answers>>(
                           world.executor(),
                           [&](auto done) {
                               link->recipients().check({{"t", "a@x.test"}}, std::move(done));
                           })
                    ->has_value();
            },
            std::chrono::seconds(60)));
    }
    link.reset();  // waits for the stream
    server->Shutdown();
}
