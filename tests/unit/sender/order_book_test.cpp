#include "order_book.hpp"

#include <catch2/catch.hpp>

#include "postfleet/routing/snapshot.hpp"
#include "postfleet/support/fake_resolver.hpp"
#include "postfleet/support/fake_spool.hpp"
#include "tls_tallies.hpp"

using namespace postfleet;
using namespace postfleet::sender;

namespace {

config::Config configuration() {
    config::Config config;
    config.virtual_mtas.try_emplace("v1");
    config.default_virtual_mta = "v1";
    return config;
}

struct Shelf {
    support::FakeResolver resolver;
    support::FakeSpool spool;
    Metrics metrics;
    TlsTallies tallies{spool, metrics};
    StsTable policies{{.resolver = resolver, .http = nullptr, .spool = spool, .tallies = tallies}, metrics, Log()};
    SiteTable sites{resolver, policies, routing::Snapshot::compile(configuration()), nullptr};
    OrderBook book{sites};
    std::uint32_t last = 0;

    OrderPointer add(OrderAction action, MailSelector which) {
        Order order{.id = OrderId{++last}, .action = action, .which = which};
        auto active = std::make_shared<ActiveOrder>(order, Selection::parse(which).value());
        book.add(active);
        return active;
    }
};

MailFacts facts(std::string_view virtual_mta, std::string_view job) {
    MailFacts mail;
    mail.site = "x.test";
    mail.virtual_mta = virtual_mta;
    mail.tenant = "acme";
    mail.job = job;
    return mail;
}

}  // namespace

TEST_CASE("an order is found by what it names, and not when it is removed") {
    Shelf shelf;
    CHECK(shelf.book.is_empty());
    const auto order = shelf.add(OrderAction::Delete, {.virtual_mta = "v1", .job = "promo"});
    CHECK_FALSE(shelf.book.is_empty());
    CHECK(shelf.book.find(facts("v1", "promo")) == order);
    CHECK_FALSE(shelf.book.find(facts("v2", "promo")));
    CHECK_FALSE(shelf.book.find(facts("v1", "other")));
    CHECK(shelf.book.remove(order->order.id) == order);
    CHECK_FALSE(shelf.book.remove(order->order.id));
    CHECK(shelf.book.is_empty());
    CHECK_FALSE(shelf.book.find(facts("v1", "promo")));
}

TEST_CASE("what ends mail decides before what keeps it, and the older one before the younger") {
    Shelf shelf;
    const auto pause = shelf.add(OrderAction::Pause, {.job = "promo"});
    CHECK(shelf.book.find(facts("v1", "promo")) == pause);
    const auto first = shelf.add(OrderAction::Delete, {.tenant = "acme"});
    shelf.add(OrderAction::Delete, {.job = "promo"});
    CHECK(shelf.book.find(facts("v1", "promo")) == first);
}

TEST_CASE("whole queues are paused by pause_of, single mails by find") {
    Shelf shelf;
    const auto queues = shelf.add(OrderAction::Pause, {.queue = "*/v1"});
    CHECK(shelf.book.pause_of("x.test", "v1") == queues);
    CHECK_FALSE(shelf.book.pause_of("x.test", "v2"));
    CHECK_FALSE(shelf.book.find(facts("v1", "promo")));
    const auto everything = shelf.add(OrderAction::Pause, {.everything = true});
    CHECK(shelf.book.pause_of("x.test", "v2") == everything);
}

TEST_CASE("recipients are found one by one, in the case that they were written or another") {
    Shelf shelf;
    const auto b = shelf.add(OrderAction::Suppress, {.recipient = "B@x.test"});
    const auto sender = shelf.add(OrderAction::Bounce, {.reverse_path = "*@shop.test"});
    Task task;
    task.recipients.resize(2);
    task.recipients[0].address = "a@x.test";
    task.recipients[1].address = "b@X.test";
    Message message;
    CHECK(shelf.book.find_all(facts("v1", ""), task, message) == std::vector<OrderPointer>{nullptr, b});
    message.reverse_path = "News@Shop.test";
    CHECK(shelf.book.find_all(facts("v1", ""), task, message) == std::vector<OrderPointer>{sender, b});
    task.recipients.resize(1);
    message.reverse_path.clear();
    CHECK(shelf.book.find_all(facts("v1", ""), task, message).empty());
}

TEST_CASE("orders that name nothing exactly are counted") {
    CHECK(OrderBook::is_broad(Selection::parse({.job = "promo-*"}).value()));
    CHECK(OrderBook::is_broad(Selection::parse({.everything = true}).value()));
    CHECK_FALSE(OrderBook::is_broad(Selection::parse({.tenant = "acme", .job = "promo-*"}).value()));
    Shelf shelf;
    for (std::size_t i = 0; i < OrderBook::kMostPatterns; ++i) shelf.add(OrderAction::Pause, {.job = "a*"});
    CHECK(shelf.book.has_room_for(1, 0));
    CHECK(shelf.book.has_room_for(1, 1).error().kind == ErrorKind::ResourceExhausted);
}
