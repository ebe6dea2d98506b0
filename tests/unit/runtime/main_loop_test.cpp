#include "postfleet/runtime/main_loop.hpp"

#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <csignal>
#include <thread>

using namespace postfleet;
using namespace postfleet::runtime;
using namespace std::chrono_literals;

TEST_CASE("a signal stops the loop, SIGHUP reloads and SIGPIPE does nothing") {
    auto loop = MainLoop::create();
    REQUIRE(loop);
    int reloads = 0;
    ::kill(::getpid(), SIGPIPE);
    ::kill(::getpid(), SIGHUP);
    (*loop)->run({.on_reload =
                      [&] {
                          ++reloads;
                          ::kill(::getpid(), SIGTERM);
                      },
                  .on_tick = {}});
    CHECK(reloads == 1);
    CHECK((*loop)->stop_reason() == "SIGTERM");
}

TEST_CASE("tasks of other threads run on the main thread, in order") {
    auto loop = MainLoop::create();
    REQUIRE(loop);
    std::vector<int> order;
    const auto main_thread = std::this_thread::get_id();
    std::thread other([&] {
        for (int i = 0; i < 3; ++i) {
            (*loop)->post([&, i] {
                CHECK(std::this_thread::get_id() == main_thread);
                order.push_back(i);
            });
        }
        (*loop)->request_stop();
    });
    (*loop)->run({});
    other.join();
    CHECK(order == std::vector<int>{0, 1, 2});
    CHECK((*loop)->stop_reason() == "a request");
}

TEST_CASE("waiting for the drain ends when it is done, when time is up, or at the second signal") {
    auto loop = MainLoop::create();
    REQUIRE(loop);
    (*loop)->request_stop();
    (*loop)->run({});
    bool done = false;
    (*loop)->post([&] { done = true; });
    CHECK((*loop)->await(steady_clock_now() + 20s, [&] { return done; }) == MainLoop::Awaited::Finished);
    CHECK((*loop)->await(steady_clock_now() + 1ms, [] { return false; }) == MainLoop::Awaited::TimedOut);
    ::kill(::getpid(), SIGINT);
    CHECK((*loop)->await(steady_clock_now() + 20s, [] { return false; }) == MainLoop::Awaited::Hurried);
}

TEST_CASE("the tick comes without any other event") {
    auto loop = MainLoop::create();
    REQUIRE(loop);
    (*loop)->run({.on_reload = {}, .on_tick = [&] { (*loop)->request_stop(); }});
    SUCCEED("it came");
}
