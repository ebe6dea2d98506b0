#include "condition.hpp"

#include <catch2/catch.hpp>

namespace postfleet::spool {

TEST_CASE("what was known of the space does not undo a latch that came meanwhile") {
    Condition condition;
    REQUIRE(condition.change(SpoolCondition::Ready, SpoolCondition::SpaceLow, "space is low"));
    condition.change(SpoolCondition::Latched, "cannot sync");
    CHECK_FALSE(condition.change(SpoolCondition::SpaceLow, SpoolCondition::Ready, ""));
    CHECK_FALSE(condition.change(SpoolCondition::Ready, SpoolCondition::SpaceLow, "space is low"));
    CHECK(condition.state().condition == SpoolCondition::Latched);
    CHECK(condition.state().reason == "cannot sync");
}

}  // namespace postfleet::spool
