#include "postfleet/ingest_cluster/broker_handover.hpp"

#include <catch2/catch.hpp>

#include "postfleet/support/fake_broker.hpp"
#include "postfleet/support/manual_executor.hpp"
#include "postfleet/wire/handover.hpp"
#include "postfleet/wire/topology.hpp"

using namespace postfleet;
using namespace postfleet::ingest_cluster;
using namespace std::chrono_literals;
using support::FakeBroker;

namespace {

struct World {
    support::ManualExecutor executor;
    FakeBroker broker;
    Metrics metrics;
    std::unique_ptr<BrokerPublisher> publisher = broker.publisher();
    IdGenerator ids{7};
    std::vector<std::string> answers;
    BrokerHandover handover;

    explicit World(std::uint64_t most_octets = 1 << 20)
        : handover(*publisher,
                   {.most_octets = most_octets,
                    .sender_of = [](const std::string& name) -> std::string {
                        if (name == "nobody's") return {};
                        return name.starts_with("promo") ? "sender-1" : "sender-0";
                    }},
                   metrics) {
        for (const std::string sender : {"sender-0", "sender-1"}) {
            for (const std::string& queue : {wire::deliver_queue(sender), wire::deliver_high_queue(sender)}) {
                broker.declare_queue(queue);
                broker.bind(std::string(wire::kDeliverExchange), queue, queue);
            }
        }
    }

    AcceptedMessage message(const std::vector<std::string>& virtual_mtas,
                            std::string content = "Subject: x\r\n\r\nhi\r\n", std::uint32_t chunks = 1) {
        auto facts = std::make_shared<Message>();
        facts->id = ids.next(executor.wall_now());
        facts->reverse_path = "a@example.com";
        facts->size_octets = content.size() + (chunks - 1) * kContentChunkOctets;
        facts->content_chunks = chunks;
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
        out.message = facts;
        out.last_chunk = std::make_shared<const std::string>(std::move(content));
        return out;
    }

    void hand_over(AcceptedMessage accepted) {
        handover.hand_over(std::move(accepted), {&executor, [this](Status status) {
                                                     answers.push_back(status ? "ok" : to_string(status.error().kind));
                                                 }});
        executor.run_until_idle();
    }

