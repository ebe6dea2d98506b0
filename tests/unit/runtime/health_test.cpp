#include "postfleet/runtime/health.hpp"

#include <catch2/catch.hpp>

using postfleet::runtime::Health;

TEST_CASE("ready when every check has nothing to say") {
    Health health;
    CHECK(health.report().ok);
    health.add("spool", [] { return ""; });
    CHECK(health.report().ok);
    CHECK(health.report().to_json() == "{\"ready\":true,\"checks\":[{\"name\":\"spool\",\"ok\":true}]}\n");
}

TEST_CASE("one reason is enough not to be ready, and it is told") {
    Health health;
    health.add("spool", [] { return "space low: 3 MiB left"; });
    health.add("listeners", [] { return ""; });
    CHECK_FALSE(health.report().ok);
    CHECK(health.report().to_json() ==
          "{\"ready\":false,\"checks\":[{\"name\":\"spool\",\"ok\":false,\"reason\":\"space low: 3 MiB left\"},"
          "{\"name\":\"listeners\",\"ok\":true}]}\n");
}
