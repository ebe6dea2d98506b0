// The promises of the port StateStore, as checks that every implementation passes.
//
//   TEST_CASE("…") { state_store_contract([] { return std::make_unique<MyStateStoreUnderTest>(); }); }
#pragma once

#include <functional>
#include <memory>

#include "postfleet/ports/state_store.hpp"

namespace postfleet::contract {

class StateStoreUnderTest {
public:
    virtual ~StateStoreUnderTest() = default;
    virtual StateStore& store() = 0;
    virtual void restart() = 0;  // a new process with the same store
};

// An order with every field set to something of its own, from a number.
Order sample_order(std::uint32_t n);

void state_store_contract(const std::function<std::unique_ptr<StateStoreUnderTest>()>& make);

}  // namespace postfleet::contract
