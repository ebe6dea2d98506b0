#include "tools/sink_counts.hpp"

#include <catch2/catch.hpp>

namespace postfleet::tools {
namespace {

DeliveryCheck check(std::vector<std::uint64_t> expected, std::vector<std::uint64_t> arrived) {
    return check_deliveries(expected, arrived);
}

TEST_CASE("lost, duplicate and unexpected deliveries are told apart") {
    const DeliveryCheck all_well = check({3, 1, 2}, {2, 3, 1});
    CHECK(all_well.unique == 3);
    CHECK(all_well.lost + all_well.duplicated + all_well.unexpected == 0);

    const DeliveryCheck mixed = check({1, 2, 3, 9}, {2, 2, 2, 3, 5, 5, 0});
    CHECK(mixed.expected == 4);
    CHECK(mixed.unique == 4);
    CHECK(mixed.lost == 2);        // 1 and 9
    CHECK(mixed.duplicated == 3);  // 2 twice more, 5 once more
    CHECK(mixed.unexpected == 2);  // 0 and 5

    CHECK(check({}, {}).lost == 0);
    CHECK(check({1}, {}).lost == 1);
}

TEST_CASE("the same id to another recipient is another delivery") {
    CHECK(hash_delivery("a-1", "x@y") != hash_delivery("a-1", "x@z"));
    CHECK(hash_delivery("a-1", "x@y") != hash_delivery("a-2", "x@y"));
    CHECK(hash_delivery("a-1", "x@y") == hash_delivery("a-1", "x@y"));
    CHECK(hash_delivery("a", "bc") != hash_delivery("ab", "c"));
}

}  // namespace
}  // namespace postfleet::tools
