#include "postfleet/ingest_cluster/local_buffer.hpp"

#include <catch2/catch.hpp>

#include <set>

#include "postfleet/ingest_cluster/buffered_handover.hpp"
#include "postfleet/support/fake_broker.hpp"
#include "postfleet/support/fake_spool.hpp"
#include "postfleet/support/manual_executor.hpp"
#include "postfleet/wire/handover.hpp"
#include "postfleet/wire/topology.hpp"

using namespace postfleet;
using namespace postfleet::ingest_cluster;
using namespace std::chrono_literals;
using support::FakeBroker;

namespace {

using Texts = std::vector<std::string>;

struct World {
    support::ManualExecutor executor;
    FakeBroker broker;
    support::FakeSpool spool;
    Metrics metrics;
    std::unique_ptr<BrokerPublisher> publisher = broker.publisher();
    IdGenerator ids{7};
    Texts answers;
    std::unique_ptr<BrokerHandover> direct;
    std::unique_ptr<LocalBuffer> buffer;
    std::unique_ptr<BufferedHandover> handover;

    explicit World(std::uint64_t most_octets = 1 << 20) {
        for (const std::string sender : {"sender-0", "sender-1"}) open_queues(sender);
        open(most_octets);
    }
    void open_queues(const std::string& sender) {
        for (const std::string& queue : {wire::deliver_queue(sender), wire::deliver_high_queue(sender)}) {
            broker.declare_queue(queue);
            broker.bind(std::string(wire::kDeliverExchange), queue, queue);
        }
    }
    // As a process that starts.
    void open(std::uint64_t most_octets = 1 << 20) {
        const auto sender_of = [](const std::string& name) -> std::string {
            return name.starts_with("promo") ? "sender-1" : "sender-0";
        };
        handover.reset();
        buffer.reset();
        direct = std::make_unique<BrokerHandover>(
            *publisher, BrokerHandoverOptions{.most_octets = 1 << 20, .sender_of = sender_of}, metrics);
        buffer = std::make_unique<LocalBuffer>(LocalBufferPorts{.on = executor,
                                                                .spool = spool,
                                                                .publisher = *publisher,
                                                                .sender_of = sender_of,
                                                                .metrics = metrics,
                                                                .log = Log()},
                                               most_octets);
        handover = std::make_unique<BufferedHandover>(*direct);
        handover->use(*buffer);
        REQUIRE(buffer->start());
        executor.run_until_idle();
    }

    MessageId hand_over(const Texts& virtual_mtas, std::uint32_t chunks = 1) {
        auto facts = std::make_shared<Message>();
        facts->id = ids.next(executor.wall_now());
        facts->reverse_path = "a@example.com";
        facts->content_chunks = chunks;
        facts->size_octets = 100 + (chunks - 1) * kContentChunkOctets;
        AcceptedMessage out;
        for (std::uint32_t i = 0; i < virtual_mtas.size(); ++i) {
            Task task;
            task.key = {facts->id, i};
            task.domain = "example.net";
            task.virtual_mta = virtual_mtas[i];
            task.size_octets = facts->size_octets;
            task.recipients.push_back({.index = i, .address = "b" + std::to_string(i) + "@example.net"});
            out.tasks.push_back(std::move(task));
        }
        for (std::uint32_t chunk = 0; chunk + 1 < chunks; ++chunk) {
            handover->append_content(facts->id, chunk, std::make_shared<const std::string>(kContentChunkOctets, 'x'),
                                     {&executor, [](const Status& status) { CHECK(status); }});
        }
        out.message = facts;
        out.last_chunk = std::make_shared<const std::string>(100, 'e');
        handover->hand_over(std::move(out), {&executor, [this](Status status) {
                                                 answers.push_back(status ? "ok" : to_string(status.error().kind));
                                             }});
        executor.run_until_idle();
        executor.advance(1ms);  // the next id is a later one
        return facts->id;
    }

    std::vector<wire::Handover> at(const std::string& sender) {
        std::vector<wire::Handover> out;
        for (const auto& message : broker.waiting(wire::deliver_queue(sender))) {
            auto decoded = wire::decode_handover(*message.body);
            REQUIRE(decoded);
            CHECK(message.message_id == decoded->id.to_string());
            CHECK(decoded->id == decoded->message->id);
            out.push_back(*std::move(decoded));
        }
        return out;
    }
    std::vector<MessageId> ids_at(const std::string& sender) {
        std::vector<MessageId> out;
        for (const wire::Handover& one : at(sender)) out.push_back(one.id);
        return out;
    }
};

}  // namespace

