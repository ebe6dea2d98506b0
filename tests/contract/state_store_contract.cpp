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
    StateStore& store() { return under_test_.store(); }

    // wait<Status>(&StateStore::confirm, keys)
    template <class T, class Call, class... Arguments>
    T wait(Call call, Arguments... arguments) {
        std::optional<T> result;
        Completion<T> done{&executor_, [&](T value) {
                               REQUIRE(!result.has_value());
                               result.emplace(std::move(value));
                           }};
        (store().*call)(std::move(arguments)..., std::move(done));
        REQUIRE(executor_.run_until([&] { return result.has_value(); }, std::chrono::seconds(60)));
        return *std::move(result);
    }

    Result<std::vector<OrderId>> add(std::vector<Order> orders) {
        return wait<Result<std::vector<OrderId>>>(&StateStore::add_orders, std::move(orders));
    }
    Status remove(std::vector<OrderId> ids) { return wait<Status>(&StateStore::remove_orders, std::move(ids)); }
    Status update(Order order) { return wait<Status>(&StateStore::update_order, std::move(order)); }
    std::vector<Order> all() { return store().orders().value(); }
    OrderChanges changes(std::uint64_t after) {
        return wait<Result<OrderChanges>>(&StateStore::order_changes, after).value();
    }
    std::vector<KeyVerdict> claim_keys(std::vector<KeyClaim> claims) {
        return wait<Result<std::vector<KeyVerdict>>>(&StateStore::claim, std::move(claims)).value();
    }
    SenderVerdict claim_sender(SenderClaim claim) {
        return wait<Result<SenderVerdict>>(&StateStore::claim_sender, std::move(claim)).value();
    }
    std::uint64_t activate(ConfigurationSnapshot snapshot) {
        return wait<Result<std::uint64_t>>(&StateStore::activate, std::move(snapshot)).value();
    }
    std::optional<ConfigurationSnapshot> active(std::uint64_t known) {
        return wait<Result<std::optional<ConfigurationSnapshot>>>(&StateStore::active, known).value();
    }
    std::vector<std::optional<Suppression>> find(std::vector<SuppressionQuestion> questions) {
        return wait<Result<std::vector<std::optional<Suppression>>>>(&StateStore::find_suppressions,
                                                                     std::move(questions))
            .value();
    }
    std::vector<Suppression> list(SuppressionPage page) {
        return wait<Result<std::vector<Suppression>>>(&StateStore::list_suppressions, std::move(page)).value();
    }

private:
    StateStoreUnderTest& under_test_;
    support::ManualExecutor executor_;
};

MessageId message_id(std::uint32_t n) { return IdGenerator(n).next(WallTime(std::chrono::seconds(n))); }

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
    order.why = std::string("why; \xc3\xa9 -- \0 ' end", 18) + text;
    order.given_at = WallTime(std::chrono::seconds(1'000'000 + n));
    order.expires_at = WallTime(std::chrono::seconds(2'000'000 + n));
    order.finished_at = WallTime(std::chrono::seconds(1'500'000 + n));
    order.recipients = n * 3ull;
    return order;
}

