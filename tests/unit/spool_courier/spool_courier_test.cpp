#include "postfleet/spool_courier/spool_courier.hpp"

#include <catch2/catch.hpp>

#include <optional>

#include "postfleet/support/fake_broker.hpp"
#include "postfleet/support/fake_spool.hpp"
#include "postfleet/support/manual_executor.hpp"
#include "postfleet/support/spool_samples.hpp"
#include "postfleet/wire/handover.hpp"
#include "postfleet/wire/topology.hpp"

namespace postfleet {

namespace {

using namespace support;

struct World {
    ManualExecutor executor;
    FakeSpool spool;
    FakeBroker broker;
    std::unique_ptr<BrokerPublisher> publisher = broker.publisher();
    SpoolCourier courier{{.on = executor,
                          .spool = spool,
                          .publisher = *publisher,
                          .sender_of = [](const std::string& virtual_mta) { return "of-" + virtual_mta; },
                          .id_of = [](const Message& message, const Task&) { return message.id; }}};
    std::optional<Carried> carried;

    // A task for each virtual MTA.
    std::vector<TaskKey> accept(const std::vector<std::string>& virtual_mtas) {
        SpoolBatch batch;
        auto message = sample_message(1);
        message->merge = {};
        message->content_chunks = 1;
        message->size_octets = sample_content(1)->size();
        batch.put_messages.push_back({message, sample_content(1)});
        std::vector<TaskKey> keys;
        for (std::uint32_t i = 0; i < virtual_mtas.size(); ++i) {
            Task task = sample_task(1, i);
            task.virtual_mta = virtual_mtas[i];
            task.recipients = {{.index = i, .address = "b@example.org"}};
            keys.push_back(task.key);
            batch.put_tasks.push_back(task);
        }
        spool.commit(std::move(batch), {&executor, [](const Status& status) { REQUIRE(status); }});
        executor.run_until_idle();
        return keys;
    }
    void open_queue(const std::string& virtual_mta) {
        for (const std::string& queue :
             {wire::deliver_queue("of-" + virtual_mta), wire::deliver_high_queue("of-" + virtual_mta)}) {
            broker.declare_queue(queue);
            broker.bind(std::string(wire::kDeliverExchange), queue, queue);
        }
    }
    void carry(std::vector<TaskKey> keys) {
        courier.carry(std::move(keys), [this](Carried result) { carried = std::move(result); });
        executor.run_until_idle();
    }
};

}  // namespace

TEST_CASE("a message is with the broker before it is gone from the spool") {
    World world;
    world.open_queue("a");
    const auto keys = world.accept({"a", "a"});
    world.broker.set_confirms(FakeBroker::Confirms::Hold);
    world.carry(keys);
    CHECK_FALSE(world.carried);
    CHECK(world.spool.tasks().size() == 2);
    CHECK(world.courier.under_way() == 1);
    world.broker.release_confirms();
    world.executor.run_until_idle();
    REQUIRE(world.carried);
    CHECK(world.carried->status);
    CHECK(world.carried->recipients == 2);
    CHECK(world.carried->left.empty());
    CHECK(world.spool.messages() == 0);
    CHECK(world.courier.under_way() == 0);
    CHECK(world.courier.octets_under_way() == 0);
}

TEST_CASE("a part that no queue takes stays, with the content; it can be carried later") {
    World world;
    world.open_queue("a");
    const auto keys = world.accept({"a", "b", "a"});
    world.carry(keys);
    REQUIRE(world.carried);
    CHECK(world.carried->status.error().kind == ErrorKind::NotFound);
    CHECK(world.carried->queue.starts_with("postfleet.deliver.of-b"));
    CHECK(world.carried->left == std::vector{keys[1]});
    CHECK(world.carried->recipients == 2);
    CHECK(world.spool.tasks().size() == 1);
    CHECK(world.spool.messages() == 1);
    world.open_queue("b");
    world.carry(world.carried->left);
    CHECK(world.carried->status);
    CHECK(world.carried->recipients == 1);
    CHECK(world.spool.messages() == 0);
}

TEST_CASE("what cannot be removed is left, and goes again under the same id", "[P3]") {
    World world;
    world.open_queue("a");
    const auto keys = world.accept({"a"});
    world.spool.fail_next_commits(1, {ErrorKind::Unavailable, "latched"});
    world.carry(keys);
    REQUIRE(world.carried);
    CHECK(world.carried->status.error().text == "latched");
    CHECK(world.carried->queue.empty());
    CHECK(world.carried->left == keys);
    CHECK(world.carried->recipients == 0);
    world.carry(keys);
    CHECK(world.carried->status);
    const auto copies = world.broker.published();
    REQUIRE(copies.size() == 2);
    CHECK(copies[0].message.message_id == copies[1].message.message_id);
}

TEST_CASE("what is damaged or not there is not carried in part") {
    World world;
    world.open_queue("a");
    auto keys = world.accept({"a"});
    SECTION("content") { world.spool.corrupt_content(keys[0].message); }
    SECTION("a task") { keys.push_back({keys[0].message, 9}); }
    world.carry(keys);
    REQUIRE(world.carried);
    CHECK(world.carried->status.error().kind == ErrorKind::Corruption);
    CHECK(world.carried->left == keys);
    CHECK(world.spool.messages() == 1);
    CHECK(world.broker.published().empty());
}

TEST_CASE("a spool of new mail only says so") {
    World world;
    CHECK_FALSE(has_new_mail_only(world.spool));
    mark_as_new_mail_only(world.spool, {&world.executor, [](const Status& status) { CHECK(status); }});
    world.executor.run_until_idle();
    CHECK(has_new_mail_only(world.spool));
}

}  // namespace postfleet
