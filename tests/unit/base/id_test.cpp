#include "postfleet/base/id.hpp"

#include <catch2/catch.hpp>

#include <bit>
#include <set>
#include <unordered_set>

using namespace std::chrono_literals;
using postfleet::EventId;
using postfleet::hash_event_id;
using postfleet::IdGenerator;
using postfleet::MessageId;
using postfleet::WallTime;

namespace {

constexpr WallTime kNow{1'765'432'100'123'456us};

std::int64_t milliseconds_of(const MessageId& id) {
    std::int64_t value = 0;
    for (int i = 0; i < 6; ++i) value = value << 8 | id.octets[static_cast<std::size_t>(i)];
    return value;
}

}  // namespace

TEST_CASE("an id is a UUID of version 7 with the time in front", "[rfc9562-5.7]") {
    IdGenerator generator(1);
    const MessageId id = generator.next(kNow);
    CHECK(milliseconds_of(id) == 1'765'432'100'123);
    CHECK(id.octets[6] >> 4 == 7);
    CHECK(id.octets[8] >> 6 == 2);
    const std::string text = id.to_string();
    CHECK(text.size() == 36);
    CHECK(text[14] == '7');
    CHECK(text.substr(0, 13) == "019b0bf4-051b");
}

TEST_CASE("ids increase within a millisecond, past 4096 of them, and when the clock steps back") {
    IdGenerator generator(7);
    MessageId last;
    const auto check_next = [&](WallTime now) {
        const MessageId id = generator.next(now);
        const bool increased = last < id;
        last = id;
        return increased;
    };
    for (int i = 0; i < 20'000; ++i) REQUIRE(check_next(kNow));
    CHECK(milliseconds_of(last) <= 1'765'432'100'123 + 6);  // borrowed from the future, sparingly
    for (int i = 0; i < 100; ++i) REQUIRE(check_next(kNow - 1h));
    REQUIRE(check_next(kNow + 1s));
    CHECK(milliseconds_of(last) == 1'765'432'101'123);
}

TEST_CASE("a time before 1970 still gives increasing ids") {
    IdGenerator generator(3);
    const MessageId a = generator.next(WallTime(-5s));
    const MessageId b = generator.next(WallTime(-5s));
    CHECK(a < b);
    CHECK(b.octets[6] >> 4 == 7);
}

TEST_CASE("generators of different seeds do not meet, and the system's seed is not a constant") {
    std::set<MessageId> seen;
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        IdGenerator generator(seed);
        for (int i = 0; i < 100; ++i) seen.insert(generator.next(kNow));
    }
    CHECK(seen.size() == 5000);
    CHECK(IdGenerator().next(kNow) != IdGenerator().next(kNow));
    CHECK(IdGenerator(9).next(kNow) == IdGenerator(9).next(kNow));
}

TEST_CASE("the text of an id comes back as the same id, in either case") {
    IdGenerator generator(5);
    for (int i = 0; i < 100; ++i) {
        const MessageId id = generator.next(kNow);
        CHECK(*MessageId::parse(id.to_string()) == id);
    }
    CHECK(MessageId::parse("019B0BB9-80CB-7abc-8DEF-0123456789aB")->to_string() ==
          "019b0bb9-80cb-7abc-8def-0123456789ab");
    CHECK(MessageId::parse("00000000-0000-0000-0000-000000000000")->is_nil());
}

TEST_CASE("what is no UUID is refused") {
    const auto text = GENERATE(as<std::string>(), "", "-", "019b0bb9-80cb-7abc-8def-0123456789a",
                               "019b0bb9-80cb-7abc-8def-0123456789abc", "019b0bb9080cb-7abc-8def-0123456789ab",
                               "019b0bb9-80cb-7abc-8def-0123456789ag", "019b0bb980cb7abc8def0123456789ab----",
                               " 19b0bb9-80cb-7abc-8def-0123456789ab", "+19b0bb9-80cb-7abc-8def-0123456789ab");
    const auto parsed = MessageId::parse(text);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().kind == postfleet::ErrorKind::InvalidArgument);
}

TEST_CASE("the hash of an event is stable for good, because it is stored") {
    CHECK(hash_event_id("").to_string() == hash_event_id({}).to_string());
    CHECK(hash_event_id("postfleet").to_string() == "2667003ef1a270ef548ab425dd6af62e");
    CHECK(hash_event_id("0123456789abcdef0123456").to_string() == "5871af3e650f6c80e469c7a67291e8dc");
}

TEST_CASE("similar events have different hashes, and half of the bits change") {
    std::set<EventId> seen;
    std::string about(23, '\0');
    int changed_bits = 0;
    int pairs = 0;
    const EventId first = hash_event_id(about);
    for (std::size_t i = 0; i < about.size(); ++i) {
        for (int bit = 0; bit < 8; ++bit) {
            about[i] = static_cast<char>(1 << bit);
            const EventId id = hash_event_id(about);
            seen.insert(id);
            for (std::size_t o = 0; o < id.octets.size(); ++o) {
                changed_bits += std::popcount(static_cast<unsigned>(id.octets[o] ^ first.octets[o]));
            }
            ++pairs;
            about[i] = '\0';
        }
    }
    for (std::size_t length = 0; length < 40; ++length) seen.insert(hash_event_id(std::string(length, '\0')));
    CHECK(seen.size() == 23 * 8 + 40);
    const double average = static_cast<double>(changed_bits) / pairs;
    CHECK(average > 60);
    CHECK(average < 68);
}

TEST_CASE("message ids spread over a hash table") {
    IdGenerator generator(11);
    std::unordered_set<std::size_t> low_bits;
    for (int i = 0; i < 1024; ++i) low_bits.insert(std::hash<MessageId>()(generator.next(kNow)) & 1023);
    CHECK(low_bits.size() > 550);  // random: 1 - 1/e of them, about 647
}

TEST_CASE("an id tells when it was made, to the millisecond", "[rfc9562-5.7]") {
    IdGenerator generator(1);
    CHECK(generator.next(kNow).made_at() == std::chrono::floor<std::chrono::milliseconds>(kNow));
}
