#include "../../../libs/adapters/amqp/src/quiet_watch.hpp"

#include <catch2/catch.hpp>

using namespace postfleet;
using namespace std::chrono_literals;
using amqp::QuietWatch;

namespace {

const SteadyTime kStart{std::chrono::hours(1)};

}  // namespace

TEST_CASE("a queue is asked only when nothing has come for a while", "[RMQ-21]") {
    QuietWatch watch(30s);
    watch.reset(kStart);
    CHECK_FALSE(watch.is_time_to_ask(kStart + 29s));
    CHECK(watch.is_time_to_ask(kStart + 30s));
    watch.reset(kStart + 30s);
    CHECK_FALSE(watch.is_time_to_ask(kStart + 59s));
}

TEST_CASE("what waits twice in a row while nothing comes is stuck", "[RMQ-21]") {
    QuietWatch watch(30s);
    watch.reset(kStart);
    CHECK_FALSE(watch.on_answer(5, kStart + 30s));  // it may be on its way
    CHECK_FALSE(watch.is_time_to_ask(kStart + 59s));
    CHECK(watch.on_answer(5, kStart + 60s));
}

TEST_CASE("an empty queue is quiet for ever, and what comes in between begins anew", "[RMQ-21]") {
    QuietWatch watch(30s);
    watch.reset(kStart);
    for (int i = 1; i < 10; ++i) CHECK_FALSE(watch.on_answer(0, kStart + i * 30s));
    CHECK_FALSE(watch.on_answer(5, kStart + 300s));
    watch.reset(kStart + 310s);
    CHECK_FALSE(watch.on_answer(5, kStart + 340s));
    CHECK(watch.on_answer(1, kStart + 370s));
}
