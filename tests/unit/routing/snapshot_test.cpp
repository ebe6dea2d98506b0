#include "postfleet/routing/snapshot.hpp"

#include <catch2/catch.hpp>
#include <map>

#include "postfleet/config_files/load.hpp"

using namespace postfleet;
using namespace postfleet::routing;

namespace {

const std::string kBase = R"(
listeners: {relay: {address: "127.0.0.1:2525"}, other: {address: "127.0.0.1:2526"}}
tenants: {acme: {}}
virtual_mtas: {tx-1: {}, promo-1: {}, promo-2: {}}
pools:
  transactional: {members: [tx-1], priority: high}
  bulk: {members: {promo-1: 3, promo-2: 1}}
default_virtual_mta: bulk
)";

std::shared_ptr<const Snapshot> compile(const std::string& more) {
    const auto result = config_files::load_text(kBase + more);
    INFO(config_files::to_string(result.problems));
    REQUIRE(result.config);
    return Snapshot::compile(*result.config);
}

std::string bound(const Snapshot& snapshot, const BindRequest& request) {
    const auto result = snapshot.bind(request, 0);
    REQUIRE(result);
    return std::string(result.pool.empty() ? result.virtual_mta : result.pool);
}

}  // namespace

TEST_CASE("without a rule the default decides, and a pool chooses by weight") {
    const auto snapshot = compile("");
    std::map<std::string_view, int> chosen;
    for (std::uint64_t random = 0; random < 4000; ++random) {
        const auto result = snapshot->bind({}, random * 0x9E3779B97F4A7C15ull >> 3);
        CHECK(result.pool == "bulk");
        ++chosen[result.virtual_mta];
    }
    CHECK(chosen["promo-1"] > 2850);
    CHECK(chosen["promo-1"] < 3150);
    CHECK(chosen["promo-1"] + chosen["promo-2"] == 4000);
    CHECK(snapshot->wanted_headers().empty());
    CHECK_FALSE(snapshot->depends_on_recipient());
}

TEST_CASE("for a sender of a cluster its own virtual MTAs are chosen, as long as it has any") {
    const auto loaded = config_files::load_text(kBase);
    REQUIRE(loaded.config);
    config::Config config = *loaded.config;
    config.virtual_mtas.at("promo-2").sender = "s2";
    const auto theirs = Snapshot::compile(config, "s2");
    for (std::uint64_t random = 0; random < 10; ++random) {
        CHECK(theirs->bind({}, random).virtual_mta == "promo-2");
        CHECK(theirs->choose_from_pool("bulk", {}, random) == "promo-2");
        CHECK(theirs->choose_from_pool("transactional", {}, random).empty());
        CHECK(theirs->choose_from_pool("tx-1", {}, random).empty());
        // What has to go out somehow goes out here.
        CHECK(theirs->bind({.virtual_mta = "transactional"}, random).virtual_mta == "promo-2");
        CHECK(theirs->bind({.virtual_mta = "transactional"}, random).pool.empty());
    }
    CHECK(Snapshot::compile(config, "nobody")->choose_from_pool("tx-1", {}, 0) == "tx-1");
}

TEST_CASE("the first rule whose conditions all hold decides") {
    const auto snapshot = compile(R"(
bindings:
  - {job: special, listener: other, virtual_mta: promo-2}
  - {template: receipt, virtual_mta: transactional}
  - {header: {X-Campaign: "^promo", X-Kind: "."}, virtual_mta: promo-1}
  - {mail_from: "@news\\.example\\.com$", virtual_mta: promo-2}
  - {client: 10.1.0.0/16, tenant: acme, virtual_mta: tx-1}
  - {job: special, virtual_mta: transactional}
  - {user: shop, virtual_mta: tx-1}
  - {rcpt_domain: "\\.gov$", virtual_mta: transactional}
)");
    CHECK(bound(*snapshot, {}) == "bulk");
    CHECK(bound(*snapshot, {.job = "special"}) == "transactional");
    CHECK(bound(*snapshot, {.listener = "other", .job = "special"}) == "promo-2");
    CHECK(bound(*snapshot, {.template_name = "receipt", .job = "special"}) == "transactional");
    CHECK(bound(*snapshot, {.mail_from = "a@News.Example.Com", .job = "special"}) == "promo-2");
    CHECK(bound(*snapshot, {.mail_from = "a@news.example.com.evil.test"}) == "bulk");
    CHECK(bound(*snapshot, {.user = "shop"}) == "tx-1");
    CHECK(bound(*snapshot, {.rcpt_domain = "x.gov"}) == "transactional");

    BindRequest client{.tenant = "acme"};
    CHECK(bound(*snapshot, client) == "bulk");
    client.client = *IpAddress::parse("10.1.2.3");
    CHECK(bound(*snapshot, client) == "tx-1");
    client.client = *IpAddress::parse("10.2.2.3");
    CHECK(bound(*snapshot, client) == "bulk");

    const HeaderField both[] = {{"x-campaign", "other"}, {"X-CAMPAIGN", "Promo 7"}, {"X-Kind", "a"}};
    CHECK(bound(*snapshot, {.headers = both}) == "promo-1");
    CHECK(bound(*snapshot, {.headers = std::span(both).first(2)}) == "bulk");
    CHECK(snapshot->wanted_headers().size() == 2);
    CHECK(snapshot->wanted_headers()[0] == "x-campaign");
    CHECK(snapshot->depends_on_recipient());
}

