#include "postfleet/password/verify_pool.hpp"

#include <catch2/catch.hpp>

#include <latch>
#include <vector>

#include "postfleet/crypto/openssl_digests.hpp"
#include "postfleet/support/manual_executor.hpp"

namespace postfleet::password {
namespace {

constexpr HashCost kCheap{.memory_kibibytes = 64, .passes = 1, .lanes = 1, .scram_iterations = 4096};

std::shared_ptr<const StoredPassword> stored_of(const Digests& digests, std::string_view password) {
    auto stored = hash_password(digests, password, kCheap);
    REQUIRE(stored);
    return std::make_shared<const StoredPassword>(std::move(*stored));
}

struct Fixture {
    crypto::OpensslDigests digests;
    support::ManualExecutor executor;
    std::vector<PasswordVerdict> verdicts;

    Completion<PasswordVerdict> note() {
        return {&executor, [this](PasswordVerdict verdict) { verdicts.push_back(verdict); }};
    }
    void wait_for(std::size_t count) {
        REQUIRE(executor.run_until([&] { return verdicts.size() >= count; }));
    }
    PasswordVerdict ask(VerifyPool& pool, std::shared_ptr<const StoredPassword> stored, std::string_view password) {
        const std::size_t before = verdicts.size();
        pool.verify(std::move(stored), Secret(password), note());
        CHECK(verdicts.size() == before);  // never inside the call
        wait_for(before + 1);
        return verdicts.back();
    }
};

// Holds up whoever derives SCRAM keys, until it is let go.
class HeldDigests final : public Digests {
public:
    explicit HeldDigests(const Digests& real) : real_(real) {}
    Sha256Digest sha256(std::string_view octets) const override { return real_.sha256(octets); }
    std::unique_ptr<RunningSha256> start_sha256() const override { return real_.start_sha256(); }
    Sha256Digest hmac_sha256(std::string_view key, std::string_view octets) const override {
        return real_.hmac_sha256(key, octets);
    }
    Sha256Digest pbkdf2_hmac_sha256(std::string_view password, std::string_view salt, std::uint32_t) const override {
        if (!arrived.try_wait()) arrived.count_down();  // of one thread: nobody comes between
        go.wait();
        return real_.pbkdf2_hmac_sha256(password, salt, 1);
    }
    mutable std::latch arrived{1};
    mutable std::latch go{1};

private:
    const Digests& real_;
};

TEST_CASE("right, wrong and unknown are answered on the executor that asked") {
    Fixture fixture;
    VerifyPool pool(fixture.digests, {.threads = 1, .decoy_cost = kCheap});
    const auto stored = stored_of(fixture.digests, "right");
    CHECK(fixture.ask(pool, stored, "right") == PasswordVerdict::Match);
    CHECK(fixture.ask(pool, stored, "wrong") == PasswordVerdict::NoMatch);
    CHECK(fixture.ask(pool, nullptr, "right") == PasswordVerdict::NoMatch);
    CHECK(pool.statistics().hashed == 3);
}

TEST_CASE("what was right is not hashed again, unless the stored form is another one") {
    Fixture fixture;
    VerifyPool pool(fixture.digests, {.threads = 1, .decoy_cost = kCheap});
    const auto stored = stored_of(fixture.digests, "right");
    for (int i = 0; i < 5; ++i) CHECK(fixture.ask(pool, stored, "right") == PasswordVerdict::Match);
    CHECK(pool.statistics().hashed == 1);
    CHECK(pool.statistics().remembered == 4);
    // A copy, as after a reload, is the same; the same password hashed again is not.
    CHECK(fixture.ask(pool, std::make_shared<const StoredPassword>(*stored), "right") == PasswordVerdict::Match);
    CHECK(pool.statistics().hashed == 1);
    CHECK(fixture.ask(pool, stored_of(fixture.digests, "right"), "right") == PasswordVerdict::Match);
    CHECK(pool.statistics().hashed == 2);
    CHECK(fixture.ask(pool, stored_of(fixture.digests, "new"), "right") == PasswordVerdict::NoMatch);
    for (int i = 0; i < 2; ++i) CHECK(fixture.ask(pool, stored, "wrong") == PasswordVerdict::NoMatch);
    CHECK(pool.statistics().hashed == 5);
}

TEST_CASE("memory of what was right is bounded in number and in time, or off") {
    Fixture fixture;
    const auto first = stored_of(fixture.digests, "a"), second = stored_of(fixture.digests, "b");
    const auto hashes = [&](const VerifyPoolSettings& settings) {
        VerifyPool pool(fixture.digests, settings);
        for (const auto& [stored, password] : {std::pair{first, "a"}, std::pair{second, "b"}, std::pair{first, "a"}}) {
            CHECK(fixture.ask(pool, stored, password) == PasswordVerdict::Match);
        }
        return pool.statistics().hashed;
    };
    CHECK(hashes({.threads = 1, .decoy_cost = kCheap}) == 2);
    CHECK(hashes({.threads = 1, .max_remembered = 1, .decoy_cost = kCheap}) == 3);
    CHECK(hashes({.threads = 1, .max_remembered = 0, .decoy_cost = kCheap}) == 3);
    CHECK(hashes({.threads = 1, .remember_for = Duration::zero(), .decoy_cost = kCheap}) == 3);
}

TEST_CASE("when the queue is full the answer is Busy at once, and what waits is answered in order") {
    Fixture fixture;
    const HeldDigests held(fixture.digests);
    auto stored = std::make_shared<StoredPassword>(*stored_of(fixture.digests, "right"));
    stored->argon2id.reset();
    VerifyPool pool(held, {.threads = 1, .max_waiting = 3, .decoy_cost = kCheap});
    pool.verify(stored, Secret("wrong"), fixture.note());
    held.arrived.wait();  // the only thread is at work, the queue is empty
    for (int i = 0; i < 5; ++i) pool.verify(nullptr, Secret("x"), fixture.note());
    fixture.wait_for(2);
    CHECK(fixture.verdicts == std::vector{PasswordVerdict::Busy, PasswordVerdict::Busy});
    CHECK(pool.statistics().waiting == 3);
    CHECK(pool.statistics().busy == 2);
    held.go.count_down();
    fixture.wait_for(6);
    CHECK(std::count(fixture.verdicts.begin(), fixture.verdicts.end(), PasswordVerdict::NoMatch) == 4);
}

TEST_CASE("a pool that goes answers everybody who waits") {
    Fixture fixture;
    std::thread release;
    const HeldDigests held(fixture.digests);
    auto stored = std::make_shared<StoredPassword>(*stored_of(fixture.digests, "right"));
    stored->argon2id.reset();
    {
        VerifyPool pool(held, {.threads = 1, .decoy_cost = kCheap});
        pool.verify(stored, Secret("wrong"), fixture.note());
        held.arrived.wait();
        for (int i = 0; i < 50; ++i) pool.verify(stored, Secret("wrong"), fixture.note());
        release = std::thread([&held] { held.go.count_down(); });
    }
    release.join();
    fixture.wait_for(51);
    CHECK(fixture.verdicts.size() == 51);
    CHECK(fixture.verdicts.front() == PasswordVerdict::NoMatch);
}

TEST_CASE("many threads ask at once and each gets one answer") {
    Fixture fixture;
    VerifyPool pool(fixture.digests, {.threads = 2, .max_waiting = 10'000, .decoy_cost = kCheap});
    const auto stored = stored_of(fixture.digests, "right");
    std::vector<std::thread> askers;
    for (int thread = 0; thread < 4; ++thread) {
        askers.emplace_back([&, thread] {
            for (int i = 0; i < 100; ++i) {
                pool.verify(i % 3 == 0 ? nullptr : stored, Secret((i + thread) % 2 == 0 ? "right" : "wrong"),
                            fixture.note());
            }
        });
    }
    for (std::thread& asker : askers) asker.join();
    fixture.wait_for(400);
    CHECK(fixture.verdicts.size() == 400);
    CHECK(std::count(fixture.verdicts.begin(), fixture.verdicts.end(), PasswordVerdict::Busy) == 0);
    CHECK(std::count(fixture.verdicts.begin(), fixture.verdicts.end(), PasswordVerdict::Match) == 132);
}

}  // namespace
}  // namespace postfleet::password
