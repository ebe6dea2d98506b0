// OrderStore (port): where orders (mail/order.hpp) outlive processes.
//
// Every implementation promises (tests/contract/state_store_contract.hpp):
//  * a change completes with ok only when it survives a power loss. All of a call is kept, or nothing.
//  * changes happen one after the other, in the order of the calls of one thread.
//  * ids are given in increasing order, and never twice, also across restarts and after removals.
//  * changing or removing what is not there is ok: two may withdraw the same order.
//  * an order comes back as it was given, octet by octet.
//
// Threads: thread-safe. Never blocks, except orders(): completions run on the executor named in the Completion.
// Bounded: more calls waiting than the implementation's limit complete with ResourceExhausted at once.
// Errors: ResourceExhausted (too much waits, no space), Unavailable (the store cannot be written or reached),
// DeadlineExceeded (unknown whether it was kept), Corruption.
#pragma once

#include <vector>

#include "postfleet/base/executor.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/mail/order.hpp"

namespace postfleet {

class OrderStore {
public:
    virtual ~OrderStore() = default;

    // Their ids, in order; what is in Order::id is left alone.
    virtual void add_orders(std::vector<Order> orders, Completion<Result<std::vector<OrderId>>> done) = 0;
    virtual void remove_orders(std::vector<OrderId> orders, Completion<Status> done) = 0;
    // How far an order has come: `recipients` and `finished_at` of it.
    virtual void update_order(Order order, Completion<Status> done) = 0;
    // Every one, by id. Blocks; at start.
    virtual Result<std::vector<Order>> orders() = 0;
};

}  // namespace postfleet
