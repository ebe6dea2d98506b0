#include "postfleet/support/fake_state_store.hpp"

#include <utility>

namespace postfleet::support {

namespace {

template <class T>
void answer(Completion<T>&& done, T value) {
    Executor& on = *done.on;
    on.post([done = std::move(done), value = std::move(value)]() mutable { done.run(std::move(value)); });
}

}  // namespace

void FakeStateStore::add_orders(std::vector<Order> orders, Completion<Result<std::vector<OrderId>>> done) {
    if (const auto failure = std::exchange(failure_, std::nullopt)) {
        return answer(std::move(done), Result<std::vector<OrderId>>(*failure));
    }
    std::vector<OrderId> ids;
    for (Order& order : orders) {
        order.id = OrderId{++last_id_};
        ids.push_back(order.id);
        orders_[order.id] = std::move(order);
    }
    answer(std::move(done), Result<std::vector<OrderId>>(std::move(ids)));
}

void FakeStateStore::remove_orders(std::vector<OrderId> orders, Completion<Status> done) {
    if (const auto failure = std::exchange(failure_, std::nullopt)) return answer(std::move(done), Status(*failure));
    for (const OrderId id : orders) orders_.erase(id);
    answer(std::move(done), Status());
}

void FakeStateStore::update_order(Order order, Completion<Status> done) {
    if (const auto failure = std::exchange(failure_, std::nullopt)) return answer(std::move(done), Status(*failure));
    if (const auto found = orders_.find(order.id); found != orders_.end()) {
        found->second.recipients = order.recipients;
        found->second.finished_at = order.finished_at;
    }
    answer(std::move(done), Status());
}

Result<std::vector<Order>> FakeStateStore::orders() {
    std::vector<Order> all;
    for (const auto& [id, order] : orders_) all.push_back(order);
    return all;
}

}  // namespace postfleet::support
