#include "postfleet/throttle/backoff_table.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <random>
#include <vector>

namespace postfleet::throttle {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

const SteadyTime kStart{hours(100)};

TEST_CASE("the first failures are free, then the delay doubles up to its bound") {
    BackoffTable table({.free_failures = 3, .first_delay = seconds(1), .longest_delay = seconds(60)});
    SteadyTime now = kStart;
    std::vector<Duration> delays;
    for (int i = 0; i < 12; ++i) {
        delays.push_back(table.fail("k", now));
        CHECK(table.wait("k", now) == delays.back());
        CHECK(table.wait("k", now + delays.back()) == Duration::zero());
        now += delays.back();
    }
    CHECK(delays == std::vector<Duration>{seconds(0), seconds(0), seconds(0), seconds(1), seconds(2), seconds(4),
                                          seconds(8), seconds(16), seconds(32), seconds(60), seconds(60), seconds(60)});
    CHECK(table.failures("k", now) == 12);
}

TEST_CASE("keys do not know each other") {
    BackoffTable table({.free_failures = 0});
    table.fail("a", kStart);
    CHECK(table.wait("a", kStart) == seconds(1));
    CHECK(table.wait("b", kStart) == Duration::zero());
    CHECK(table.wait("", kStart) == Duration::zero());
}

TEST_CASE("success and quiet time wipe the slate, but no delay is forgotten before it is over") {
    BackoffTable table(
        {.free_failures = 0, .first_delay = hours(2), .longest_delay = hours(2), .forget_after = hours(1)});
    table.fail("k", kStart);
    CHECK(table.wait("k", kStart + hours(1)) == hours(1));
    CHECK(table.wait("k", kStart + hours(2)) == Duration::zero());
    CHECK(table.failures("k", kStart + hours(2)) == 0);
    table.fail("k", kStart + hours(2));
    CHECK(table.failures("k", kStart + hours(2)) == 1);
    table.succeed("k");
    table.succeed("nobody");
    CHECK(table.wait("k", kStart + hours(2)) == Duration::zero());
    CHECK(table.size() == 0);
}

TEST_CASE("the number of keys is bounded; who has failed longest ago goes first") {
    BackoffTable table({.free_failures = 0, .capacity = 3});
    for (const char* key : {"a", "b", "c", "a", "d"}) table.fail(key, kStart);
    CHECK(table.size() == 3);
    CHECK(table.failures("a", kStart) == 2);
    CHECK(table.failures("b", kStart) == 0);
    BackoffTable none({.free_failures = 0, .capacity = 0});
    CHECK(none.fail("a", kStart) == Duration::zero());
    CHECK(none.size() == 0);
}

TEST_CASE("keys of any length cost a bounded part of them") {
    BackoffTable table({.free_failures = 0});
    const std::string key(1 << 20, 'x');
    table.fail(key, kStart);
    CHECK(table.wait(key, kStart) == seconds(1));
    table.succeed(key);
    CHECK(table.size() == 0);
}

TEST_CASE("delays and counts of any size do not overflow") {
    BackoffTable table({.free_failures = 0, .first_delay = hours(24 * 365), .longest_delay = Duration::max() / 4});
    Duration delay{};
    for (int i = 0; i < 200; ++i) delay = table.fail("k", kStart);
    CHECK(delay == Duration::max() / 4);
    BackoffTable never({.free_failures = 0, .first_delay = Duration::zero()});
    for (int i = 0; i < 5; ++i) CHECK(never.fail("k", kStart) == Duration::zero());
}

TEST_CASE("networks are /24 and /64, accounts are those of a network") {
    const auto address = [](const char* text) { return *IpAddress::parse(text); };
    CHECK(network_key(address("192.0.2.77")) == "192.0.2.0/24");
    CHECK(network_key(address("2001:db8:1:2:3:4:5:6")) == "2001:db8:1:2::/64");
    CHECK(account_key("shop", address("192.0.2.1")) == account_key("shop", address("192.0.2.2")));
    CHECK(account_key("shop", address("192.0.2.1")) != account_key("shop", address("192.0.3.1")));
    CHECK(account_key("shop", address("192.0.2.1")) != account_key("Shop", address("192.0.2.1")));
}

// The slow and obvious way: all failures ever, newest last.
class Model {
public:
    explicit Model(const BackoffRules& rules) : rules_(rules) {}

