#include "postfleet/mail/reply.hpp"

#include <catch2/catch.hpp>

using postfleet::EnhancedStatus;
using postfleet::Reply;

TEST_CASE("an enhanced status has three numbers, or is none", "[rfc3463-2]") {
    CHECK(EnhancedStatus{5, 1, 1}.to_string() == "5.1.1");
    CHECK(EnhancedStatus{4, 999, 0}.to_string() == "4.999.0");
    CHECK(EnhancedStatus{}.to_string().empty());
    CHECK_FALSE(EnhancedStatus{});
    CHECK(EnhancedStatus{2, 0, 0});
}

TEST_CASE("the first digit of a reply says how it ended", "[rfc5321-4.2.1]") {
    const auto classes = [](int code) {
        const Reply reply{code, {}, ""};
        return std::tuple(reply.is_positive(), reply.is_transient(), reply.is_permanent());
    };
    const auto positive = std::tuple(true, false, false);
    const auto transient = std::tuple(false, true, false);
    const auto permanent = std::tuple(false, false, true);
    const auto neither = std::tuple(false, false, false);
    CHECK(classes(250) == positive);
    CHECK(classes(354) == positive);
    CHECK(classes(399) == positive);
    CHECK(classes(400) == transient);
    CHECK(classes(499) == transient);
    CHECK(classes(500) == permanent);
    CHECK(classes(599) == permanent);
    CHECK(classes(0) == neither);
    CHECK(classes(199) == neither);
    CHECK(classes(600) == neither);
}

TEST_CASE("a reply reads as the server said it; our own words stand alone") {
    CHECK(Reply{550, {5, 1, 1}, "no such user"}.to_string() == "550 5.1.1 no such user");
    CHECK(Reply{250, {}, "ok"}.to_string() == "250 ok");
    CHECK(Reply{250, {2, 0, 0}, ""}.to_string() == "250 2.0.0");
    CHECK(Reply{421, {}, ""}.to_string() == "421");
    CHECK(Reply{0, {}, "timed out while connecting"}.to_string() == "timed out while connecting");
}
