#include "login_memory.hpp"

#include <catch2/catch.hpp>

using namespace postfleet;
using namespace postfleet::sender;
using namespace std::chrono_literals;

namespace {

LoginMemory::Access access_of(std::string user) {
    return std::make_shared<const config::RouteAccess>(config::RouteAccess{.user = std::move(user)});
}

}  // namespace

TEST_CASE("a refused login rests longer each time, up to an hour, until it works") {
    LoginMemory logins;
    const auto access = access_of("u");
    SteadyTime now{1h};
    CHECK_FALSE(logins.hold_of(access, now));
    for (const Duration rest : {5min, 10min, 20min, 40min, 60min, 60min}) {
        CHECK(logins.on_refused(access, "535 wrong", now));
        CHECK_FALSE(logins.on_refused(access, "535 wrong", now + 1s));  // of another connection: no news
        REQUIRE(logins.hold_of(access, now + rest - 1s));
        CHECK(logins.hold_of(access, now)->reason == "535 wrong");
        now += rest;
        CHECK_FALSE(logins.hold_of(access, now));
    }
    logins.on_accepted(access);
    CHECK(logins.on_refused(access, "535 wrong", now));
    CHECK_FALSE(logins.hold_of(access, now + 5min));
}

TEST_CASE("after its rest one connection tries a refused login, and the others wait for it") {
    LoginMemory logins;
    const auto access = access_of("u");
    SteadyTime now{1h};
    CHECK(logins.begin_try(access, now));
    CHECK(logins.begin_try(access, now));  // nothing is known against it
    logins.on_refused(access, "535 wrong", now);
    CHECK_FALSE(logins.begin_try(access, now));
    now += 5min;
    CHECK(logins.begin_try(access, now));
    CHECK_FALSE(logins.begin_try(access, now));
    CHECK(logins.hold_of(access, now)->until == now + 1min);
    SECTION("it works") {
        logins.on_accepted(access);
        CHECK(logins.begin_try(access, now));
        CHECK_FALSE(logins.hold_of(access, now));
    }
    SECTION("it is refused again") {
        CHECK(logins.on_refused(access, "535 wrong", now));
        CHECK(logins.hold_of(access, now)->until == now + 10min);
    }
    SECTION("nothing comes of it: another one tries") { CHECK(logins.begin_try(access, now + 1min)); }
}

TEST_CASE("each route's login rests for itself, and an operator may end it") {
    LoginMemory logins;
    const auto one = access_of("u"), other = access_of("u");
    const SteadyTime now{1h};
    logins.on_refused(one, "535 wrong", now);
    CHECK(logins.hold_of(one, now));
    CHECK_FALSE(logins.hold_of(other, now));
    logins.end_rests();
    CHECK_FALSE(logins.hold_of(one, now));
}
