#include "../../../libs/adapters/amqp/src/ack_batch.hpp"

#include <catch2/catch.hpp>
#include <random>
#include <set>

using namespace postfleet;
using namespace postfleet::amqp;

namespace {

using Said = std::vector<Settlement>;

AckBatch delivered(std::uint64_t count) {
    AckBatch batch;
    for (std::uint64_t i = 1; i <= count; ++i) REQUIRE(batch.delivered(i, 10));
    return batch;
}

Said take(AckBatch& batch) {
    Said out;
    batch.take(out);
    return out;
}

}  // namespace

TEST_CASE("what was settled in a row is acknowledged at once", "[RMQ-16]") {
    auto batch = delivered(5);
    CHECK(batch.open_octets() == 50);
    for (const std::uint64_t i : {2, 1, 3}) batch.settle(i, BrokerVerdict::Ack);
    CHECK(take(batch) == Said{{3, true, BrokerVerdict::Ack}});
    CHECK(take(batch).empty());
    CHECK(batch.open() == 2);
    CHECK(batch.open_octets() == 20);
    batch.settle(4, BrokerVerdict::Ack);
    CHECK(take(batch) == Said{{4, false, BrokerVerdict::Ack}});
}

TEST_CASE("what was settled behind an open delivery is acknowledged alone, and not again later", "[RMQ-16]") {
    auto batch = delivered(4);
    batch.settle(2, BrokerVerdict::Ack);
    batch.settle(4, BrokerVerdict::Ack);
    CHECK(take(batch) == Said{{2, false, BrokerVerdict::Ack}, {4, false, BrokerVerdict::Ack}});
    batch.settle(1, BrokerVerdict::Ack);
    CHECK(take(batch) == Said{{1, false, BrokerVerdict::Ack}});
    batch.settle(3, BrokerVerdict::Ack);
    CHECK(take(batch) == Said{{3, false, BrokerVerdict::Ack}});
}

TEST_CASE("refusals are said before an acknowledgement that would cover them", "[RMQ-18]") {
    auto batch = delivered(4);
    batch.settle(1, BrokerVerdict::Ack);
    batch.settle(2, BrokerVerdict::Reject);
    batch.settle(3, BrokerVerdict::Requeue);
    batch.settle(4, BrokerVerdict::Ack);
    CHECK(take(batch) ==
          Said{{2, false, BrokerVerdict::Reject}, {3, false, BrokerVerdict::Requeue}, {4, true, BrokerVerdict::Ack}});
}

TEST_CASE("settling twice or what was never delivered does nothing", "[RMQ-18]") {
    auto batch = delivered(2);
    batch.settle(1, BrokerVerdict::Ack);
    batch.settle(1, BrokerVerdict::Reject);
    batch.settle(0, BrokerVerdict::Ack);
    batch.settle(3, BrokerVerdict::Ack);
    CHECK(take(batch) == Said{{1, false, BrokerVerdict::Ack}});
    batch.settle(1, BrokerVerdict::Ack);
    CHECK(take(batch).empty());
    CHECK_FALSE(batch.delivered(7, 1));
}

TEST_CASE("a broker that does as it is told ends with what the consumer decided, in any order", "[RMQ-16]") {
    std::mt19937 random(20261122);
    for (int round = 0; round < 200; ++round) {
        AckBatch batch;
        std::set<std::uint64_t> at_broker, open;
        std::vector<BrokerVerdict> decided(301), done(301);
        std::uint64_t last = 0;
        while (last < 300 || !open.empty()) {
            if (last < 300 && (open.empty() || random() % 2 == 0)) {
                REQUIRE(batch.delivered(++last, 1));
                at_broker.insert(last);
                open.insert(last);
            } else {
                auto which = open.begin();
                std::advance(which, static_cast<std::ptrdiff_t>(random() % open.size()));
                decided[*which] = static_cast<BrokerVerdict>(random() % 8 < 6 ? 0 : random() % 3);
                batch.settle(*which, decided[*which]);
                open.erase(which);
            }
            if (random() % 5 != 0 && last < 300) continue;
            for (const auto& said : take(batch)) {
                // An unknown delivery tag would be a channel error.
                REQUIRE(at_broker.contains(said.number));
                auto begin = said.multiple ? at_broker.begin() : at_broker.find(said.number);
                for (auto i = begin; i != at_broker.end() && *i <= said.number; i = at_broker.erase(i)) {
                    done[*i] = said.verdict;
                }
            }
            REQUIRE(at_broker == open);
        }
        CHECK(decided == done);
    }
}
