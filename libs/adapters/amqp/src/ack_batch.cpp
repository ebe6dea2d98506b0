#include "ack_batch.hpp"

#include <utility>

namespace postfleet::amqp {

bool AckBatch::delivered(std::uint64_t number, std::uint64_t octets) {
    if (number != first_ + entries_.size()) return false;
    entries_.push_back({octets, State::Open});
    ++open_;
    open_octets_ += octets;
    return true;
}

void AckBatch::settle(std::uint64_t number, BrokerVerdict verdict) {
    if (number < first_ || number - first_ >= entries_.size()) return;
    Entry& entry = entries_[number - first_];
    if (entry.state != State::Open) return;
    switch (verdict) {
        case BrokerVerdict::Ack: entry.state = State::Acked; break;
        case BrokerVerdict::Requeue: entry.state = State::Requeued; break;
        case BrokerVerdict::Reject: entry.state = State::Rejected; break;
    }
    --open_;
    ++unsaid_;
    open_octets_ -= entry.octets;
}

void AckBatch::say_one(std::size_t index, std::vector<Settlement>& out) {
    Entry& entry = entries_[index];
    const BrokerVerdict verdict = entry.state == State::Acked      ? BrokerVerdict::Ack
                                  : entry.state == State::Requeued ? BrokerVerdict::Requeue
                                                                   : BrokerVerdict::Reject;
    out.push_back({first_ + index, false, verdict});
    entry.state = State::Said;
    --unsaid_;
}

void AckBatch::take(std::vector<Settlement>& out) {
    if (unsaid_ == 0) return;
    std::size_t settled = 0, acked = 0;
    std::uint64_t last_acked = 0;
    for (; settled < entries_.size() && entries_[settled].state != State::Open; ++settled) {
        const State state = entries_[settled].state;
        if (state == State::Acked) {
            ++acked;
            last_acked = first_ + settled;
        } else if (state != State::Said) {
            // Before the acknowledgement of all, which would cover it.
            say_one(settled, out);
        }
    }
    if (acked > 0) out.push_back({last_acked, acked > 1, BrokerVerdict::Ack});
    unsaid_ -= acked;
    entries_.erase(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(settled));
    first_ += settled;
    for (std::size_t i = 0; unsaid_ > 0; ++i) {
        if (entries_[i].state != State::Open && entries_[i].state != State::Said) say_one(i, out);
    }
}

void AckBatch::clear() { *this = {}; }

}  // namespace postfleet::amqp
