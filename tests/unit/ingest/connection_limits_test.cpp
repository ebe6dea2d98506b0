#include "postfleet/ingest/connection_limits.hpp"

#include <catch2/catch.hpp>
#include <thread>
#include <vector>

namespace postfleet::ingest {

using Verdict = ConnectionLimits::Verdict;

TEST_CASE("a client has its own limit inside the listener's") {
    ConnectionLimits limits;
    const auto a = *IpAddress::parse("192.0.2.1");
    const auto b = *IpAddress::parse("2001:db8::1");
    const ConnectionLimits::Caps caps{.total = 3, .per_client = 2};
    CHECK(limits.enter(a, caps) == Verdict::Entered);
    CHECK(limits.enter(a, caps) == Verdict::Entered);
    CHECK(limits.enter(a, caps) == Verdict::TooManyOfClient);
    CHECK(limits.connections() == 2);
    CHECK(limits.enter(b, caps) == Verdict::Entered);
    CHECK(limits.enter(b, caps) == Verdict::TooMany);
    limits.leave(a);
    CHECK(limits.enter(b, caps) == Verdict::Entered);
    CHECK(limits.connections() == 3);
    CHECK(limits.enter(b, {.total = 10, .per_client = 0}) == Verdict::TooManyOfClient);
}

TEST_CASE("the limits are never passed by threads that enter and leave at once") {
    ConnectionLimits limits;
    const ConnectionLimits::Caps caps{.total = 5, .per_client = 3};
    std::atomic<int> inside{0}, most{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            const IpAddress client = *IpAddress::parse("192.0.2." + std::to_string(t % 2));
            for (int i = 0; i < 20'000; ++i) {
                if (limits.enter(client, caps) != Verdict::Entered) continue;
                const int now = ++inside;
                int seen = most.load();
                while (now > seen && !most.compare_exchange_weak(seen, now)) {
                }
                --inside;
                limits.leave(client);
            }
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(most <= 5);
    CHECK(limits.connections() == 0);
}

}  // namespace postfleet::ingest
