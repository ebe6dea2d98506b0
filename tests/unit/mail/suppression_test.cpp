#include "postfleet/mail/suppression.hpp"

#include <catch2/catch.hpp>

using namespace postfleet;

TEST_CASE("suppressed addresses and domains are compared without regard to ASCII case") {
    CHECK(suppression_target("Ann@Example.COM") == "ann@example.com");
    CHECK(suppression_target("") == "");
    CHECK(domain_of_target("\"a@b\"@x.test") == "x.test");
    CHECK(domain_of_target("x.test").empty());
}
