#include "postfleet/base/glob.hpp"

#include <catch2/catch.hpp>

using namespace postfleet;

TEST_CASE("a glob's star is any text and its question mark any octet") {
    CHECK(matches_glob("*.example.com", "a.b.example.com"));
    CHECK(matches_glob("a?c*", "abc"));
    CHECK(matches_glob("*a*b*", "xxaxxbxx"));
    CHECK(matches_glob("*", ""));
    CHECK(matches_glob("", ""));
    CHECK_FALSE(matches_glob("*a*b", "xxaxxbx"));
    CHECK_FALSE(matches_glob("abc", "abcd"));
    CHECK_FALSE(matches_glob("a?", "a"));
    CHECK_FALSE(matches_glob("", "x"));
    CHECK_FALSE(matches_glob("A", "a"));
}

TEST_CASE("a glob that ignores case does so for letters of ASCII") {
    CHECK(matches_glob_ignoring_case("*@slow.test", "Someone@SLOW.test"));
    CHECK_FALSE(matches_glob_ignoring_case("\xc3\xa4", "\xc3\x84"));
}