    Duration fail(int key, SteadyTime now) {
        if (failures_of(key, now) == 0) forget(key);
        const bool is_new = last_failure(key) == nullptr;
        if (is_new && keys() == rules_.capacity) forget(oldest());
        log_.push_back({key, now, {}});
        log_.back().delay = delay(count(key));
        return log_.back().delay;
    }
    void succeed(int key) { forget(key); }
    int failures_of(int key, SteadyTime now) const {
        const Failure* last = last_failure(key);
        if (last == nullptr) return 0;
        const bool is_over = now >= last->when + last->delay && now >= last->when + rules_.forget_after;
        return is_over ? 0 : count(key);
    }
    Duration wait(int key, SteadyTime now) const {
        const Failure* last = last_failure(key);
        if (failures_of(key, now) == 0) return Duration::zero();
        return std::max(Duration::zero(), last->when + last->delay - now);
    }

private:
    struct Failure {
        int key;
        SteadyTime when;
        Duration delay;
    };
    const Failure* last_failure(int key) const {
        const auto found = std::find_if(log_.rbegin(), log_.rend(), [&](const Failure& f) { return f.key == key; });
        return found == log_.rend() ? nullptr : &*found;
    }
    int count(int key) const {
        return static_cast<int>(
            std::count_if(log_.begin(), log_.end(), [&](const Failure& f) { return f.key == key; }));
    }
    std::size_t keys() const {
        std::size_t number = 0;
        for (int key = 0; key < 64; ++key) number += last_failure(key) != nullptr ? 1 : 0;
        return number;
    }
    int oldest() const {
        for (const Failure& failure : log_) {
            if (last_failure(failure.key) == &failure) return failure.key;
        }
        return -1;
    }
    void forget(int key) {
        log_.erase(std::remove_if(log_.begin(), log_.end(), [&](const Failure& f) { return f.key == key; }),
                   log_.end());
    }
    Duration delay(int failures) const {
        const int beyond = failures - static_cast<int>(rules_.free_failures);
        if (beyond <= 0) return Duration::zero();
        const double wanted = static_cast<double>(rules_.first_delay.count()) * std::pow(2.0, beyond - 1);
        if (wanted >= static_cast<double>(rules_.longest_delay.count())) return rules_.longest_delay;
        return Duration(static_cast<Duration::rep>(wanted));
    }

    const BackoffRules rules_;
    std::vector<Failure> log_;
};

TEST_CASE("the table agrees with the model over random histories", "[property]") {
    const auto seed = GENERATE(range(1, 21));
    INFO("seed " << seed);
    std::mt19937 random(static_cast<unsigned>(seed));
    const auto pick = [&](int below) { return static_cast<int>(random() % static_cast<unsigned>(below)); };
    const BackoffRules rules{.free_failures = static_cast<std::uint32_t>(pick(4)),
                             .first_delay = milliseconds(1 + pick(2000)),
                             .longest_delay = seconds(1 + pick(300)),
                             .forget_after = seconds(1 + pick(600)),
                             .capacity = 64};
    BackoffTable table(rules);
    Model model(rules);
    SteadyTime now = kStart;
    for (int step = 0; step < 1500; ++step) {
        now += milliseconds(pick(10) == 0 ? pick(400'000) : pick(3000));
        const int key = pick(40);
        const std::string name = "key " + std::to_string(key);
        switch (pick(6)) {
            case 0:
                table.succeed(name);
                model.succeed(key);
                break;
            case 1:
            case 2:
            case 3: REQUIRE(table.fail(name, now) == model.fail(key, now)); break;
            default: break;
        }
        REQUIRE(table.wait(name, now) == model.wait(key, now));
        REQUIRE(table.failures(name, now) == static_cast<std::uint32_t>(model.failures_of(key, now)));
        REQUIRE(table.size() <= rules.capacity);
    }
}

TEST_CASE("a full table never delays who has not failed, and remembers the latest ones", "[property]") {
    std::mt19937 random(7);
    const BackoffRules rules{.free_failures = 0, .first_delay = hours(1), .longest_delay = hours(1), .capacity = 100};
    BackoffTable table(rules);
    std::vector<int> latest;
    for (int step = 0; step < 5000; ++step) {
        const int key = static_cast<int>(random() % 1000);
        table.fail(std::to_string(key), kStart + milliseconds(step));
        std::erase(latest, key);
        latest.push_back(key);
        if (latest.size() > rules.capacity) latest.erase(latest.begin());
    }
    CHECK(table.size() == rules.capacity);
    for (int key = 0; key < 1000; ++key) {
        const bool is_kept = std::find(latest.begin(), latest.end(), key) != latest.end();
        CHECK((table.failures(std::to_string(key), kStart + seconds(6)) > 0) == is_kept);
    }
}

}  // namespace
}  // namespace postfleet::throttle
