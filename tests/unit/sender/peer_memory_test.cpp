#include "peer_memory.hpp"

#include <catch2/catch.hpp>

using namespace postfleet;
using namespace postfleet::sender;
using namespace std::chrono_literals;

namespace {
const Endpoint kHost = Endpoint::parse("192.0.2.1:25").value();
const SteadyTime kStart{1h};
}  // namespace

TEST_CASE("a host that did not answer is avoided for a while, longer each time, until it answers", "[F45]") {
    PeerMemory peers;
    CHECK_FALSE(peers.is_unreachable(kHost, kStart));
    SteadyTime now = kStart;
    for (const auto avoided : {5min, 10min, 20min, 40min, 60min, 60min}) {
        peers.on_unreachable(kHost, now);
        peers.on_unreachable(kHost, now + 1s);  // of a connection that was under way, too
        CHECK(peers.is_unreachable(kHost, now + avoided - 1s));
        CHECK_FALSE(peers.is_unreachable(kHost, now + avoided));
        now += avoided;
    }
    peers.on_unreachable(kHost, now);
    peers.on_reachable(kHost);
    CHECK_FALSE(peers.is_unreachable(kHost, now));
    peers.on_unreachable(kHost, now);
    CHECK_FALSE(peers.is_unreachable(kHost, now + 5min));
}

TEST_CASE("a host that got out of step is not pipelined to for an hour", "[F39]") {
    PeerMemory peers;
    CHECK(peers.may_pipeline(kHost, kStart));
    peers.on_out_of_step(kHost, kStart);
    CHECK_FALSE(peers.may_pipeline(kHost, kStart + 59min));
    CHECK(peers.may_pipeline(kHost, kStart + 60min));
    CHECK(peers.may_pipeline(Endpoint::parse("192.0.2.2:25").value(), kStart));
}

TEST_CASE("two cuts after the same number of transactions are a limit, one is an accident", "[F43]") {
    PeerMemory peers;
    CHECK_FALSE(peers.on_cut_after(kHost, 20, kStart));
    CHECK(peers.max_transactions(kHost, kStart) == PeerMemory::kNoLimit);
    CHECK(peers.on_cut_after(kHost, 20, kStart));
    CHECK(peers.max_transactions(kHost, kStart) == 20);
    CHECK_FALSE(peers.on_cut_after(kHost, 20, kStart));  // known
    CHECK_FALSE(peers.on_cut_after(kHost, 3, kStart));   // an accident does not change it
    CHECK(peers.max_transactions(kHost, kStart) == 20);
    CHECK(peers.on_cut_after(kHost, 3, kStart));
    CHECK(peers.max_transactions(kHost, kStart + 59min) == 3);
    CHECK(peers.max_transactions(kHost, kStart + 60min) == PeerMemory::kNoLimit);
    CHECK_FALSE(peers.on_cut_after(kHost, 3, kStart + 2h));
    CHECK(peers.max_transactions(kHost, kStart + 2h) == PeerMemory::kNoLimit);
}

TEST_CASE("a host with which TLS failed is spared it for a while, and again when it fails again") {
    PeerMemory peers;
    CHECK(peers.may_try_tls(kHost, kStart));
    peers.on_tls_failed(kHost, kStart);
    CHECK_FALSE(peers.may_try_tls(kHost, kStart));
    CHECK(peers.may_pipeline(kHost, kStart));
    const SteadyTime later = kStart + PeerMemory::kNoTls - 1s;
    CHECK_FALSE(peers.may_try_tls(kHost, later));
    peers.on_tls_failed(kHost, later);
    CHECK_FALSE(peers.may_try_tls(kHost, kStart + PeerMemory::kNoTls));
    CHECK(peers.may_try_tls(kHost, later + PeerMemory::kNoTls));
}

TEST_CASE("what is remembered is bounded; what ends first makes room") {
    PeerMemory peers;
    const auto host = [](std::uint32_t number) {
        Endpoint out = kHost;
        out.address.octets[0] = static_cast<std::uint8_t>(number >> 16);
        out.address.octets[1] = static_cast<std::uint8_t>(number >> 8);
        out.address.octets[2] = static_cast<std::uint8_t>(number);
        return out;
    };
    for (std::uint32_t i = 0; i < PeerMemory::kMaxHosts; ++i) peers.on_out_of_step(host(i), kStart + Duration(i));
    peers.on_out_of_step(host(1'000'000), kStart + 1s);
    CHECK(peers.size() == PeerMemory::kMaxHosts);
    CHECK(peers.may_pipeline(host(0), kStart + 1s));
    CHECK_FALSE(peers.may_pipeline(host(1), kStart + 1s));
    CHECK_FALSE(peers.may_pipeline(host(1'000'000), kStart + 1s));
    peers.on_out_of_step(host(2'000'000), kStart + 2h);  // all the others have ended
    CHECK(peers.size() == 1);
}
