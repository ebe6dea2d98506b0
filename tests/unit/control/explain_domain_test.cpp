// What `postfleet resolve` answers: the same rules as the sender's, with the reasons; and how people see it.
#include "postfleet/control/explain_domain.hpp"

#include <catch2/catch.hpp>

#include "postfleet/control/immediate_executor.hpp"
#include "postfleet/config_files/load.hpp"
#include "postfleet/standalone/views.hpp"
#include "postfleet/support/fake_http_client.hpp"
#include "postfleet/support/fake_resolver.hpp"

using namespace postfleet;
using namespace postfleet::control;
using namespace postfleet::standalone;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

namespace {

struct Fixture {
    support::FakeResolver dns;
    support::FakeHttpClient web;
    ImmediateExecutor executor;
    config::LoadResult loaded = config_files::load_text(R"(hostname: mta1.example.net
listeners:
  relay: {address: "127.0.0.1:2525"}
virtual_mtas:
  tx-1: {}
  tx-2: {}
pools:
  tx: {members: [tx-2, tx-1]}
default_virtual_mta: tx
providers:
  big: {mx: ["*.big.test"]}
routes:
  routed.test: ["10.1.2.3:2526"]
shaping:
  - {max_connections: 5}
  - {match: {site: big, virtual_mta: tx-2}, max_connections: 2}
)");

    std::string json(const std::string& domain, const std::string& virtual_mta = "") {
        REQUIRE(loaded.config);
        const auto answer = explain_domain({domain, virtual_mta}, *loaded.config, {dns, executor, &web});
        INFO((answer ? std::string() : answer.error().text));
        REQUIRE(answer);
        return *answer;
    }
    std::string text(const std::string& domain) {
        const auto shown = view_resolution(json(domain), Style{});
        REQUIRE(shown);
        return *shown;
    }
};

}  // namespace

TEST_CASE("hosts, site, provider, queues and settings, each with its reason") {
    Fixture f;
    f.dns.set_mx("customer.test", {"20 mx2.big.test 8.8.4.4", "10 mx1.big.test 8.8.8.8 10.0.0.1"}, 5min);
    f.dns.set_state("customer.test", DnsState::Secure, DnsState::Insecure);
    const std::string text = f.text("someone@Customer.test.");
    CHECK(text == R"(customer.test
  mail    goes out
  hosts   MX records, DNSSEC secure, good for 5m
  site    big  (provider big: mx *.big.test, postfleet.yaml:11:3)
  queues  big/tx-1, big/tx-2
  tls     nothing is published: neither DANE nor MTA-STS

PREF  HOST          ADDRESS   TTL  DNSSEC    NOTE
  20  mx2.big.test  8.8.4.4    5m  insecure
  10  mx1.big.test  8.8.8.8    5m  insecure
                    10.0.0.1                 private, not used

What rules set for big/tx-2 (`postfleet show settings big/tx-2` shows all)
SETTING          VALUE  FROM                  RULE
max_connections  2      postfleet.yaml:16:62  site: big, virtual_mta: tx-2
)");
    CHECK_THAT(f.json("customer.test", "tx-1"), Contains(R"("settings_of":"big/tx-1")"));
}

TEST_CASE("what mail cannot do is told with the status it bounces with") {
    Fixture f;
    f.dns.fail("null.test", MxAnswer::Kind::NullMx, "null.test takes no mail (null MX)");
    f.dns.fail("down.test", MxAnswer::Kind::Temporary, "down.test: DNS failure: SERVFAIL");
    f.dns.set_mx("inside.test", {"10 mx.inside.test 127.0.0.1"});
    f.dns.set_mx("loop.test", {"10 mta1.example.net 8.8.8.8"});
    CHECK_THAT(f.text("null.test"), Contains("mail from it is refused by others with 5.7.27"));  // X7505
    CHECK_THAT(f.text("missing.test"), Contains("bounces with 5.1.2"));
    CHECK_THAT(f.text("down.test"), Contains("waits: down.test: DNS failure: SERVFAIL"));
    CHECK_THAT(f.text("inside.test"), Contains("bounces with 5.4.4: ") && Contains("private or reserved"));
    CHECK_THAT(f.text("loop.test"), Contains("bounces with 5.4.6: mail for loop.test loops back"));
    CHECK_THAT(f.json("down.test"), Contains(R"("outcome":"temporary")"));
}

TEST_CASE("a route, an address literal and a name that cannot be") {
    Fixture f;
    CHECK_THAT(f.text("routed.test"), Contains("next hops of a route") &&
                                          Contains("routed.test  (route routed.test, postfleet.yaml:13:3)") &&
                                          Contains("10.1.2.3:2526") && Contains("goes out"));
    CHECK(f.dns.asked.empty());
    CHECK_FALSE(explain_domain({"a..b", ""}, *f.loaded.config, {f.dns, f.executor}));
    const auto unknown = explain_domain({"a.test", "nobody"}, *f.loaded.config, {f.dns, f.executor});
    REQUIRE_FALSE(unknown);
    CHECK(unknown.error().text == "there is no virtual MTA 'nobody'");
}
