#include "postfleet/tls/handshake_turns.hpp"

#include <algorithm>
#include <utility>

namespace postfleet::tls {

HandshakeTurns::~HandshakeTurns() { executor_.cancel(next_); }

bool HandshakeTurns::take(HandshakeWaiter& waiter) {
    look_again();
    if (waiting_.empty() && taken_ < kPerTurn) {
        ++taken_;
        return true;
    }
    waiting_.push_back(&waiter);
    return false;
}

void HandshakeTurns::leave(HandshakeWaiter& waiter) {
    const auto found = std::find(waiting_.begin(), waiting_.end(), &waiter);
    if (found != waiting_.end()) waiting_.erase(found);
}

// A timer that is due already runs behind the sockets of this turn, or of the next one when it is set by a timer.
void HandshakeTurns::look_again() {
    if (!next_) next_ = executor_.schedule_at(executor_.now(), [this] { run(); });
}

void HandshakeTurns::run() {
    next_ = {};
    for (taken_ = 0; taken_ < kPerTurn && !waiting_.empty(); ++taken_) {
        HandshakeWaiter* const waiter = waiting_.front();
        waiting_.pop_front();
        waiter->on_turn();
    }
    if (taken_ > 0) look_again();
}

}  // namespace postfleet::tls
