#include "answer_cache.hpp"

#include <catch2/catch.hpp>

using namespace postfleet;
using namespace postfleet::dns;
using namespace std::chrono_literals;

namespace {
MxAnswer lasting(Duration duration) {
    MxAnswer answer;
    answer.kind = MxAnswer::Kind::Found;
    answer.time_to_live = duration;
    return answer;
}
Duration left(AnswerCache& cache, const std::string& key, SteadyTime now) {
    const auto answer = cache.find(key, now);
    return answer ? time_to_live_of(*answer) : Duration{};
}
constexpr std::size_t kPlenty = 1 << 20;
const SteadyTime kStart{1h};
}  // namespace

TEST_CASE("an answer is kept for its time and tells how much is left") {
    AnswerCache cache({10, kPlenty});
    cache.put("a", lasting(60s), kStart);
    REQUIRE(cache.find("a", kStart + 20s));
    CHECK(left(cache, "a", kStart + 20s) == 40s);
    CHECK_FALSE(cache.find("a", kStart + 60s));
    CHECK(cache.size() == 0);
}

TEST_CASE("the answer that nobody asked for longest goes first") {
    AnswerCache cache({2, kPlenty});
    cache.put("a", lasting(60s), kStart);
    cache.put("b", lasting(60s), kStart);
    CHECK(cache.find("a", kStart));
    cache.put("c", lasting(60s), kStart);
    CHECK(cache.find("a", kStart));
    CHECK_FALSE(cache.find("b", kStart));
    CHECK(cache.size() == 2);
    cache.put("c", lasting(90s), kStart);
    CHECK(left(cache, "c", kStart) == 90s);
    CHECK(cache.size() == 2);
}

TEST_CASE("the cache is full at so many octets, too") {
    TxtAnswer large = {TxtAnswer::Kind::Found, {std::string(10'000, 'x')}, 60s};
    AnswerCache cache({1000, 25'000});
    for (const char* key : {"a", "b", "c"}) cache.put(key, large, kStart);
    CHECK(cache.size() == 2);
    CHECK(cache.octets() > 20'000);
    CHECK(cache.octets() <= 25'000);
    CHECK_FALSE(cache.find("a", kStart));
    CHECK(cache.find("c", kStart));
    large.records.front().assign(30'000, 'x');
    cache.put("d", large, kStart);  // would not fit alone
    CHECK_FALSE(cache.find("d", kStart));
    CHECK(cache.size() == 2);
    cache.find("b", kStart + 61s);
    cache.find("c", kStart + 61s);
    CHECK(cache.octets() == 0);
}