TEST_CASE("while the broker takes mail the buffer has none of it") {
    World world;
    world.hand_over({"tx"});
    CHECK(world.answers == Texts{"ok"});
    CHECK(world.at("sender-0").size() == 1);
    CHECK(world.spool.messages() == 0);
}

TEST_CASE("while the broker is away mail is durable here, and goes in its order when it is back", "[F19][P1]") {
    World world;
    world.broker.go_away("cannot connect");
    std::vector<MessageId> kept;
    for (int i = 0; i < 600; ++i) kept.push_back(world.hand_over({"tx"}));
    CHECK(world.answers == Texts(600, "ok"));
    CHECK(world.handover->admission().open);
    CHECK(world.spool.messages() == 600);
    CHECK(world.buffer->messages() == 600);
    world.broker.come_back();
    world.executor.advance(2s);
    CHECK(world.ids_at("sender-0") == kept);
    CHECK(world.spool.messages() == 0);
    CHECK(world.spool.tasks().empty());
    CHECK(world.buffer->octets() == 0);
}

TEST_CASE("a message that the broker does not confirm is kept, and its copy has the same id", "[P3]") {
    World world;
    world.broker.set_confirms(FakeBroker::Confirms::Lost);
    const MessageId id = world.hand_over({"tx"});
    CHECK(world.answers == Texts{"ok"});
    world.broker.set_confirms(FakeBroker::Confirms::AtOnce);
    world.executor.advance(1min);
    for (const MessageId& one : world.ids_at("sender-0")) CHECK(one == id);
    CHECK(world.at("sender-0").size() >= 2);
    CHECK(world.spool.messages() == 0);
}

TEST_CASE("of a message for two senders only the part that was not confirmed is kept") {
    World world;
    world.broker.remove_queue(wire::deliver_queue("sender-1"));
    world.hand_over({"tx", "promo", "promo-2"}, 3);
    CHECK(world.answers == Texts{"ok"});
    CHECK(world.at("sender-0").size() == 1);
    CHECK(world.spool.tasks().size() == 2);
    world.open_queues("sender-1");
    world.executor.advance(1min);
    REQUIRE(world.at("sender-1").size() == 1);
    const wire::Handover part = world.at("sender-1")[0];
    CHECK(part.tasks.size() == 2);
    REQUIRE(part.content.size() == 3);
    CHECK(*part.content[1] == std::string(kContentChunkOctets, 'x'));
    CHECK(*part.content[2] == std::string(100, 'e'));
    CHECK(world.at("sender-0").size() == 1);
    CHECK(world.spool.messages() == 0);
}

TEST_CASE("content that came in chunks is kept whole") {
    World world(8 << 20);
    world.broker.go_away("restarts");
    world.hand_over({"tx"}, 3);
    CHECK(world.answers == Texts{"ok"});
    CHECK(world.direct->octets_under_way() == 0);
    world.broker.come_back();
    world.executor.advance(2s);
    REQUIRE(world.at("sender-0").size() == 1);
    CHECK(world.at("sender-0")[0].content.size() == 3);
}

TEST_CASE("it is bounded: full, mail is refused as without it, and taken again when there is room") {
    World world(3 * (100 + LocalBuffer::kFactsOctets));
    world.broker.go_away("cannot connect");
    for (int i = 0; i < 4; ++i) world.hand_over({"tx"});
    CHECK(world.answers == Texts{"ok", "ok", "ok", to_string(ErrorKind::ResourceExhausted)});
    CHECK_FALSE(world.handover->admission().open);
    CHECK(world.handover->admission().reason == "broker: cannot connect; the local buffer is full (3372)");
    world.buffer->set_most_octets(5 * (100 + LocalBuffer::kFactsOctets));
    CHECK(world.handover->admission().open);
    world.buffer->set_most_octets(3 * (100 + LocalBuffer::kFactsOctets));
    world.hand_over({"tx"});
    CHECK_FALSE(world.handover->admission().open);
    world.broker.come_back();
    CHECK(world.handover->admission().open);
    world.executor.advance(2s);
    CHECK(world.at("sender-0").size() == 3);
    world.broker.go_away("again");
    world.hand_over({"tx"});
    CHECK(world.answers.back() == "ok");
}

