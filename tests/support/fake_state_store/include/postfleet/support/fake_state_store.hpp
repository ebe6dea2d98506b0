// FakeStateStore: the in-memory twin of SqliteStateStore. It outlives what uses it, as a file does; fail_next(e) makes
// the next change fail.
//
// Threads: confined to the test's thread; completions are posted to their executor.
#pragma once

#include <map>
#include <optional>

#include "postfleet/ports/state_store.hpp"

namespace postfleet::support {

class FakeStateStore final : public StateStore {
public:
    void add_orders(std::vector<Order> orders, Completion<Result<std::vector<OrderId>>> done) override;
    void remove_orders(std::vector<OrderId> orders, Completion<Status> done) override;
    void update_order(Order order, Completion<Status> done) override;
    Result<std::vector<Order>> orders() override;

    void fail_next(Error error) { failure_ = std::move(error); }

private:
    std::map<OrderId, Order> orders_;
    std::uint32_t last_id_ = 0;
    std::optional<Error> failure_;
};

}  // namespace postfleet::support