    std::vector<wire::Handover> at(const std::string& queue) {
        std::vector<wire::Handover> out;
        for (const auto& message : broker.waiting(queue)) {
            CHECK(message.content_type == wire::kHandoverContentType);
            auto decoded = wire::decode_handover(*message.body);
            REQUIRE(decoded);
            CHECK(message.message_id == decoded->id.to_string());
            out.push_back(*std::move(decoded));
        }
        return out;
    }
};

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("a message goes to each sender that has a part of it, once, and is durable when all have confirmed") {
    World world;
    world.broker.set_confirms(FakeBroker::Confirms::Hold);
    auto accepted = world.message({"tx-1", "promo-1", "tx-2"});
    const auto facts = accepted.message;
    world.hand_over(std::move(accepted));
    CHECK(world.answers.empty());
    CHECK(world.broker.held_confirms() == 2);
    world.broker.release_confirms();
    world.executor.run_until_idle();
    CHECK(world.answers == Texts{"ok"});
    const auto first = world.at(wire::deliver_queue("sender-0")), second = world.at(wire::deliver_queue("sender-1"));
    REQUIRE(first.size() == 1);
    REQUIRE(second.size() == 1);
    CHECK(first[0].id == facts->id);
    CHECK(*first[0].message == *facts);
    REQUIRE(first[0].tasks.size() == 2);
    CHECK(first[0].tasks[1].virtual_mta == "tx-2");
    REQUIRE(second[0].tasks.size() == 1);
    CHECK(second[0].tasks[0].key.number == 1);
    CHECK(*second[0].content.at(0) == "Subject: x\r\n\r\nhi\r\n");
    CHECK(world.handover.octets_under_way() == 0);
}

TEST_CASE("what is offered again after a lost ack has the id that its senders have taken, whatever its message's is") {
    World world;
    const MessageId taken_as = world.ids.next(world.executor.wall_now());
    for (int offer = 0; offer < 2; ++offer) {
        auto accepted = world.message({"tx-1", "promo-1"});
        accepted.taken_as = taken_as;
        world.hand_over(std::move(accepted));
    }
    for (const std::string sender : {"sender-0", "sender-1"}) {
        const auto handovers = world.at(wire::deliver_queue(sender));
        REQUIRE(handovers.size() == 2);
        CHECK(handovers[0].id == taken_as);
        CHECK(handovers[1].id == taken_as);
        CHECK(handovers[0].message->id != handovers[1].message->id);
    }
}

TEST_CASE("urgent mail has a queue of its own") {
    World world;
    auto accepted = world.message({"tx-1"});
    accepted.tasks[0].priority = Priority::High;
    world.hand_over(std::move(accepted));
    CHECK(world.at(wire::deliver_high_queue("sender-0")).size() == 1);
    CHECK(world.at(wire::deliver_queue("sender-0")).empty());
}

TEST_CASE("content that came in chunks is handed over whole, and forgotten when it is discarded") {
    World world(2 << 20);
    auto accepted = world.message({"tx-1"}, "end\r\n", 2);
    const MessageId id = accepted.message->id;
    const auto chunk = std::make_shared<const std::string>(kContentChunkOctets, 'x');
    std::size_t appended = 0;
    world.handover.append_content(id, 0, chunk,
                                  {&world.executor, [&](const Status& status) { appended += status.has_value(); }});
    world.hand_over(std::move(accepted));
    CHECK(appended == 1);
    CHECK(world.answers == Texts{"ok"});
    const auto got = world.at(wire::deliver_queue("sender-0"));
    REQUIRE(got.size() == 1);
    CHECK(got[0].content.size() == 2);
    CHECK(*got[0].content[0] == *chunk);

    world.handover.append_content(world.ids.next(world.executor.wall_now()), 0, chunk,
                                  {&world.executor, [](Status) {}});
    const MessageId other = world.ids.next(world.executor.wall_now());
    world.handover.append_content(other, 0, chunk, {&world.executor, [](Status) {}});
    CHECK(world.handover.octets_under_way() == 2 * kContentChunkOctets);
    world.handover.discard_content(other, 1);
    world.handover.discard_content(other, 1);
    CHECK(world.handover.octets_under_way() == kContentChunkOctets);
}

TEST_CASE("of two who hand over under one id at once, as under one idempotency key, one is asked to come again") {
    World world(2 << 20);
    auto first = world.message({"tx-1"}, "end\r\n", 3);
    const MessageId id = first.message->id;
    const auto chunk = std::make_shared<const std::string>(kContentChunkOctets, 'x');
    std::vector<std::string> appended;
    const auto append = [&](std::uint32_t number) {
        world.handover.append_content(id, number, chunk,
                                      {&world.executor, [&](const Status& status) {
                                           appended.push_back(status ? "ok" : to_string(status.error().kind));
                                       }});
        world.executor.run_until_idle();
    };
    append(0);
    append(0);  // the other one
    append(1);
    // Nobody discards content of which it is not known whether it is needed.
    CHECK(appended == Texts{"ok", to_string(ErrorKind::DeadlineExceeded), "ok"});
    CHECK(world.handover.octets_under_way() == 2 * kContentChunkOctets);
    world.hand_over(std::move(first));
    CHECK(world.answers == Texts{"ok"});
    CHECK(world.handover.octets_under_way() == 0);
    append(1);
    CHECK(appended.back() == to_string(ErrorKind::DeadlineExceeded));
    append(0);
    CHECK(appended.back() == "ok");
    CHECK(world.handover.octets_under_way() == kContentChunkOctets);
}

TEST_CASE("what is under way to the broker is bounded") {
    World world(1000);
    world.broker.set_confirms(FakeBroker::Confirms::Hold);
    world.hand_over(world.message({"tx-1"}, std::string(999, 'x')));
    CHECK(world.handover.admission().open);
    world.hand_over(world.message({"tx-1"}, std::string(2, 'x')));
    CHECK(world.answers == Texts{to_string(ErrorKind::ResourceExhausted)});
    world.broker.release_confirms();
    world.executor.run_until_idle();
    CHECK(world.handover.octets_under_way() == 0);
}

TEST_CASE("while the broker is away the door is closed and says why, and opens by itself") {
    World world;
    world.broker.go_away("cannot connect");
    CHECK_FALSE(world.handover.admission().open);
    CHECK(world.handover.admission().reason == "broker: cannot connect");
    world.broker.come_back();
    CHECK(world.handover.admission().open);
}

TEST_CASE("a broker that comes back in time costs its client some seconds, not the message") {
    World world;
    world.broker.go_away("restarts");
    world.hand_over(world.message({"tx-1"}));
    world.executor.advance(5s);
    CHECK(world.answers.empty());
    world.broker.come_back();
    world.executor.advance(1s);
    CHECK(world.answers == Texts{"ok"});
    CHECK(world.at(wire::deliver_queue("sender-0")).size() == 1);
}

TEST_CASE("a broker that stays away is told within the deadline, and nothing was accepted") {
    World world;
    world.broker.go_away("gone");
    world.hand_over(world.message({"tx-1"}));
    world.executor.advance(21s);
    CHECK(world.answers == Texts{to_string(ErrorKind::Unavailable)});
    world.broker.come_back();
    world.executor.advance(60s);
    CHECK(world.at(wire::deliver_queue("sender-0")).empty());
    CHECK(world.handover.octets_under_way() == 0);
}

TEST_CASE("a lost confirm is made good by a second copy with the same id") {
    World world;
    world.broker.set_confirms(FakeBroker::Confirms::Lost);
    world.hand_over(world.message({"tx-1"}));
    CHECK(world.answers.empty());
    world.broker.set_confirms(FakeBroker::Confirms::AtOnce);
    world.executor.advance(1s);
    CHECK(world.answers == Texts{"ok"});
    const auto copies = world.at(wire::deliver_queue("sender-0"));
    REQUIRE(copies.size() == 2);
    CHECK(copies[0].id == copies[1].id);
}

TEST_CASE("when one sender has its part and another does not, the outcome is unknown, and counted") {
    World world;
    world.broker.remove_queue(wire::deliver_queue("sender-1"));
    world.hand_over(world.message({"tx-1", "promo-1"}));
    world.executor.advance(21s);
    CHECK(world.answers == Texts{to_string(ErrorKind::DeadlineExceeded)});
    CHECK(world.at(wire::deliver_queue("sender-0")).size() == 1);
    CHECK(world.metrics.counter("postfleet_ingest_handover_unknown_total", "").value() == 1);
}

TEST_CASE("a sender without a queue, and a virtual MTA without a sender, are no fault of the mail") {
    World world;
    world.broker.remove_queue(wire::deliver_queue("sender-0"));
    world.hand_over(world.message({"tx-1"}));
    world.executor.advance(21s);
    world.hand_over(world.message({"nobody's"}));
    CHECK(world.answers == Texts(2, to_string(ErrorKind::Unavailable)));
}