namespace {

void contract_of_orders(StateStoreUnderTest* under_test, Caller& caller) {
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

void contract_of_order_changes(StateStoreUnderTest* under_test, Caller& caller) {
    SECTION("who asks what has changed is told everything once, and then only what is new") {
        CHECK(caller.changes(0) == OrderChanges{});
        const auto ids = caller.add({sample_order(1), sample_order(2), sample_order(3)}).value();
        const OrderChanges first = caller.changes(0);
        CHECK(first.complete);
        CHECK(first.changed == caller.all());
        REQUIRE(caller.remove({ids[0]}).has_value());
        Order further = sample_order(2);
        further.id = ids[1];
        further.recipients = 77;
        REQUIRE(caller.update(further).has_value());
        under_test->restart();
        const OrderChanges second = caller.changes(first.revision);
        CHECK_FALSE(second.complete);
        CHECK(second.removed == std::vector{ids[0]});
        REQUIRE(second.changed.size() == 1);
        CHECK(second.changed[0].recipients == 77);
        CHECK(caller.changes(second.revision) == OrderChanges{.revision = second.revision});
        CHECK(caller.changes(second.revision + 1'000).complete);  // of a store that was lost
    }
    SECTION("an order of several senders is finished when all that are held have finished it") {
        for (const char* name : {"a", "b", "gone"}) {
            REQUIRE(
                caller.claim_sender({.sender = name, .spool_id = std::string("spool-") + name, .holder = "h"}).granted);
        }
        REQUIRE(caller.wait<Status>(&StateStore::release_sender, std::string("gone"), std::uint64_t{1}).has_value());
        Order order = sample_order(1);
        order.finished_at.reset();
        order.id = caller.add({order}).value()[0];
        const auto report = [&](const char* sender, std::uint64_t recipients, std::optional<WallTime> finished_at) {
            order.recipients = recipients;
            order.finished_at = finished_at;
            REQUIRE(caller.wait<Status>(&StateStore::report_progress, std::string(sender), order).has_value());
            return caller.all().at(0);
        };
        const WallTime early(std::chrono::seconds(10)), late(std::chrono::seconds(20));
        CHECK(report("a", 5, {}).recipients == 5);
        CHECK(report("a", 6, late).finished_at == std::nullopt);
        CHECK(report("a", 0, late).recipients == 6);  // it has started again, and found nothing left
        CHECK(report("b", 10, {}).recipients == 16);
        const Order finished = report("b", 11, early);
        CHECK(finished.recipients == 17);
        CHECK(finished.finished_at == late);
        order.id = OrderId{999'999};
        CHECK(report("a", 1, late).recipients == 17);  // of an order that was withdrawn
    }
}

void contract_of_keys(StateStoreUnderTest* under_test, Caller& caller) {
    const IdempotencyKey key{"acme", std::string("order \0 '7' \xff", 13)};
    SECTION("a key belongs to the message that claimed it first, also after a restart") {
        const auto first = caller.claim_keys({{.key = key, .message = message_id(1)}});
        CHECK(first.at(0).state == KeyState::New);
        CHECK(first.at(0).message == message_id(1));
        under_test->restart();
        const auto again = caller.claim_keys({{.key = key, .message = message_id(2)}});
        CHECK(again.at(0).state == KeyState::Pending);
        CHECK(again.at(0).message == message_id(1));
        REQUIRE(caller.wait<Status>(&StateStore::confirm, std::vector{key}).has_value());
        under_test->restart();
        const auto done = caller.claim_keys({{.key = key, .message = message_id(3)}});
        CHECK(done.at(0).state == KeyState::Done);
        CHECK(done.at(0).message == message_id(1));
    }
    SECTION("tenants do not see each other's keys") {
        caller.claim_keys({{.key = key, .message = message_id(1)}});
        const auto other = caller.claim_keys({{.key = {"other", key.key}, .message = message_id(2)}});
        CHECK(other.at(0).state == KeyState::New);
    }
    SECTION("a released key is free again, unless it was confirmed") {
        caller.claim_keys({{.key = key, .message = message_id(1)}});
        REQUIRE(caller.wait<Status>(&StateStore::release, std::vector{key}).has_value());
        CHECK(caller.claim_keys({{.key = key, .message = message_id(2)}}).at(0).message == message_id(2));
        REQUIRE(caller.wait<Status>(&StateStore::confirm, std::vector{key}).has_value());
        REQUIRE(caller.wait<Status>(&StateStore::release, std::vector{key}).has_value());
        CHECK(caller.claim_keys({{.key = key, .message = message_id(3)}}).at(0).state == KeyState::Done);
        const IdempotencyKey unknown{"acme", "never claimed"};
        CHECK(caller.wait<Status>(&StateStore::confirm, std::vector{unknown}).has_value());
        CHECK(caller.wait<Status>(&StateStore::release, std::vector{unknown}).has_value());
    }
    SECTION("a key that was claimed a second time is not released by one of the two: the other may be durable") {
        caller.claim_keys({{.key = key, .message = message_id(1)}});
        caller.claim_keys({{.key = key, .message = message_id(2)}});
        REQUIRE(caller.wait<Status>(&StateStore::release, std::vector{key}).has_value());
        const auto still = caller.claim_keys({{.key = key, .message = message_id(3)}});
        CHECK(still.at(0).state == KeyState::Pending);
        CHECK(still.at(0).message == message_id(1));
        REQUIRE(caller.wait<Status>(&StateStore::confirm, std::vector{key}).has_value());
        CHECK(caller.claim_keys({{.key = key, .message = message_id(4)}}).at(0).state == KeyState::Done);
    }
    SECTION("a key is forgotten when its window is over") {
        caller.claim_keys({{.key = key, .message = message_id(1), .window = Duration(0)}});
        const auto again = caller.claim_keys({{.key = key, .message = message_id(2), .window = Duration(0)}});
        CHECK(again.at(0).state == KeyState::New);
        CHECK(again.at(0).message == message_id(2));
        REQUIRE(caller.wait<Status>(&StateStore::confirm, std::vector{key}).has_value());
        CHECK(caller.claim_keys({{.key = key, .message = message_id(3)}}).at(0).state == KeyState::New);
    }
    SECTION("many keys in one call have as many verdicts, in their order") {
        std::vector<KeyClaim> claims;
        for (std::uint32_t n = 0; n < 300; ++n) {
            // Each number twice, far apart.
            claims.push_back({.key = {"t", std::to_string(n * 7 % 150)}, .message = message_id(n + 1)});
        }
        const auto verdicts = caller.claim_keys(claims);
        REQUIRE(verdicts.size() == 300);
        for (std::uint32_t n = 0; n < 150; ++n) {
            CHECK(verdicts[n].state == KeyState::New);
            CHECK(verdicts[n].message == message_id(n + 1));
            CHECK(verdicts[n + 150].state == KeyState::Pending);
            CHECK(verdicts[n + 150].message == message_id(n + 1));
        }
    }
}

void contract_of_senders(StateStoreUnderTest* under_test, Caller& caller) {
    const SenderClaim mine{.sender = "sender-0", .spool_id = "spool-a", .holder = "host-a:/data"};
    const SenderClaim theirs{.sender = "sender-0", .spool_id = "spool-b", .holder = "host-b:/data"};
    const auto take_over = [&](const char* spool_id) {
        return caller.wait<Result<SenderGrant>>(&StateStore::take_over_sender,
                                                SenderTakeover{.sender = "sender-0", .spool_id = spool_id});
    };
    SECTION("the first has the name, keeps it over restarts, and others are told who has it since when") {
        const SenderVerdict first = caller.claim_sender(mine);
        REQUIRE(first.granted);
        CHECK(first.grant.epoch == 1);
        under_test->restart();
        CHECK(caller.claim_sender(mine).grant == first.grant);
        const SenderVerdict refused = caller.claim_sender(theirs);
        CHECK_FALSE(refused.granted);
        CHECK(refused.grant == first.grant);
        CHECK(refused.refusal.find("host-a:/data") != std::string::npos);
        CHECK(refused.refusal.find(format_rfc3339(first.grant.since)) != std::string::npos);
        CHECK(refused.refusal.find("postfleet takeover sender-0") != std::string::npos);
    }
    SECTION("a takeover gives the name to the one that was refused, and the former owner hears of it") {
        REQUIRE(caller.claim_sender(mine).granted);
        CHECK(take_over("").error().kind == ErrorKind::NotFound);
        REQUIRE_FALSE(caller.claim_sender(theirs).granted);
        under_test->restart();
        const auto taken = take_over("");
        REQUIRE(taken.has_value());
        CHECK(taken->epoch == 2);
        CHECK(taken->spool_id == "spool-b");
        SenderClaim still_mine = mine;
        still_mine.epoch = 1;
        CHECK_FALSE(caller.claim_sender(still_mine).granted);
        const SenderVerdict heir = caller.claim_sender(theirs);
        CHECK(heir.granted);
        CHECK(heir.grant.epoch == 2);
    }
    SECTION("a released name is free, and its epoch goes on") {
        REQUIRE(caller.claim_sender(mine).granted);
        const auto release = [&](std::uint64_t epoch) {
            return caller.wait<Status>(&StateStore::release_sender, std::string("sender-0"), epoch);
        };
        CHECK(release(7).error().kind == ErrorKind::NotFound);
        CHECK(release(1).has_value());
        CHECK(release(1).has_value());
        under_test->restart();
        CHECK(caller.claim_sender(theirs).grant.epoch == 2);
    }
    SECTION("a spool has one name") {
        REQUIRE(caller.claim_sender(mine).granted);
        SenderClaim second = mine;
        second.sender = "sender-1";
        CHECK_FALSE(caller.claim_sender(second).granted);
        REQUIRE(caller.claim_sender({.sender = "sender-2", .spool_id = "spool-c", .holder = "h"}).granted);
        CHECK(take_over("spool-c").error().kind == ErrorKind::AlreadyExists);
    }
    SECTION("names are listed with who has them and who waits for them") {
        REQUIRE(caller.claim_sender(mine).granted);
        REQUIRE_FALSE(caller.claim_sender(theirs).granted);
        const auto all = caller.wait<Result<std::vector<SenderRecord>>>(&StateStore::list_senders).value();
        REQUIRE(all.size() == 1);
        CHECK(all[0].grant.spool_id == "spool-a");
        CHECK(all[0].waiting_spool_id == "spool-b");
        CHECK(all[0].waiting_holder == "host-b:/data");
    }
    SECTION("a claim that names nothing is an error") {
        const auto verdict = caller.wait<Result<SenderVerdict>>(&StateStore::claim_sender, SenderClaim{});
        CHECK(verdict.error().kind == ErrorKind::InvalidArgument);
    }
}

void contract_of_configurations(StateStoreUnderTest* under_test, Caller& caller) {
    ConfigurationSnapshot snapshot{.version = "v1",
                                   .files = {{"a.yaml", "hostname: a\n"}, {"b.yaml", std::string("\xff\0x", 3)}},
                                   .activated_at = WallTime(std::chrono::seconds(5)),
                                   .activated_by = "root"};
    SECTION("what is active comes back octet by octet, and only to those that do not have it") {
        CHECK(caller.active(0) == std::nullopt);
        snapshot.epoch = caller.activate(snapshot);
        CHECK(snapshot.epoch == 1);
        under_test->restart();
        CHECK(caller.active(0) == snapshot);
        CHECK(caller.active(1) == std::nullopt);
    }
    SECTION("activating what is active changes nothing, and going back to an old version is a new epoch") {
        CHECK(caller.activate(snapshot) == 1);
        snapshot.activated_by = "somebody else";
        CHECK(caller.activate(snapshot) == 1);
        CHECK(caller.active(0)->activated_by == "root");
        snapshot.version = "v2";
        snapshot.files = {{"a.yaml", "hostname: b\n"}};
        const std::uint64_t second = caller.activate(snapshot);
        CHECK(second > 1);
        CHECK(caller.active(1)->files == snapshot.files);
        snapshot.version = "v1";
        CHECK(caller.activate(snapshot) > second);
    }
    SECTION("many activations keep the last one whole") {
        for (int n = 0; n < 30; ++n) {
            snapshot.version = "n" + std::to_string(n);
            caller.activate(snapshot);
        }
        CHECK(caller.active(0)->version == "n29");
        CHECK(caller.active(0)->files == snapshot.files);
    }
}

void contract_of_suppressions(StateStoreUnderTest* under_test, Caller& caller) {
    const auto add = [&](std::vector<Suppression> suppressions) {
        REQUIRE(caller.wait<Status>(&StateStore::add_suppressions, std::move(suppressions)).has_value());
    };
    const Suppression ann{.key = {"acme", "Ann@X.test"},
                          .reason = "unsubscribed",
                          .source = "api",
                          .added_at = WallTime(std::chrono::seconds(3)),
                          .expires_at = WallTime(std::chrono::years(100))};
    SECTION("addresses and domains are found, for one tenant or for all, whatever their letters") {
        add({ann,
             {.key = {"", "bad.test"}, .reason = "spam trap"},
             {.key = {"", "bob@x.test"}, .reason = "everybody's"},
             {.key = {"acme", "x.test"}, .reason = "domain"}});
        under_test->restart();
        const auto found = caller.find({{"acme", "ann@x.test"},
                                        {"other", "ann@x.test"},
                                        {"other", "ANY@BAD.TEST"},
                                        {"other", "bob@x.test"},
                                        {"acme", "bob@x.test"},
                                        {"", "bob@x.test"},
                                        {"acme", "no-address"}});
        REQUIRE(found.size() == 7);
        Suppression as_kept = ann;
        as_kept.key.target = "ann@x.test";
        CHECK(found[0] == as_kept);
        CHECK_FALSE(found[1].has_value());
        CHECK(found[2]->reason == "spam trap");
        CHECK(found[3]->reason == "everybody's");
        CHECK(found[4]->reason == "domain");  // the tenant's own goes before everybody's
        CHECK(found[5]->reason == "everybody's");
        CHECK_FALSE(found[6].has_value());
    }
    SECTION("what is over or removed covers nobody, and adding again replaces") {
        Suppression over = ann;
        over.expires_at = WallTime(std::chrono::seconds(4));
        add({over});
        CHECK_FALSE(caller.find({{"acme", "ann@x.test"}}).at(0).has_value());
        CHECK(caller.list({}).empty());
        add({over, ann});
        CHECK(caller.find({{"acme", "ann@x.test"}}).at(0).has_value());
        const SuppressionKey key{"acme", "ANN@x.test"};
        REQUIRE(caller.wait<Status>(&StateStore::remove_suppressions, std::vector{key, key}).has_value());
        CHECK_FALSE(caller.find({{"acme", "ann@x.test"}}).at(0).has_value());
    }
    SECTION("thousands are added, found and listed page by page") {
        std::vector<Suppression> many;
        std::vector<SuppressionQuestion> questions;
        for (int n = 0; n < 2'500; ++n) {
            const std::string address = "user" + std::to_string(n) + "@many.test";
            if (n % 2 == 0) many.push_back({.key = {"t", address}});
            questions.push_back({"t", address});
        }
        add(many);
        const auto found = caller.find(questions);
        bool as_added = found.size() == questions.size();
        for (std::size_t n = 0; n < found.size(); ++n) as_added = as_added && found[n].has_value() == (n % 2 == 0);
        CHECK(as_added);
        std::size_t listed = 0;
        SuppressionPage page{.limit = 1'000};
        for (auto part = caller.list(page); !part.empty(); part = caller.list(page)) {
            listed += part.size();
            CHECK(part.size() <= page.limit);
            page.after = part.back().key;
        }
        CHECK(listed == 1'250);
    }
}

}  // namespace

void state_store_contract(const std::function<std::unique_ptr<StateStoreUnderTest>()>& make) {
    const auto under_test = make();
    Caller caller(*under_test);
    contract_of_orders(under_test.get(), caller);
    contract_of_order_changes(under_test.get(), caller);
    contract_of_keys(under_test.get(), caller);
    contract_of_senders(under_test.get(), caller);
    contract_of_configurations(under_test.get(), caller);
    contract_of_suppressions(under_test.get(), caller);
}

}  // namespace postfleet::contract
