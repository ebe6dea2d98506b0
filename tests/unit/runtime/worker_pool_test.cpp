#include "postfleet/runtime/worker_pool.hpp"

#include <catch2/catch.hpp>
#include <future>
#include <memory>
#include <string>
#include <thread>

using namespace postfleet;
using runtime::WorkerPool;

TEST_CASE("tasks run on a thread of the pool, those of a higher priority first") {
    WorkerPool pool({.threads = 1});
    std::promise<void> begun, go, done;
    const std::thread::id here = std::this_thread::get_id();
    std::string order;
    REQUIRE(pool.submit(Priority::Low, [&] {
        CHECK(std::this_thread::get_id() != here);
        begun.set_value();
        go.get_future().wait();
    }));
    begun.get_future().wait();
    REQUIRE(pool.submit(Priority::Low, [&] {
        order += "l";
        done.set_value();
    }));
    REQUIRE(pool.submit(Priority::Normal, [&] { order += "n"; }));
    REQUIRE(pool.submit(Priority::High, [&] { order += "1"; }));
    REQUIRE(pool.submit(Priority::High, [&] { order += "2"; }));
    CHECK(pool.waiting() == 4);
    go.set_value();
    done.get_future().wait();
    CHECK(order == "12nl");
}

TEST_CASE("what is above the bound is refused, and what has not begun never runs after a stop") {
    WorkerPool pool({.threads = 1, .max_waiting = 2});
    std::promise<void> begun, go;
    bool ran = false;
    REQUIRE(pool.submit(Priority::Normal, [&] {
        begun.set_value();
        go.get_future().wait();
    }));
    begun.get_future().wait();
    const auto owned = std::make_shared<int>(1);
    REQUIRE(pool.submit(Priority::Normal, [&ran, owned] { ran = true; }));
    REQUIRE(pool.submit(Priority::Normal, [] {}));
    CHECK_FALSE(pool.submit(Priority::High, [] {}));
    auto stopping = std::async(std::launch::async, [&] { pool.stop(); });
    while (pool.waiting() > 0) std::this_thread::yield();
    go.set_value();
    stopping.wait();
    CHECK_FALSE(pool.submit(Priority::Normal, [] {}));
    CHECK_FALSE(ran);
    CHECK(owned.use_count() == 1);
}
