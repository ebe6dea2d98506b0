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
const SteadyTime kStart{1h};
}  // namespace

TEST_CASE("an answer is kept for its time and tells how much is left") {
    AnswerCache cache(10);
    cache.put("a", lasting(60s), kStart);
    REQUIRE(cache.find("a", kStart + 20s));
    CHECK(cache.find("a", kStart + 20s)->time_to_live == 40s);
    CHECK_FALSE(cache.find("a", kStart + 60s));
    CHECK(cache.size() == 0);
}

TEST_CASE("the answer that nobody asked for longest goes first") {
    AnswerCache cache(2);
    cache.put("a", lasting(60s), kStart);
    cache.put("b", lasting(60s), kStart);
    CHECK(cache.find("a", kStart));
    cache.put("c", lasting(60s), kStart);
    CHECK(cache.find("a", kStart));
    CHECK_FALSE(cache.find("b", kStart));
    CHECK(cache.size() == 2);
    cache.put("c", lasting(90s), kStart);
    CHECK(cache.find("c", kStart)->time_to_live == 90s);
    CHECK(cache.size() == 2);
}
