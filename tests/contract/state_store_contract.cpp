#include "state_store_contract.hpp"

#include <catch2/catch.hpp>

#include <optional>
#include <utility>

#include "postfleet/support/manual_executor.hpp"

namespace postfleet::contract {

namespace {

// Calls, and waits for the completion on an executor that this thread drives.
class Caller {
public:
    explicit Caller(StateStoreUnderTest& under_test) : under_test_(under_test) {}

    Result<std::vector<OrderId>> add(std::vector<Order> orders) {
        return wait_for<Result<std::vector<OrderId>>>(
            [&](auto done) { under_test_.store().add_orders(std::move(orders), std::move(done)); });
    }
    Status remove(std::vector<OrderId> ids) {
        return wait_for<Status>([&](auto done) { under_test_.store().remove_orders(std::move(ids), std::move(done)); });
    }
    Status update(Order order) {
        return wait_for<Status>(
            [&](auto done) { under_test_.store().update_order(std::move(order), std::move(done)); });
    }
    std::vector<Order> all() { return under_test_.store().orders().value(); }

private:
    template <class T, class Start>
    T wait_for(Start&& start) {
        std::optional<T> result;
        start(Completion<T>{&executor_, [&](T value) {
                                REQUIRE(!result.has_value());
                                result.emplace(std::move(value));
                            }});
        REQUIRE(executor_.run_until([&] { return result.has_value(); }, std::chrono::seconds(60)));
        return *std::move(result);
    }
    StateStoreUnderTest& under_test_;
    support::ManualExecutor executor_;
};

}  // namespace

Order sample_order(std::uint32_t n) {
    const std::string text = std::to_string(n);
    Order order;
    order.action = static_cast<OrderAction>(1 + n % 5);
    order.which = {.queue = "*/v" + text,
                   .virtual_mta = "v" + text,
                   .site = "site" + text,
                   .domain = "d" + text + ".test",
                   .tenant = "t" + text,
                   .job = "job*" + text,
                   .recipient = "r'" + text + "@x.test",
                   .reverse_path = "s\"" + text + "@y.test",
                   .message = IdGenerator(n).next(WallTime(std::chrono::seconds(n))),
                   .everything = n % 2 == 0,
                   .pool = "p" + text,
                   .accepted_before = WallTime(std::chrono::microseconds(n))};
    order.text = "550 5.7.1 " + text;
    order.who = "op" + text;
    order.why = std::string("why; \xc3\xa9 -- \0 ' end", 20) + text;
    order.given_at = WallTime(std::chrono::seconds(1'000'000 + n));
    order.expires_at = WallTime(std::chrono::seconds(2'000'000 + n));
    order.finished_at = WallTime(std::chrono::seconds(1'500'000 + n));
    order.recipients = n * 3ull;
    return order;
}

void state_store_contract(const std::function<std::unique_ptr<StateStoreUnderTest>()>& make) {
    const auto under_test = make();
    Caller caller(*under_test);
    SECTION("an order comes back as it was given, also after a restart") {
        std::vector<Order> given;
        for (std::uint32_t n = 1; n <= 10; ++n) given.push_back(sample_order(n));
        given.push_back(Order{});  // nothing in it
        const auto ids = caller.add(given).value();
        REQUIRE(ids.size() == given.size());
        for (std::size_t i = 0; i < ids.size(); ++i) given[i].id = ids[i];
        CHECK(caller.all() == given);
        under_test->restart();
        CHECK(caller.all() == given);
    }
    SECTION("ids increase, and none is given twice, also after removals and restarts") {
        const auto first = caller.add({sample_order(1), sample_order(2)}).value();
        CHECK(first[0] < first[1]);
        REQUIRE(caller.remove({first[1]}).has_value());
        under_test->restart();
        const auto second = caller.add({sample_order(3)}).value();
        CHECK(first[1] < second[0]);
    }
    SECTION("what is removed is gone for good, and removing it again is ok") {
        const auto ids = caller.add({sample_order(1), sample_order(2), sample_order(3)}).value();
        REQUIRE(caller.remove({ids[0], ids[2]}).has_value());
        REQUIRE(caller.remove({ids[0], OrderId{999'999}}).has_value());
        under_test->restart();
        REQUIRE(caller.all().size() == 1);
        CHECK(caller.all()[0].id == ids[1]);
    }
    SECTION("how far an order has come is kept, and nothing else of it is changed") {
        Order order = sample_order(1);
        order.finished_at.reset();
        order.id = caller.add({order}).value()[0];
        Order further = sample_order(7);
        further.id = order.id;
        REQUIRE(caller.update(further).has_value());
        under_test->restart();
        order.recipients = further.recipients;
        order.finished_at = further.finished_at;
        CHECK(caller.all() == std::vector{order});
        further.id = OrderId{999'999};
        CHECK(caller.update(further).has_value());
        CHECK(caller.all().size() == 1);
    }
    SECTION("a thousand orders in one call are a thousand orders") {
        std::vector<Order> many(1000, sample_order(4));
        CHECK(caller.add(many).value().size() == 1000);
        CHECK(caller.all().size() == 1000);
    }
}

}  // namespace postfleet::contract
