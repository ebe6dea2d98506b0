#include "postfleet/merge/part_list.hpp"

#include <catch2/catch.hpp>

namespace postfleet::merge {

TEST_CASE("a list of parts has numbers and ranges, in the order in which they are sent") {
    CHECK(parse_part_list("1") == std::vector<std::uint32_t>{1});
    CHECK(parse_part_list("1-3,5") == std::vector<std::uint32_t>{1, 2, 3, 5});
    CHECK(parse_part_list("1,3,2") == std::vector<std::uint32_t>{1, 3, 2});
    CHECK(parse_part_list(" 1 , 2") == std::vector<std::uint32_t>{1, 2});
    CHECK(parse_part_list("65535") == std::vector<std::uint32_t>{65535});
}

TEST_CASE("what is no list of parts is refused, and so is a long one") {
    for (const char* text : {"", "0", "a", "1,", ",1", "3-1", "1-", "-1", "1-2-3", "65536", "1;2", "+1", "1 2"}) {
        INFO(text);
        CHECK_FALSE(parse_part_list(text));
    }
    CHECK(parse_part_list("1-256"));
    CHECK_FALSE(parse_part_list("1-257"));
    CHECK_FALSE(parse_part_list("1-256,1"));
    CHECK_FALSE(parse_part_list("1-65535"));
}

}  // namespace postfleet::merge
