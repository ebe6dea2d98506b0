#include "postfleet/sender_edge/evacuation.hpp"

#include <catch2/catch.hpp>

#include <map>
#include <set>

#include "postfleet/support/fake_broker.hpp"
#include "postfleet/support/fake_spool.hpp"
#include "postfleet/support/manual_executor.hpp"
#include "postfleet/support/spool_samples.hpp"
#include "postfleet/wire/handover.hpp"
#include "postfleet/wire/topology.hpp"

namespace postfleet::sender {

namespace {

using namespace support;
using namespace std::chrono_literals;

std::shared_ptr<Message> plain_message(std::uint64_t n, std::uint32_t chunks = 1) {
    auto message = sample_message(n);
    message->merge = {};
    message->content_chunks = chunks;
    message->size_octets = (chunks - 1) * kContentChunkOctets + 2000;
    return message;
}

struct World {
    World() {
        for (const char* sender : {"s0", "s1"}) {
            for (const std::string& queue : {wire::deliver_queue(sender), wire::deliver_high_queue(sender)}) {
                broker.declare_queue(queue);
                broker.bind(std::string(wire::kDeliverExchange), queue, queue);
            }
        }
    }
    void accept(std::uint64_t n) {
        SpoolBatch batch;
        batch.put_messages.push_back({plain_message(n), sample_content(n)});
        batch.put_tasks.push_back(sample_task(n));
        commit(std::move(batch));
    }
    void commit(SpoolBatch batch) {
        spool.commit(std::move(batch), {&executor, [](const Status& status) { REQUIRE(status); }});
        executor.run_until_idle();
    }
    void begin() {
        result.reset();
        evacuation = std::make_unique<Evacuation>(
            EvacuationPorts{.on = executor,
                            .spool = spool,
                            .spool_id = "spool-a",
                            .publisher = *publisher,
                            .sender_of = [this](const std::string& virtual_mta) { return owners[virtual_mta]; },
                            .log = Log()});
        REQUIRE(
            evacuation->start({&executor, [this](Result<EvacuationReport> report) { result = std::move(report); }}));
        executor.run_until_idle();
    }
    std::vector<wire::Handover> handed_to(const std::string& sender) const {
        std::vector<wire::Handover> out;
        for (const std::string& queue : {wire::deliver_queue(sender), wire::deliver_high_queue(sender)}) {
            for (const BrokerMessage& message : broker.waiting(queue)) {
                auto handover = wire::decode_handover(*message.body);
                REQUIRE(handover);
                CHECK(message.message_id == handover->id.to_string());
                out.push_back(*std::move(handover));
            }
        }
        return out;
    }