TEST_CASE("a disk that is full or latched refuses mail, and leaves nothing of it") {
    World world;
    world.broker.go_away("cannot connect");
    SECTION("low on space") {
        world.spool.space_low(true);
        CHECK(world.handover->admission().space_low);
    }
    SECTION("latched") { world.spool.latch("sync failed"); }
    CHECK_FALSE(world.handover->admission().open);
    world.hand_over({"tx"}, 2);
    CHECK(world.answers.back() != "ok");
    CHECK(world.buffer->octets() == 0);
    CHECK(world.spool.messages() == 0);
}

TEST_CASE("switched off it takes nothing more, and what is in it still goes") {
    World world;
    world.broker.go_away("cannot connect");
    world.hand_over({"tx"});
    world.buffer->set_most_octets(0);
    CHECK_FALSE(world.handover->admission().open);
    CHECK(world.handover->admission().reason == "broker: cannot connect");
    world.broker.come_back();
    world.executor.advance(2s);
    CHECK(world.at("sender-0").size() == 1);
}

TEST_CASE("killed at any point nothing is lost, and what goes twice has the same id", "[P1][P3]") {
    World world;
    world.broker.go_away("cannot connect");
    std::set<MessageId> kept;
    for (int i = 0; i < 40; ++i) kept.insert(world.hand_over({"tx", "promo"}));
    SECTION("before the broker is back") {}
    SECTION("between publish and confirm") {
        world.broker.set_confirms(FakeBroker::Confirms::Hold);
        world.broker.come_back();
        world.executor.advance(2s);
    }
    SECTION("between confirm and removal") {
        world.spool.hold();
        world.broker.come_back();
        world.executor.advance(2s);
    }
    world.handover.reset();
    world.buffer.reset();
    world.broker.lose_connections();
    world.spool.lose_unconfirmed();
    world.spool.release();
    world.broker.set_confirms(FakeBroker::Confirms::AtOnce);
    world.broker.come_back();
    world.open();
    world.executor.advance(5s);
    for (const char* sender : {"sender-0", "sender-1"}) {
        const auto got = world.ids_at(sender);
        CHECK(std::set(got.begin(), got.end()) == kept);
    }
    CHECK(world.spool.messages() == 0);
    CHECK(world.buffer->messages() == 0);
}

TEST_CASE("a queue that takes nothing holds up its own mail only", "[P6]") {
    World world;
    world.broker.go_away("cannot connect");
    for (int i = 0; i < 300; ++i) world.hand_over({"promo"});
    for (int i = 0; i < 300; ++i) world.hand_over({"tx"});
    world.broker.remove_queue(wire::deliver_queue("sender-1"));
    world.broker.come_back();
    world.executor.advance(10s);
    CHECK(world.at("sender-0").size() == 300);
    CHECK(world.spool.messages() == 300);
    const std::size_t tried = world.broker.published().size();
    world.executor.advance(30s);
    CHECK(world.broker.published().size() < tried + 5);  // with one message now and then
    world.open_queues("sender-1");
    world.executor.advance(1min);
    const auto got = world.ids_at("sender-1");
    CHECK(got.size() == 300);
    CHECK(std::is_sorted(got.begin(), got.end()));
}

TEST_CASE("what cannot be read stays, is counted, and holds up nobody") {
    World world;
    world.broker.go_away("cannot connect");
    const MessageId bad = world.hand_over({"tx"});
    world.hand_over({"tx"});
    world.spool.corrupt_content(bad);
    world.broker.come_back();
    world.executor.advance(1min);
    CHECK(world.at("sender-0").size() == 1);
    CHECK(world.spool.messages() == 1);
    CHECK(world.metrics.gauge("postfleet_ingest_buffer_stuck", "").value() == 1);
}

TEST_CASE("who stops it waits for what is under way only") {
    World world;
    world.broker.go_away("cannot connect");
    for (int i = 0; i < 600; ++i) world.hand_over({"tx"});
    world.broker.set_confirms(FakeBroker::Confirms::Hold);
    world.broker.come_back();
    world.executor.advance(1s);
    bool stopped = false;
    world.buffer->stop({&world.executor, [&](const Status&) { stopped = true; }});
    world.executor.run_until_idle();
    CHECK_FALSE(stopped);
    world.broker.release_confirms();
    world.executor.run_until_idle();
    CHECK(stopped);
    CHECK(world.at("sender-0").size() == LocalBuffer::kMostUnderWay);
    CHECK(world.spool.messages() == 600 - LocalBuffer::kMostUnderWay);
}
