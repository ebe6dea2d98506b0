#include "../../../libs/adapters/amqp/src/confirm_window.hpp"

#include <catch2/catch.hpp>

using namespace postfleet;
using namespace postfleet::amqp;
using namespace std::chrono_literals;

namespace {

const SteadyTime kStart{1h};

struct World {
    ConfirmWindow window;
    Finished finished;
    std::vector<std::string> answers;

    explicit World(int count) {
        for (int i = 1; i <= count; ++i) {
            const auto id = std::to_string(i);
            window.sent(
                {id,
                 {"exchange", "key"},
                 static_cast<std::uint64_t>(i),
                 {nullptr,
                  [this, id](Status status) {
                      answers.push_back(id + (status ? " ok" : std::string(" ") + to_string(status.error().kind)));
                  }}},
                kStart + std::chrono::seconds(i));
        }
    }
    std::vector<std::string> take() {
        for (auto& [done, status] : finished) done.run(std::move(status));
        finished.clear();
        return std::exchange(answers, {});
    }
};

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("confirms come one by one, for many, and in any order", "[RMQ-10]") {
    World world(6);
    CHECK(world.window.confirm(2, false, Confirm::Ack, kStart, world.finished));
    CHECK(world.take() == Texts{"2 ok"});
    CHECK(world.window.confirm(4, true, Confirm::Ack, kStart, world.finished));
    CHECK(world.take() == Texts{"1 ok", "3 ok", "4 ok"});
    CHECK(world.window.size() == 2);
    CHECK(world.window.confirm(0, true, Confirm::Ack, kStart, world.finished));  // all so far
    CHECK(world.take() == Texts{"5 ok", "6 ok"});
    CHECK(world.window.size() == 0);
    CHECK(world.window.next_deadline() == SteadyTime::max());
}

TEST_CASE("a confirm of what was never sent is a mistake of the broker, a second one is not ours", "[RMQ-10]") {
    World world(2);
    CHECK_FALSE(world.window.confirm(3, false, Confirm::Ack, kStart, world.finished));
    CHECK_FALSE(world.window.confirm(3, true, Confirm::Ack, kStart, world.finished));
    CHECK(world.window.confirm(2, false, Confirm::Ack, kStart, world.finished));
    CHECK(world.window.confirm(2, false, Confirm::Ack, kStart, world.finished));
    CHECK(world.take() == Texts{"2 ok"});
    CHECK(world.window.confirm(1, false, Confirm::Ack, kStart, world.finished));
    CHECK_FALSE(world.window.confirm(1, false, Confirm::Ack, kStart, world.finished));
    CHECK_FALSE(world.window.confirm(UINT64_MAX, true, Confirm::Ack, kStart, world.finished));
}

TEST_CASE("a message that came back has failed although its confirm says ok", "[RMQ-12]") {
    World world(3);
    CHECK(world.window.came_back("2", "exchange", "key", "312 NO_ROUTE"));
    CHECK_FALSE(world.window.came_back("2", "exchange", "key", "312 NO_ROUTE"));
    CHECK_FALSE(world.window.came_back("3", "exchange", "other", "312 NO_ROUTE"));
    CHECK(world.window.confirm(3, true, Confirm::Ack, kStart, world.finished));
    CHECK(world.finished[1].second.error().text == "it came back from exchange 'exchange', key 'key': 312 NO_ROUTE");
    CHECK(world.take() == Texts{"1 ok", std::string("2 ") + to_string(ErrorKind::NotFound), "3 ok"});
}

TEST_CASE("a refused message is told apart from an unknown one", "[RMQ-13]") {
    World world(4);
    CHECK(world.window.confirm(2, true, Confirm::Nack, kStart, world.finished));
    const std::string refused = to_string(ErrorKind::Unavailable), unknown = to_string(ErrorKind::DeadlineExceeded);
    CHECK(world.take() == Texts{"1 " + refused, "2 " + refused});
    CHECK(world.window.next_deadline() == kStart + 3s);
    CHECK(world.window.expire(kStart + 3s, world.finished) == 1);
    CHECK(world.window.expire(kStart + 3s, world.finished) == 0);
    CHECK(world.take() == Texts{"3 " + unknown});
    CHECK(world.window.next_deadline() == kStart + 4s);
    CHECK(world.window.confirm(3, false, Confirm::Ack, kStart, world.finished));  // late: nobody waits for it
    CHECK(world.take().empty());
    world.window.fail_all("gone", 3, world.finished);
    CHECK(world.take() == Texts{std::string("4 ") + to_string(ErrorKind::InvalidArgument)});
    CHECK(world.window.size() == 0);
}

TEST_CASE("after a lost connection numbers begin anew", "[RMQ-10]") {
    World world(2);
    world.window.fail_all("gone", 100, world.finished);
    const std::string unknown = to_string(ErrorKind::DeadlineExceeded);
    CHECK(world.take() == Texts{"1 " + unknown, "2 " + unknown});
    world.window.sent({"new", {}, 1, {nullptr, [&](Status) { world.answers.emplace_back("new"); }}}, kStart);
    CHECK(world.window.confirm(1, false, Confirm::Ack, kStart, world.finished));
    CHECK(world.take() == Texts{"new"});
}

TEST_CASE("a key that gets nothing but refusals is known, whatever others get", "[RMQ-13]") {
    ConfirmWindow window;
    Finished finished;
    for (const char* key : {"stuck", "good", "stuck", "good", "stuck"}) {
        window.sent({"id", {"", key}, 1, {nullptr, [](Status) {}}}, kStart);
    }
    CHECK(window.refused_since() == SteadyTime::max());
    CHECK(window.confirm(1, false, Confirm::Nack, kStart + 1s, finished));
    CHECK(window.confirm(2, false, Confirm::Ack, kStart + 2s, finished));
    CHECK(window.confirm(3, false, Confirm::Nack, kStart + 3s, finished));
    CHECK(window.refused_since() == kStart + 1s);
    CHECK(window.confirm(5, false, Confirm::Ack, kStart + 4s, finished));
    CHECK(window.refused_since() == SteadyTime::max());
}
