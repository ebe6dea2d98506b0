// HandshakeTurns: the handshakes that the servers of one shard have to do take turns, so that a flood of them leaves the
// shard's loop to its other connections.
//
// A step of a handshake (a signature, a key exchange) costs as much as many commands of SMTP. Of the steps that are due
// about kPerTurn are done in one turn of the loop; the others wait, in the order in which they came.
//
// Threads: confined to the executor's thread. Outlives its waiters, or they have left.
#pragma once

#include <deque>

#include "postfleet/base/executor.hpp"

namespace postfleet::tls {

class HandshakeWaiter {
public:
    virtual void on_turn() = 0;

protected:
    ~HandshakeWaiter() = default;
};

class HandshakeTurns final {
public:
    static constexpr int kPerTurn = 2;

    explicit HandshakeTurns(Executor& executor) : executor_(executor) {}
    ~HandshakeTurns();
    HandshakeTurns(const HandshakeTurns&) = delete;
    HandshakeTurns& operator=(const HandshakeTurns&) = delete;

    // True: it is this one's turn. Else on_turn() comes, unless the waiter leaves before.
    bool take(HandshakeWaiter& waiter);
    void leave(HandshakeWaiter& waiter);

private:
    void look_again();
    void run();

    Executor& executor_;
    std::deque<HandshakeWaiter*> waiting_;
    int taken_ = 0;  // since the last run()
    TimerId next_;
};

}  // namespace postfleet::tls