    ManualExecutor executor;
    FakeSpool spool;
    FakeBroker broker;
    std::unique_ptr<BrokerPublisher> publisher = broker.publisher();
    std::map<std::string, std::string> owners{{"promo-1", "s1"}, {"tx-1", "s0"}};
    std::unique_ptr<Evacuation> evacuation;
    std::optional<Result<EvacuationReport>> result;
};

}  // namespace

TEST_CASE("an evacuated spool is empty, and its mail is at its senders with all that happened to it") {
    World world;
    for (std::uint64_t n = 1; n <= 600; ++n) world.accept(n);
    world.begin();
    REQUIRE(world.result);
    REQUIRE(*world.result);
    CHECK((*world.result)->messages == 600);
    CHECK((*world.result)->recipients == 1200);
    CHECK((*world.result)->left == 0);
    CHECK(world.spool.tasks().empty());
    CHECK(world.spool.messages() == 0);
    CHECK_FALSE(is_being_evacuated(world.spool));
    const auto handed = world.handed_to("s1");
    REQUIRE(handed.size() == 600);
    std::set<MessageId> ids;
    for (const wire::Handover& handover : handed) {
        std::uint64_t n = 0;
        for (std::size_t i = 0; i < 8; ++i) n = n << 8 | handover.message->id.octets[i];
        CHECK(*handover.message == *plain_message(n));
        CHECK(handover.tasks == std::vector{sample_task(n)});
        CHECK(*handover.content[0] == *sample_content(n));
        CHECK(handover.id != handover.message->id);
        ids.insert(handover.id);
    }
    CHECK(ids.size() == 600);
}

TEST_CASE("tasks of one message go to the senders of their virtual MTAs, with the whole content each") {
    World world;
    SpoolBatch batch;
    auto message = plain_message(1, 2);
    world.spool.append_content(message->id, 0, std::make_shared<const std::string>(kContentChunkOctets, 'x'),
                               {&world.executor, [](const Status&) {}});
    auto mine = sample_task(1, 0), other = sample_task(1, 7);
    other.virtual_mta = "tx-1";
    other.recipients = {{.index = 7, .address = "c@example.org"}};
    batch.put_messages.push_back({message, sample_content(1)});
    batch.put_tasks = {mine, other};
    world.commit(std::move(batch));
    world.begin();
    REQUIRE(world.result);
    for (const char* sender : {"s0", "s1"}) {
        const auto handed = world.handed_to(sender);
        REQUIRE(handed.size() == 1);
        REQUIRE(handed[0].content.size() == 2);
        CHECK(handed[0].content[0]->size() == kContentChunkOctets);
        CHECK(*handed[0].content[1] == *sample_content(1));
    }
    CHECK(world.handed_to("s0")[0].tasks == std::vector{other});
    CHECK(world.handed_to("s1")[0].tasks == std::vector{mine});
    CHECK(world.spool.tasks().empty());
}

TEST_CASE("killed in the middle it goes on: nothing is lost, and what goes twice has the same id", "[P1][P3]") {
    World world;
    for (std::uint64_t n = 1; n <= 40; ++n) world.accept(n);
    SECTION("before the broker has confirmed") { world.broker.set_confirms(FakeBroker::Confirms::Hold); }
    SECTION("before the removal is durable") {
        world.begin();  // marks it, and empties it
        for (std::uint64_t n = 1; n <= 40; ++n) world.accept(n);
        world.broker.set_confirms(FakeBroker::Confirms::Hold);
    }
    world.begin();
    CHECK_FALSE(world.result);
    CHECK(is_being_evacuated(world.spool));  // so no sender delivers from it
    world.evacuation.reset();
    world.broker.lose_connections();
    world.spool.lose_unconfirmed();
    world.broker.set_confirms(FakeBroker::Confirms::AtOnce);
    ManualExecutor& executor = world.executor;
    world.begin();
    executor.advance(10s);
    REQUIRE(world.result);
    CHECK((*world.result)->left == 0);
    CHECK(world.spool.tasks().empty());
    std::map<MessageId, std::set<MessageId>> ids;
    for (const wire::Handover& handover : world.handed_to("s1")) ids[handover.message->id].insert(handover.id);
    CHECK(ids.size() == 40);
    for (const auto& [message, of_it] : ids) CHECK(of_it.size() == 1);
}

TEST_CASE("a broker that is away is waited for") {
    World world;
    world.accept(1);
    world.broker.set_confirms(FakeBroker::Confirms::Refused);
    world.begin();
    world.executor.advance(1min);
    CHECK_FALSE(world.result);
    CHECK(world.spool.tasks().size() == 1);
    world.broker.set_confirms(FakeBroker::Confirms::AtOnce);
    world.executor.advance(2s);
    REQUIRE(world.result);
    CHECK(world.spool.tasks().empty());
}

TEST_CASE("what no queue takes, and what cannot be read, stays and keeps the mark; the rest goes") {
    World world;
    for (std::uint64_t n = 1; n <= 3; ++n) world.accept(n);
    SpoolBatch batch;
    auto task = sample_task(9);
    task.virtual_mta = "gone";
    batch.put_messages.push_back({plain_message(9), sample_content(9)});
    batch.put_tasks.push_back(task);
    world.commit(std::move(batch));
    world.owners["gone"] = "s7";
    world.spool.corrupt_content(sample_id(2));
    world.begin();
    REQUIRE(world.result);
    CHECK((*world.result)->messages == 2);
    CHECK((*world.result)->left == 2);
    CHECK((*world.result)->why_left == "there is no queue postfleet.deliver.s7");
    CHECK(world.spool.tasks().size() == 2);
    CHECK(is_being_evacuated(world.spool));
}

TEST_CASE("who stops it waits for what is under way only") {
    World world;
    for (std::uint64_t n = 1; n <= 600; ++n) world.accept(n);
    world.broker.set_confirms(FakeBroker::Confirms::Hold);
    world.begin();
    world.evacuation->stop();
    world.broker.release_confirms();
    world.executor.run_until_idle();
    REQUIRE(world.result);
    CHECK((*world.result)->messages == Evacuation::kMostUnderWay);
    CHECK((*world.result)->left == 600 - Evacuation::kMostUnderWay);
    CHECK(world.spool.tasks().size() == 600 - Evacuation::kMostUnderWay);
    CHECK(is_being_evacuated(world.spool));
}

}  // namespace postfleet::sender
