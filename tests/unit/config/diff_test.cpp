#include "postfleet/config/diff.hpp"

#include <catch2/catch.hpp>
#include <cstdlib>

#include "postfleet/config/render.hpp"
#include "postfleet/config_files/load.hpp"

using namespace postfleet;
using namespace postfleet::config;

namespace {

std::shared_ptr<const Config> load(const std::string& text) {
    const auto result = config_files::load_text(text, "mta.yaml", "/etc/postfleet");
    INFO(text << config_files::to_string(result.problems));
    REQUIRE(result.config);
    return result.config;
}

std::vector<std::string> changes(const std::string& before, const std::string& now) {
    std::vector<std::string> out;
    for (const auto& change : diff(*load(before), *load(now))) out.push_back(change.to_string());
    return out;
}

const std::string kBase = "hostname: a.example\nlisteners: {relay: {address: \"127.0.0.1:2525\"}}\n";

}  // namespace

TEST_CASE("a changed value is told with both texts and its place") {
    CHECK(changes(kBase + "virtual_mtas:\n  tx-1: {source: 192.0.2.10}\n",
                  kBase + "virtual_mtas:\n  tx-1: {source: 192.0.2.11}\n") ==
          std::vector<std::string>{"virtual_mtas.tx-1.source: [192.0.2.10] → [192.0.2.11] (mta.yaml:4)"});
    CHECK(changes(kBase + "shards: 2\n", kBase) == std::vector<std::string>{"shards: 2 → 0"});
    CHECK(changes(kBase, "# moved\n\n" + kBase).empty());
}

TEST_CASE("changes that wait for the next start are marked") {
    const auto before = load(kBase + "shaping: [{max_connections: 1}]\n");
    const auto now =
        load(kBase + "shaping: [{max_connections: 2}]\nhttp: {address: \"127.0.0.1:1\"}\nspool: {min_free: 2GiB}\n");
    const auto all = diff(*before, *now);
    REQUIRE(all.size() == 3);
    for (const auto& change : all) CHECK(change.needs_restart == (change.path != "shaping[general].max_connections"));
}

TEST_CASE("what comes and goes is told whole") {
    CHECK(changes(kBase + "virtual_mtas: {a: {}}\n",
                  kBase + "virtual_mtas: {a: {}, b: {source: 192.0.2.1, ehlo: b.example}}\ndefault_virtual_mta: a\n") ==
          std::vector<std::string>{"virtual_mtas.b: added {source: [192.0.2.1], ehlo: b.example} (mta.yaml:3)"});
    CHECK(changes(kBase + "routes: {a.test: h1, b.test: h2}\n", kBase + "routes: {b.test: h2}\n") ==
          std::vector<std::string>{"routes.a.test: removed [h1]"});
}

TEST_CASE("elements of lists are known by what they say, not by where they stand") {
    const std::string rule = "  - {match: {site: a.test}, max_connections: 5}\n";
    CHECK(changes(kBase + "shaping:\n" + rule, kBase + "shaping:\n  - {max_connections: 1}\n" + rule) ==
          std::vector<std::string>{"shaping[general]: added {max_connections: 1} (mta.yaml:4)"});
    CHECK(changes(kBase + "shaping:\n" + rule, kBase + "shaping:\n  - {match: {site: a.test}, max_connections: 6}\n") ==
          std::vector<std::string>{"shaping[site: a.test].max_connections: 5 → 6 (mta.yaml:4)"});
    CHECK(changes(kBase + "bindings: [{job: a, virtual_mta: default}, {job: b, virtual_mta: default}]\n",
                  kBase + "bindings: [{job: b, virtual_mta: default}, {job: a, virtual_mta: default}]\n") ==
          std::vector<std::string>{"bindings: in another order (mta.yaml:3)"});
}

TEST_CASE("values from the environment are compared and never shown") {
    ::setenv("POSTFLEET_TEST_JOB", "secret-1", 1);
    const auto text = kBase +
                      "bindings: [{job: \"${POSTFLEET_TEST_JOB}\", virtual_mta: default}]\nhostname: "
                      "\"${POSTFLEET_TEST_JOB}.example\"\n";
    const auto without = text.substr(text.find("listeners"));
    const auto before = load(without);
    ::setenv("POSTFLEET_TEST_JOB", "secret-2", 1);
    const auto now = load(without);
    std::string all = render(*now);
    for (const auto& change : diff(*before, *now)) all += change.to_string() + "\n";
    INFO(all);
    CHECK(before->version != now->version);
    CHECK(all.find("secret") == std::string::npos);
    CHECK(all.find("hostname: \"${POSTFLEET_TEST_JOB}.example\" → \"${POSTFLEET_TEST_JOB}.example\" (another value)") !=
          std::string::npos);
    ::unsetenv("POSTFLEET_TEST_JOB");
}

TEST_CASE("what is rendered is the same configuration, with the place of every value") {
    const std::string text = R"(
hostname: mta1.example.net
listeners: {relay: {address: "127.0.0.1:2525", headers: honour, max_messages_per_connection: unlimited}}
http: {address: "[::1]:8080"}
tenants: {acme: {}}
virtual_mtas: {tx-1: {source: [192.0.2.1, "2001:db8::1"]}, promo-1: {max_message_rate: 10/s}}
pools: {bulk: {members: {tx-1: 3, promo-1: 1}, priority: low}, even: {members: [tx-1, promo-1]}}
bindings:
  - {header: {X-Campaign: "^pro\"mo: #1", X-B: "\\d"}, client: 10.0.0.0/8, virtual_mta: bulk}
default_virtual_mta: bulk
providers: {google: {mx: ["*.google.com"]}}
routes: {"*": "127.0.0.1:2526", .sub.test: [relay.example, "[2001:db8::1]:2525"]}
shaping:
  - {max_connections: 3, retry_after: [1m, 2h30m], pipelining: false}
  - {match: {site: google, pool: bulk}, max_message_rate: unlimited}
reports: [{type: file, path: events.jsonl, types: [email.bounced]}]
dns: {servers: ["127.0.0.1:5353"]}
)";
    const auto config = load(text);
    const auto rendered = render(*config);
    INFO(rendered);
    const auto again = load(rendered);
    CHECK(again->version == config->version);
    CHECK(diff(*config, *again).empty());
    CHECK(rendered.find("hostname: mta1.example.net                                # mta.yaml:2\n") !=
          std::string::npos);
    CHECK(rendered.find("shards: 0                                                 # default\n") != std::string::npos);
}

TEST_CASE("the smallest configuration renders to itself") {
    const auto config = load(kBase);
    CHECK(load(render(*config))->version == config->version);
}
