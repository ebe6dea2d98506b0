// StateStore (port): the small state that operators and applications give us and that must outlive processes. It is no
// place for mail: the spool has that.
//
// What it holds is said by the ports that it is made of; code names the one that it needs. Several processes may have
// one store between them (PostgreSQL): whatever completed in one is seen by the next call of any.
//
// Beside the promises of its parts (tests/contract/state_store_contract.hpp):
//  * order_changes(n) tells everything that happened to orders after revision n, so that who asks again and again
//    misses nothing.
//  * an order that several senders carry out has as many recipients as they report together, and is finished when every
//    sender that is held has reported it finished.
//
// Threads: thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "postfleet/ports/configurations.hpp"
#include "postfleet/ports/key_claims.hpp"
#include "postfleet/ports/order_store.hpp"
#include "postfleet/ports/sender_claims.hpp"
#include "postfleet/ports/suppressions.hpp"

namespace postfleet {

struct OrderChanges {
    std::uint64_t revision = 0;  // to ask with after this
    bool complete = false;       // `changed` is all that there is: the asker forgets what is not in it
    std::vector<Order> changed;  // new ones and those that came further, by id
    std::vector<OrderId> removed;
    friend bool operator==(const OrderChanges&, const OrderChanges&) = default;
};

class StateStore : public OrderStore,
                   public KeyClaims,
                   public SenderClaims,
                   public Configurations,
                   public Suppressions {
public:
    // Of a store that has never changed the revision is 0.
    virtual void order_changes(std::uint64_t after_revision, Completion<Result<OrderChanges>> done) = 0;
    // update_order() of one sender among several. The number of its recipients does not become smaller: who has started
    // again does not know how many there were before.
    virtual void report_progress(std::string sender, Order order, Completion<Status> done) = 0;
};

}  // namespace postfleet
