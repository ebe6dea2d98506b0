#include "postfleet/shaping/settings.hpp"

#include <catch2/catch.hpp>

#include "postfleet/config_files/load.hpp"

using namespace postfleet;
using namespace postfleet::shaping;
using namespace std::chrono_literals;

namespace {

std::shared_ptr<const config::Config> load(const std::string& rules) {
    const auto result = config_files::load_text(R"(
listeners: {relay: {address: "127.0.0.1:2525"}}
tenants: {acme: {}}
virtual_mtas: {tx-1: {}, promo-1: {}, promo-2: {}}
pools: {bulk: {members: [promo-1, promo-2]}, all: {members: [tx-1, promo-1]}}
default_virtual_mta: bulk
providers: {google: {mx: ["*.google.com"]}}
shaping:
)" + rules,
                                                "mta.yaml");
    INFO(config_files::to_string(result.problems));
    REQUIRE(result.config);
    return result.config;
}

std::uint32_t connections(const config::Config& config, const QueueIdentity& queue) {
    return resolve(config, queue).max_connections;
}

}  // namespace

TEST_CASE("without rules every key has its default") {
    const auto config = load("  []\n");
    const auto settings = resolve(*config, {.site = "a.test", .virtual_mta = "tx-1"});
    CHECK(settings == Settings{});
    CHECK(settings.max_connections == 20);
    CHECK(settings.retry_after == std::vector<Duration>{10min, 30min, 1h, 2h, 4h});
    CHECK(settings.expire_after == 108h);
    CHECK(settings.end_of_data_timeout == 10min);  // RFC 5321 §4.5.3.2.6
}

TEST_CASE("destination beats identity, and the more specific of each wins, whatever the order") {
    const auto config = load(R"(
  - {match: {domain: a.test, virtual_mta: promo-1}, max_connections: 9}
  - {match: {domain: a.test}, max_connections: 8}
  - {match: {site: google, virtual_mta: promo-1}, max_connections: 7}
  - {match: {site: google, pool: bulk}, max_connections: 6}
  - {match: {site: google}, max_connections: 5}
  - {match: {virtual_mta: promo-1}, max_connections: 4}
  - {match: {pool: bulk}, max_connections: 3}
  - {max_connections: 2}
)");
    CHECK(connections(*config, {.site = "google", .virtual_mta = "promo-1"}) == 7);
    CHECK(connections(*config, {.site = "google", .virtual_mta = "promo-2"}) == 6);
    CHECK(connections(*config, {.site = "google", .virtual_mta = "tx-1"}) == 5);
    CHECK(connections(*config, {.site = "b.test", .virtual_mta = "promo-1"}) == 4);
    CHECK(connections(*config, {.site = "b.test", .virtual_mta = "promo-2"}) == 3);
    CHECK(connections(*config, {.site = "b.test", .virtual_mta = "tx-1"}) == 2);
    CHECK(connections(*config, {.site = "a.test", .virtual_mta = "promo-1"}) == 9);
    CHECK(connections(*config, {.site = "a.test", .virtual_mta = "promo-2"}) == 8);
}

TEST_CASE("each key is merged on its own") {
    const auto config = load(R"(
  - {max_connections: 2, max_message_rate: 10/s, retry_after: 5m}
  - {match: {site: google}, max_message_rate: 500/m}
  - {match: {site: google, virtual_mta: tx-1}, max_connections: 1}
)");
    const auto settings = resolve(*config, {.site = "google", .virtual_mta = "tx-1"});
    CHECK(settings.max_connections == 1);
    CHECK(settings.max_message_rate == config::Rate{500, 1min});
    CHECK(settings.retry_after == std::vector<Duration>{5min});
}

TEST_CASE("of equally specific rules the later one wins") {
    const auto config = load(R"(
  - {match: {site: google, pool: bulk}, max_connections: 3}
  - {match: {site: google, pool: all}, max_connections: 4}
  - {max_message_rate: 10/s}
  - {max_message_rate: unlimited}
)");
    const auto settings = resolve(*config, {.site = "google", .virtual_mta = "promo-1"});  // in both pools
    CHECK(settings.max_connections == 4);
    CHECK(settings.max_message_rate.is_unlimited());
}

TEST_CASE("domain and tenant decide the keys of the mail, recipient by recipient") {
    const auto config = load(R"(
  - {match: {domain: gmail.com}, max_connections: 1, expire_after: 1d}
  - {match: {domain: gmail.com, tenant: acme}, expire_after: 2d}
  - {match: {tenant: acme}, retry_after: 1m}
)");
    CHECK(mail_keys_differ(*config));
    const auto queue = resolve(*config, {.site = "google", .virtual_mta = "tx-1"});
    CHECK(queue == Settings{});
    const auto mail =
        resolve(*config, {.site = "google", .virtual_mta = "tx-1", .domain = "gmail.com", .tenant = "acme"});
    CHECK(mail.expire_after == 48h);
    CHECK(mail.retry_after == std::vector<Duration>{1min});
    CHECK(mail.max_connections == 20);  // the queue belongs to all of google
    const auto own = resolve(*config, {.site = "gmail.com", .virtual_mta = "tx-1"});
    CHECK(own.max_connections == 1);
    CHECK(own.expire_after == 24h);
    CHECK_FALSE(mail_keys_differ(*load("  [{match: {domain: a.test}, max_connections: 1}]\n")));
}

