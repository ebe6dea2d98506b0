#include "postfleet/tls/handshake_turns.hpp"

#include <catch2/catch.hpp>
#include <vector>

#include "support.hpp"

namespace postfleet::tls {
namespace {

struct Waiter final : HandshakeWaiter {
    explicit Waiter(std::vector<int>& served, int number) : served_(served), number_(number) {}
    void on_turn() override { served_.push_back(number_); }

private:
    std::vector<int>& served_;
    int number_;
};

}  // namespace

TEST_CASE("handshakes beyond a turn's share wait, and are done in the order in which they came") {
    support::ManualExecutor executor;
    HandshakeTurns turns(executor);
    std::vector<int> served;
    std::vector<Waiter> waiters;
    for (int i = 0; i < 7; ++i) waiters.emplace_back(served, i);
    int at_once = 0;
    for (Waiter& waiter : waiters) at_once += turns.take(waiter) ? 1 : 0;
    CHECK(at_once == HandshakeTurns::kPerTurn);
    CHECK(served.empty());
    turns.leave(waiters[3]);
    executor.run_until_idle();
    CHECK(served == std::vector<int>{2, 4, 5, 6});
    CHECK(turns.take(waiters[0]));
}

TEST_CASE("who comes later does not overtake those who wait") {
    support::ManualExecutor executor;
    HandshakeTurns turns(executor);
    std::vector<int> served;
    std::vector<Waiter> waiters;
    for (int i = 0; i < 3; ++i) waiters.emplace_back(served, i);
    Waiter late(served, 9);
    for (Waiter& waiter : waiters) turns.take(waiter);
    CHECK_FALSE(turns.take(late));
    executor.run_until_idle();
    CHECK(served == std::vector<int>{2, 9});
}

TEST_CASE("a flood of handshakes lets an open stream of the same loop be heard between them", "[SEC-10]") {
    constexpr int kFlood = 40;
    TlsServer world;
    TlsPeer normal;
    world.connect(normal).when_data = [](TlsPeer& peer) { peer.stream->write("250 Ok"); };
    support::ManualExecutor elsewhere;
    Workspace workspace(elsewhere);
    const auto hello = std::make_shared<MemoryStream::Record>();
    TlsPeer author;
    author.connect(std::make_unique<MemoryStream>(hello), *world.client_context, {}, workspace);

    int answered = 0, answered_before_ok = -1;
    std::vector<std::unique_ptr<net::Peer>> flood;
    for (int i = 0; i < kFlood; ++i) {
        flood.push_back(std::make_unique<net::Peer>());
        flood.back()->when_data = [&](net::Peer& peer) {
            ++answered;
            peer.when_data = {};
        };
        flood.back()->connect(world.loop(), world.address());
    }
    normal.when_data = [&](TlsPeer&) { answered_before_ok = answered; };
    run_until(world.loop(), [&] { return world.peers.size() == kFlood + 1; });

    // All in one turn of the loop, the command behind the hellos.
    for (const auto& peer : flood) peer->stream->write(hello->written);
    normal.stream->write("NOOP");
    run_until(world.loop(), [&] { return answered == kFlood && answered_before_ok >= 0; });
    CHECK(answered_before_ok < kFlood / 2);
}

}  // namespace postfleet::tls
