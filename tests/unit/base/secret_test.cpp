#include "postfleet/base/secret.hpp"

#include <catch2/catch.hpp>

namespace postfleet {
namespace {

TEST_CASE("a secret is moved and leaves nothing behind") {
    Secret first("tanstaaftanstaaf");
    Secret second(std::move(first));
    CHECK(first.empty());
    CHECK(second.view() == "tanstaaftanstaaf");
    second = Secret("other");
    CHECK(second.view() == "other");
    CHECK(Secret("").empty());
    CHECK(Secret().view().empty());
}

TEST_CASE("a wiped string is empty, and its memory is zero") {
    std::string text = "a password that is long enough not to live inside the string";
    const char* memory = text.data();
    const std::size_t size = text.size();
    wipe(text);
    CHECK(text.empty());
    CHECK(std::string_view(memory, size) == std::string(size, '\0'));
}

TEST_CASE("comparison in constant time compares") {
    CHECK(constant_time_equals("", ""));
    CHECK(constant_time_equals("abc", "abc"));
    CHECK_FALSE(constant_time_equals("abc", "abd"));
    CHECK_FALSE(constant_time_equals("xbc", "abc"));
    CHECK_FALSE(constant_time_equals("abc", "abcd"));
    CHECK_FALSE(constant_time_equals(std::string_view("a\0b", 3), std::string_view("a\0c", 3)));
}

}  // namespace
}  // namespace postfleet