TEST_CASE("an honoured X-Virtual-MTA wins, and names a VMTA or a pool") {
    const auto snapshot = compile("bindings: [{virtual_mta: promo-2}]\n");
    CHECK(bound(*snapshot, {}) == "promo-2");
    const auto named = snapshot->bind({.virtual_mta = "tx-1"}, 0);
    CHECK(named.virtual_mta == "tx-1");
    CHECK(named.pool.empty());
    CHECK(named.priority == Priority::Normal);
    const auto pool = snapshot->bind({.virtual_mta = "transactional"}, 0);
    CHECK(pool.virtual_mta == "tx-1");
    CHECK(pool.pool == "transactional");
    CHECK(pool.priority == Priority::High);
}

TEST_CASE("an unknown name follows the configured rule") {
    const auto refuse = compile("")->bind({.virtual_mta = "nobody\r\n"}, 0);
    CHECK_FALSE(refuse);
    CHECK(refuse.refusal.starts_with("virtual MTA 'nobody"));
    CHECK(refuse.refusal.find('\n') == std::string::npos);
    CHECK(bound(*compile("unknown_virtual_mta: default\n"), {.virtual_mta = "nobody"}) == "bulk");
}

TEST_CASE("a pool can be asked for another member") {
    const auto snapshot = compile("");
    const std::string_view one[] = {"promo-1"};
    const std::string_view both[] = {"promo-1", "promo-2"};
    for (std::uint64_t random = 0; random < 10; ++random)
        CHECK(snapshot->choose_from_pool("bulk", one, random) == "promo-2");
    CHECK(snapshot->choose_from_pool("bulk", both, 1).empty());
    CHECK(snapshot->choose_from_pool("tx-1", {}, 1) == "tx-1");
    CHECK(snapshot->choose_from_pool("none", {}, 1).empty());
    CHECK(snapshot->has_virtual_mta("tx-1"));
    CHECK_FALSE(snapshot->has_virtual_mta("bulk"));
}

TEST_CASE("the nearest route decides") {
    const auto snapshot = compile("routes: {a.test: h1, .a.test: h2, .b.a.test: h3, \"*\": h4}\n");
    const auto host = [&](std::string_view domain) { return snapshot->find_route(domain)->front().host; };
    CHECK(host("a.test") == "h1");
    CHECK(host("x.a.test") == "h2");
    CHECK(host("b.a.test") == "h2");
    CHECK(host("y.b.a.test") == "h3");
    CHECK(host("c.test") == "h4");
    CHECK(compile("")->find_route("a.test") == nullptr);
    CHECK(compile("routes: {a.test: h1}\n")->find_route("x.a.test") == nullptr);
}

TEST_CASE("a site is the provider, a named domain, or the first MX host") {
    const auto snapshot = compile(R"(
providers:
  google: {mx: ["*.google.com", "*.googlemail.com"]}
  google-special: {mx: ["special.*.google.com"]}
  relay: {mx: [relay.example.net]}
routes: {routed.test: "127.0.0.1:2526", relayed.test: relay.example.net}
shaping: [{match: {domain: shaped.test}, max_connections: 1}, {match: {site: sited.test}, max_connections: 1}]
)");
    const Hop google[] = {{10, "alt1.aspmx.l.google.com"}, {1, "aspmx.l.google.com"}};
    CHECK(snapshot->site_of("customer.test", google) == "google");
    CHECK(snapshot->site_of("shaped.test", google) == "google");
    const Hop special[] = {{1, "special.x.google.com"}};
    CHECK(snapshot->site_of("customer.test", special) == "google-special");
    const Hop own[] = {{20, "aspmx.l.google.com"}, {10, "mx2.own.test"}, {10, "mx1.own.test"}};
    CHECK(snapshot->site_of("own.test", own) == "mx1.own.test");
    CHECK(snapshot->site_of("shaped.test", own) == "shaped.test");
    CHECK(snapshot->site_of("sited.test", own) == "sited.test");
    CHECK(snapshot->site_of("own.test", {}) == "own.test");
    CHECK(snapshot->site_of("routed.test", {}) == "routed.test");
    CHECK(snapshot->site_of("relayed.test", {}) == "relay");
}

