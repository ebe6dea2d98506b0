#include <catch2/catch.hpp>

#include "postfleet/tls/ticket_keys.hpp"

namespace postfleet::tls {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

TEST_CASE("a key seals until it is old, opens until its tickets have expired, and is forgotten then") {
    TicketKeys keys(hours(1), hours(6));
    const SteadyTime start{hours(100)};
    const TicketKey first = *keys.to_seal(start);
    CHECK(keys.to_seal(start + minutes(59))->name == first.name);
    CHECK(keys.to_open(first.name, start + minutes(59))->is_newest);
    // Nobody sealed since, but the ticket is to be replaced all the same.
    CHECK_FALSE(keys.to_open(first.name, start + minutes(61))->is_newest);
    const TicketKey second = *keys.to_seal(start + minutes(61));
    CHECK(second.name != first.name);
    CHECK(second.cipher_key != first.cipher_key);
    CHECK(second.mac_key != first.mac_key);
    const auto opened = keys.to_open(first.name, start + hours(6));
    REQUIRE(opened);
    CHECK_FALSE(opened->is_newest);
    CHECK(opened->key.cipher_key == first.cipher_key);
    CHECK_FALSE(keys.to_open(first.name, start + hours(7)));
    CHECK(keys.to_open(second.name, start + hours(7)));
}

TEST_CASE("a ticket with a name that is none of ours opens nothing") {
    TicketKeys keys(hours(1), hours(6));
    const std::array<std::uint8_t, 16> name{};
    CHECK_FALSE(keys.to_open(name, SteadyTime{hours(1)}));
}

TEST_CASE("however short the rotation, the number of keys is bounded") {
    TicketKeys keys(std::chrono::seconds(1), hours(24));
    SteadyTime now{hours(1)};
    const TicketKey first = *keys.to_seal(now);
    for (std::size_t i = 1; i < TicketKeys::kMaxKeys; ++i) keys.to_seal(now += std::chrono::seconds(1));
    CHECK(keys.to_open(first.name, now));
    keys.to_seal(now += std::chrono::seconds(1));
    CHECK_FALSE(keys.to_open(first.name, now));
}

}  // namespace
}  // namespace postfleet::tls
