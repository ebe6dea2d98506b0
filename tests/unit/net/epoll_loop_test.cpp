#include "postfleet/net/epoll_loop.hpp"

#include <atomic>
#include <thread>

#include "postfleet/net/loop_group.hpp"
#include "support.hpp"

namespace postfleet::net {
namespace {

TEST_CASE("tasks run on the loop's thread, in the order of the posts of one thread") {
    auto group = LoopGroup::create(2);
    REQUIRE(group);
    LoopGroup& loops = **group;
    loops.start();
    constexpr int kThreads = 4;
    constexpr int kPosts = 20'000;
    std::array<std::vector<int>, kThreads> seen;
    std::atomic<int> done{0};
    std::atomic<bool> is_on_thread{true};
    std::vector<std::thread> posters;
    for (int t = 0; t < kThreads; ++t) {
        posters.emplace_back([&, t] {
            EpollLoop& loop = loops[static_cast<unsigned>(t) % 2];
            for (int i = 0; i < kPosts; ++i) {
                loop.post([&, t, i] {
                    if (!loop.is_current_thread()) is_on_thread = false;
                    seen[static_cast<unsigned>(t)].push_back(i);
                    ++done;
                });
            }
        });
    }
    for (std::thread& poster : posters) poster.join();
    loops.stop();
    loops.join();
    CHECK(done == kThreads * kPosts);
    CHECK(is_on_thread);
    for (const std::vector<int>& order : seen) {
        CHECK(order.size() == kPosts);
        CHECK(std::is_sorted(order.begin(), order.end()));
    }
    CHECK(loops[0].statistics().tasks == kPosts * 2 + 1);  // and the stop
}

TEST_CASE("two loops that post to each other never miss a wake-up") {
    auto group = LoopGroup::create(2);
    REQUIRE(group);
    LoopGroup& loops = **group;
    struct Game {
        LoopGroup& loops;
        std::atomic<int> left{50'000};
        std::atomic<bool> is_over{false};
        void hit(unsigned side) {
            if (left.fetch_sub(1) <= 0) {
                is_over = true;
                is_over.notify_one();
                return;
            }
            loops[1 - side].post([this, side] { hit(1 - side); });
        }
    } game{loops};
    loops.start();
    loops[0].post([&] { game.hit(0); });
    game.is_over.wait(false);
    loops.stop();
    loops.join();
    CHECK(game.left <= 0);
}

TEST_CASE("many posts to a sleeping loop cost one wake-up") {
    auto loop = make_loop();
    int ran = 0;
    std::thread([&] {
        for (int i = 0; i < 1000; ++i) loop->post([&] { ++ran; });
    }).join();
    loop->run_turn(std::chrono::seconds(10));
    CHECK(ran == 1000);
    CHECK(loop->statistics().wakeups == 0);  // it was not asleep
    CHECK(loop->statistics().turns == 1);
}

TEST_CASE("timers fire not before their time, in order, and a cancelled one never") {
    auto loop = make_loop();
    const SteadyTime start = steady_clock_now();
    std::vector<int> fired;
    std::vector<Duration> late;
    const auto set = [&](int milliseconds) {
        const SteadyTime due = start + std::chrono::milliseconds(milliseconds);
        return loop->schedule_at(due, [&, due, milliseconds] {
            fired.push_back(milliseconds);
            late.push_back(steady_clock_now() - due);
            CHECK(loop->now() >= due);
        });
    };
    set(30);
    set(10);
    const TimerId cancelled = set(20);
    set(0);
    loop->cancel(cancelled);
    loop->cancel(TimerId{});
    run_until(*loop, [&] { return fired.size() == 3; });
    CHECK(fired == std::vector{0, 10, 30});
    loop->cancel(cancelled);
}

TEST_CASE("a timer or task that sets itself again does not keep sockets waiting") {
    auto loop = make_loop();
    int timers = 0, tasks = 0;
    std::function<void()> again = [&] {
        ++timers;
        loop->schedule_at(loop->now(), [&] { again(); });
    };
    again();
    std::function<void()> repost = [&] {
        ++tasks;
        loop->post([&] { repost(); });
    };
    repost();
    loop->run_turn(Duration::max());
    CHECK(timers <= 3);
    CHECK(tasks < 20);
    loop->run_turn(Duration::max());
    CHECK(timers <= 4);
}

TEST_CASE("a timer may cancel the one that is due right after it") {
    auto loop = make_loop();
    TimerId second;
    bool has_fired = false, has_cancelled = false;
    loop->schedule_at(loop->now(), [&] {
        loop->cancel(second);
        has_cancelled = true;
    });
    second = loop->schedule_at(loop->now(), [&] { has_fired = true; });
    run_until(*loop, [&] { return has_cancelled; });
    loop->run_turn(Duration::zero());
    CHECK_FALSE(has_fired);
}

TEST_CASE("stop runs what was posted before it, and the loop can run again") {
    auto loop = make_loop();
    std::vector<int> ran;
    loop->post([&] { ran.push_back(1); });
    loop->stop();
    loop->run();
    CHECK(ran == std::vector{1});
    loop->post([&] {
        ran.push_back(2);
        loop->stop();
    });
    loop->run();
    CHECK(ran == std::vector{1, 2});
}

TEST_CASE("tasks that never ran are destroyed with the loop") {
    auto owned = std::make_shared<int>(1);
    const std::weak_ptr<int> watch = owned;
    auto loop = make_loop();
    loop->post([kept = owned] {});
    loop->schedule_at(SteadyTime::max(), [kept = std::move(owned)] {});
    CHECK_FALSE(watch.expired());
    loop.reset();
    CHECK(watch.expired());
}

TEST_CASE("the wall clock is read once per turn at most") {
    auto loop = make_loop();
    loop->run_turn(Duration::zero());
    const WallTime first = loop->wall_now();
    CHECK(loop->wall_now() == first);
    CHECK(std::chrono::abs(wall_clock_now() - first) < std::chrono::seconds(5));
}

}  // namespace
}  // namespace postfleet::net
