#include "postfleet/sender_edge/name_holder.hpp"

#include <catch2/catch.hpp>

#include "postfleet/support/manual_executor.hpp"

namespace postfleet::sender {

namespace {

using namespace support;
using namespace std::chrono_literals;

class FakeClaims final : public SenderClaims {
public:
    explicit FakeClaims(Executor& on) : on_(on) {}
    void claim_sender(SenderClaim claim, Completion<Result<SenderVerdict>> done) override {
        asked.push_back(claim);
        on_.post([done = std::move(done), verdict = answer]() mutable { done.run(std::move(verdict)); });
    }
    void release_sender(std::string, std::uint64_t, Completion<Status>) override {}
    void take_over_sender(SenderTakeover, Completion<Result<SenderGrant>>) override {}
    void list_senders(Completion<Result<std::vector<SenderRecord>>>) override {}

    Result<SenderVerdict> answer = Error{ErrorKind::Unavailable, "no router"};
    std::vector<SenderClaim> asked;

private:
    Executor& on_;
};

struct World {
    World() {
        holder = std::make_shared<NameHolder>(
            NameHolderPorts{.on = executor,
                            .claims = claims,
                            .clock = [this] { return executor.now() + standstill; },
                            .allow_until = [this](SteadyTime until) { allowed_until = until; },
                            .lost = [this](const std::string& why) { lost.push_back(why); },
                            .log = Log()},
            SenderClaim{"s0", "spool-a", "host:/data", 0});
    }
    SenderGrant grant(std::uint64_t epoch, Duration ago = {}) {
        return {"s0", epoch, "spool-a", "host:/data",
                executor.wall_now() - std::chrono::floor<WallTime::duration>(ago)};
    }
    bool may_send() const { return executor.now() + standstill < allowed_until; }
    // SIGSTOP for so long: nothing runs, and time passes.
    void stand_still(Duration duration) { standstill += duration; }

    ManualExecutor executor;
    Duration standstill{};
    FakeClaims claims{executor};
    SteadyTime allowed_until = SteadyTime::min();
    std::vector<std::string> lost;
    std::shared_ptr<NameHolder> holder;
};

}  // namespace

TEST_CASE("nothing is sent before the name is granted, and the first owner begins at once") {
    World world;
    world.executor.advance(1h);
    CHECK_FALSE(world.holder->may_start());
    CHECK_FALSE(world.may_send());
    CHECK_FALSE(world.holder->obstacle().empty());
    world.holder->on_granted(world.grant(1));
    CHECK(world.holder->may_start());
    CHECK(world.may_send());
    CHECK(world.holder->obstacle().empty());
    world.executor.advance(24h);
    CHECK(world.may_send());
    CHECK(world.claims.asked.empty());  // and routers that are away do not matter
}

TEST_CASE("a name that another one had is used after a rest, so that the old owner can hear of it") {
    World world;
    SECTION("after it was refused") {
        world.holder->on_refused("spool-b has it");
        CHECK(world.holder->obstacle() == "spool-b has it");
        world.executor.advance(1h);
        world.holder->on_granted(world.grant(2));
    }
    SECTION("taken over a moment ago") { world.holder->on_granted(world.grant(2)); }
    world.executor.advance(NameHolder::kTakeoverRest - 2s);
    CHECK_FALSE(world.holder->may_start());
    CHECK_FALSE(world.may_send());
    world.executor.advance(3s);
    CHECK(world.holder->may_start());
    CHECK(world.may_send());
}

TEST_CASE("an owner that starts again does not rest") {
    World world;
    world.holder->on_granted(world.grant(7, 1h));
    CHECK(world.holder->may_start());
    CHECK(world.may_send());
}

TEST_CASE("who stood still sends nothing before a router says that the name is still its own") {
    World world;
    world.holder->on_granted(world.grant(1));
    world.stand_still(1min);
    CHECK_FALSE(world.may_send());  // before anything of this process has run
    world.executor.advance(5s);
    CHECK_FALSE(world.may_send());
    CHECK_THAT(world.holder->obstacle(), Catch::Contains("stood still"));
    REQUIRE_FALSE(world.claims.asked.empty());
    CHECK(world.claims.asked.back().epoch == 1);
    SECTION("it is") {
        world.claims.answer = SenderVerdict{true, world.grant(1), ""};
        world.executor.advance(2s);
        CHECK(world.may_send());
        CHECK(world.holder->obstacle().empty());
        CHECK(world.lost.empty());
    }
    SECTION("it was taken over") {
        world.claims.answer = SenderVerdict{false, world.grant(2), "spool-b has the name s0"};
        world.executor.advance(2s);
        CHECK_FALSE(world.may_send());
        CHECK(world.lost == std::vector<std::string>{"spool-b has the name s0"});
        world.executor.advance(1h);
        CHECK_FALSE(world.may_send());
        CHECK(world.lost.size() == 1);
    }
    SECTION("it was taken over, and given back") {
        world.claims.answer = SenderVerdict{true, world.grant(3), ""};
        world.executor.advance(2s);
        CHECK_FALSE(world.may_send());
        CHECK(world.lost.size() == 1);
    }
}

TEST_CASE("a short stall is none") {
    World world;
    world.holder->on_granted(world.grant(1));
    world.stand_still(NameHolder::kStandstill - 3s);
    world.executor.advance(5s);
    CHECK(world.may_send());
    CHECK(world.claims.asked.empty());
}

TEST_CASE("an owner that is told of a takeover sends nothing from then on, and says so once") {
    World world;
    world.holder->on_granted(world.grant(1));
    world.holder->on_refused("spool-b has it since 10:00");
    CHECK_FALSE(world.may_send());
    CHECK(world.lost == std::vector<std::string>{"spool-b has it since 10:00"});
    world.holder->on_refused("spool-b has it since 10:00");
    world.executor.advance(1min);
    CHECK_FALSE(world.may_send());
    CHECK(world.lost.size() == 1);
    CHECK(world.holder->obstacle() == "spool-b has it since 10:00");
}

}  // namespace postfleet::sender