TEST_CASE("every value is explained by its rule and its place") {
    const auto config =
        load("  - max_connections: 2\n  - match: {site: google, virtual_mta: tx-1}\n    max_message_rate: 100/m\n");
    const auto lines = explain(*config, {.site = "google", .virtual_mta = "tx-1"});
    const auto line = [&](const std::string& key) {
        const auto found = std::find_if(lines.begin(), lines.end(), [&](const auto& each) { return each.key == key; });
        REQUIRE(found != lines.end());
        return *found;
    };
    CHECK(line("max_connections").value == "2");
    CHECK(line("max_connections").origin == Origin{"mta.yaml", 9, 22});
    CHECK(line("max_connections").rule.empty());
    CHECK_FALSE(line("max_connections").is_default);
    CHECK(line("max_message_rate").value == "100/m");
    CHECK(line("max_message_rate").origin.line == 11);
    CHECK(line("max_message_rate").rule == "site: google, virtual_mta: tx-1");
    CHECK(line("retry_after").value == "[10m, 30m, 1h, 2h, 4h]");
    CHECK(line("retry_after").is_default);
    CHECK(line("max_connect_rate").value == "unlimited");
}

TEST_CASE("by default retries begin after ten minutes, grow, and end after four and a half days", "[C5321-9]") {
    const shaping::Settings settings;
    CHECK(settings.retry_after.front() >= 5min);
    CHECK(settings.retry_after.front() <= 30min);
    CHECK(std::is_sorted(settings.retry_after.begin(), settings.retry_after.end()));
    CHECK(settings.expire_after >= 96h);
    CHECK(settings.expire_after <= 120h);
}

TEST_CASE("the default time-outs are the standard's, and a shorter one is told of with its rule", "[C5321-3]") {
    const shaping::Settings settings;
    CHECK(settings.greeting_timeout == 5min);
    CHECK(settings.mail_timeout == 5min);
    CHECK(settings.rcpt_timeout == 5min);
    CHECK(settings.data_timeout == 2min);
    CHECK(settings.body_timeout == 3min);
    CHECK(settings.end_of_data_timeout == 10min);
    config::Config config;
    CHECK(shaping::timeouts_below_standard(config).empty());
    config::ShapingRule rule;
    rule.match.domain = "slow.test";
    rule.keys.end_of_data_timeout = 1min;
    rule.keys.greeting_timeout = 5min;
    rule.keys.quit_timeout = 1s;
    config.shaping.push_back(rule);
    const auto found = shaping::timeouts_below_standard(config);
    REQUIRE(found.size() == 1);
    CHECK(found[0].key == "end_of_data_timeout");
    CHECK(found[0].rule == "domain: slow.test");
    CHECK(found[0].value == 1min);
    CHECK(found[0].least == 10min);
}

TEST_CASE("the keys of backoff are merged one by one, like the others") {
    const auto config = load(R"(
  - {max_message_rate: 500/m, backoff: {max_connections: 3, leave_after: 2h}}
  - {match: {site: google}, backoff: {max_message_rate: 60/m}}
  - {match: {pool: bulk}, backoff: {retry_after: [20m]}}
  - {match: {site: google, pool: bulk}, backoff: {leave_after: never}}
  - {match: {site: google, virtual_mta: promo-1}, backoff: {max_connections: 1, leave_on_delivery: true}}
)");
    const auto usual = resolve(*config, {.site = "google", .virtual_mta = "promo-1"});
    CHECK(usual.max_connections == 20);
    const auto careful = in_backoff(usual);
    CHECK(careful.max_connections == 1);
    CHECK(careful.max_message_rate == config::Rate{60, 1min});
    CHECK(careful.retry_after == std::vector<Duration>{20min});
    CHECK(usual.backoff_leave_after.is_never());
    CHECK(usual.backoff_leave_on_delivery);
    const auto other = in_backoff(resolve(*config, {.site = "yahoo", .virtual_mta = "tx-1"}));
    CHECK(other.max_connections == 3);
    CHECK(other.max_message_rate == config::Rate{500, 1min});  // never more than usual
    CHECK(other.backoff_leave_after.value == 2h);
    const auto lines = explain(*config, {.site = "google", .virtual_mta = "promo-1"});
    const auto found = std::find_if(lines.begin(), lines.end(),
                                    [](const auto& line) { return line.key == "backoff.max_message_rate"; });
    REQUIRE(found != lines.end());
    CHECK(found->value == "60/m");
    CHECK(found->rule == "site: google");
    CHECK(found->origin.line > 0);
}

TEST_CASE("the limits that a queue shares are explained with their origin") {
    const auto config = load(R"(
  - {per_destination: {max_connections: 5}, max_data_rate: 1MiB/s, backoff: {max_data_rate: 1KiB/s}}
outbound: {max_connections: 50, per_source: {max_data_rate: 10MiB/m}}
)");
    const QueueIdentity queue{.site = "google", .virtual_mta = "tx-1"};
    const auto shared = explain_shared(*config, queue);
    REQUIRE(shared.size() == 2);
    CHECK(shared[0].key == "outbound.per_source.max_data_rate");
    CHECK(shared[0].value == "10MiB/m");
    CHECK(shared[1].key == "outbound.max_connections");
    CHECK(shared[1].value == "50");
    CHECK(shared[1].origin.line > 0);
    const auto settings = resolve(*config, queue);
    CHECK(settings.per_destination().max_connections == 5);
    CHECK(settings.per_source().is_unlimited());
    CHECK(settings.max_data_rate == config::DataRate{1 << 20, 1s});
    CHECK(in_backoff(settings).max_data_rate == config::DataRate{1 << 10, 1s});
    CHECK(settings.max_data_rate.time_for(1 << 19) == 500ms);
}
