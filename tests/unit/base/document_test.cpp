#include "postfleet/base/document.hpp"

#include <catch2/catch.hpp>

using postfleet::Origin;

TEST_CASE("an origin says as much as is known") {
    CHECK(Origin{"mta.yaml", 12, 5}.to_string() == "mta.yaml:12:5");
    CHECK(Origin{"mta.yaml", 12, 0}.to_string() == "mta.yaml:12");
    CHECK(Origin{"default", 0, 0}.to_string() == "default");
}