TEST_CASE("the large providers are known by their MX hosts, which a switch turns off", "[C5321-10]") {
    const Hop google[] = {{1, "aspmx.l.google.com"}}, hotmail[] = {{2, "hotmail-com.olc.protection.outlook.com"}};
    const Hop business[] = {{0, "acme-com.mail.protection.outlook.com"}};
    const auto usual = compile("");
    CHECK(usual->site_of("customer.test", google) == "google");
    CHECK(usual->site_of("hotmail.com", hotmail) == "outlook");
    CHECK(usual->site_of("acme.com", business) == "microsoft365");
    CHECK(usual->place("customer.test", {google[0]}).why == "provider google: mx *.google.com");
    CHECK(usual->place("customer.test", {google[0]}).origin.line == 0);
    CHECK(compile("shipped_providers: false\n")->site_of("customer.test", google) == "aspmx.l.google.com");

    const auto own = compile("providers: {google: {mx: [mx.other.test]}, mine: {mx: [\"*.outlook.com\"]}}\n");
    CHECK(own->site_of("customer.test", google) == "aspmx.l.google.com");  // theirs takes the place of ours
    CHECK(own->site_of("hotmail.com", hotmail) == "mine");                 // and comes first, though it is shorter
}

TEST_CASE("a provider that asks for all of its hosts is a rollup as PowerMTA's") {
    const auto snapshot = compile(R"(
providers:
  roll: {match: all, mx: [mx1.big.test, mx2.big.test]}
  more: {match: all, mx: [mx1.big.test, mx2.big.test, "mx?.other.test"]}
)");
    const Hop one{10, "mx1.big.test"}, two{10, "mx2.big.test"}, extra{10, "mx3.big.test"}, backup{20, "old.test"};
    // More are listed than DNS answers at that preference: no match.
    CHECK(snapshot->place("a.test", {one}).provider.empty());
    CHECK(snapshot->place("a.test", {one, Hop{20, "mx2.big.test"}}).provider.empty());
    CHECK(snapshot->place("a.test", {one, two}).site == "roll");
    // DNS may answer more of them; then the listed ones are used.
    const auto extended = snapshot->place("a.test", {one, extra, two, backup});
    CHECK(extended.site == "roll");
    REQUIRE(extended.hops.size() == 2);
    CHECK(extended.hops[0].host == "mx1.big.test");
    CHECK(extended.hops[1].host == "mx2.big.test");
    CHECK(snapshot->place("a.test", {one, two, Hop{10, "mx7.other.test"}}).site == "more");
}

TEST_CASE("a provider by recipient domain, and by the addresses of the hosts") {
    const auto snapshot = compile(R"(
providers:
  named: {domains: [named.test]}
  network: {addresses: [203.0.113.0/24]}
  big: {mx: ["*.big.test"]}
)");
    const Hop in{10, "mx.a.test", 25, {*IpAddress::parse("203.0.113.9")}};
    const Hop worse{20, "mx2.a.test", 25, {*IpAddress::parse("203.0.113.9")}};
    CHECK(snapshot->site_of("named.test", {}) == "named");  // also while DNS fails
    CHECK(snapshot->site_of("named.test", std::span(&in, 1)) == "named");
    CHECK(snapshot->place("a.test", {in}).why == "provider network: address 203.0.113.0/24");
    CHECK(snapshot->place("a.test", {Hop{10, "mx.elsewhere.test"}, worse}).site == "mx.elsewhere.test");
    CHECK(snapshot->place("a.test", {in, Hop{10, "mx.big.test"}}).site == "big");  // a name decides before an address
    CHECK(snapshot->place("a.test", {in}).origin.line > 0);
}

TEST_CASE("a provider that says nothing, or twice the same, is a mistake that is named") {
    const auto problem = [](const std::string& providers) {
        const auto result = config_files::load_text(kBase + "providers: " + providers + "\n");
        return config_files::to_string(result.problems);
    };
    CHECK(problem("{a: {}}").find("names no mail servers; give it mx, domains or addresses") != std::string::npos);
    CHECK(problem("{a: {match: all, domains: [a.test]}}").find("'all' is about mx") != std::string::npos);
    CHECK(problem("{a: {domains: [x.test]}, b: {domains: [x.test]}}").find("is in provider 'a' already") !=
          std::string::npos);
    CHECK(problem("{a: {match: all, mx: [x.test, y.test]}, b: {match: all, mx: [x.test]}}").empty());
}
