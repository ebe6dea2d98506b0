// The kinds of values, through the keys that have them.
#include <catch2/catch.hpp>

#include "postfleet/config_files/load.hpp"

using namespace postfleet;
using namespace postfleet::config;
using namespace std::chrono_literals;

namespace {

const std::string kMinimal = "listeners: {relay: {address: \"127.0.0.1:2525\"}}\n";

ShapingKeys shaping(const std::string& keys) {
    const auto result = config_files::load_text(kMinimal + "shaping: [{" + keys + "}]\n");
    INFO(config_files::to_string(result.problems));
    REQUIRE(result.config);
    return result.config->shaping[0].keys;
}

std::string refused(const std::string& lines) {
    const auto result = config_files::load_text(kMinimal + lines + "\n");
    CHECK_FALSE(result.config);
    return config_files::to_string(result.problems);
}

std::string refused_shaping(const std::string& keys) { return refused("shaping: [{" + keys + "}]"); }

bool contains(const std::string& text, std::string_view part) {
    INFO(text);
    CHECK(text.find(part) != std::string::npos);
    return true;
}

}  // namespace

TEST_CASE("rates are a number per second, minute, hour or day") {
    CHECK(*shaping("max_message_rate: 500/m").max_message_rate == Rate{500, 1min});
    CHECK(shaping("max_message_rate: 500/m").max_message_rate->interval() == 120ms);
    CHECK(*shaping("max_connect_rate: 1/d").max_connect_rate == Rate{1, 24h});
    CHECK(shaping("max_message_rate: unlimited").max_message_rate->is_unlimited());
    CHECK(Rate{10, 1s}.to_string() == "10/s");
    for (const auto* wrong : {"500", "500/x", "/m", "500/", "5.5/m", "-1/m", "500/min", "1/ m"}) {
        contains(refused_shaping(std::string("max_message_rate: ") + wrong), "is not a rate; write N/s");
    }
    contains(refused_shaping("max_message_rate: 0/m"), "would send nothing; to stop a queue use `postfleet pause`");
    contains(refused_shaping("max_message_rate: 9999999999/s"), "is too high");
    contains(refused_shaping("max_message_rate: [1/m, 2/m]"), "is a list; must be a rate");
}

TEST_CASE("counts have a range, and zero has advice") {
    CHECK(*shaping("max_connections: 1").max_connections == 1);
    CHECK(*shaping("max_connections: unlimited").max_connections == kUnlimited);
    contains(refused_shaping("max_connections: 0"),
             "'0' is not a whole number from 1 to 10000000, or unlimited; to stop a queue");
    contains(refused_shaping("max_connections: -5"), "'-5' is not a whole number");
    contains(refused_shaping("max_connections: 1e3"), "'1e3' is not a whole number");
    contains(refused_shaping("max_connections: 99999999999999999999"), "is not a whole number");
    contains(refused_shaping("max_connections:"), "has no value; must be a whole number");
    contains(refused_shaping("max_connections: {a: 1}"), "is a mapping; must be a whole number");
}

TEST_CASE("durations have units and a range") {
    CHECK(*shaping("expire_after: 4d12h").expire_after == 108h);
    CHECK(shaping("retry_after: 5m").retry_after == std::vector<Duration>{5min});
    CHECK(shaping("retry_after: [1s, 1m30s]").retry_after == std::vector<Duration>{1s, 90s});
    contains(refused_shaping("expire_after: 10"), "'10' is not a duration; write numbers with ms, s, m, h or d");
    contains(refused_shaping("expire_after: -1h"), "is not a duration");
    contains(refused_shaping("expire_after: 0s"), "is out of range; 1ms to 365d");
    contains(refused_shaping("retry_after: []"), "must have 1 to 100 durations");
    contains(refused_shaping("retry_after: [5m, x]"), "'x' is not a duration");
}

TEST_CASE("sizes, flags and lists are checked") {
    contains(refused("spool: {max_in_flight: 10XB}"), "'10XB' is not a size; write octets, KiB, MiB or GiB");
    contains(refused("spool: {max_in_flight: 10}"), "is too small; at least 1MiB");
    contains(refused_shaping("pipelining: yes"), "'yes' must be true or false");
    contains(refused("virtual_mtas: {a: {source: [192.0.2.1, 192.0.2.1]}}"), "'192.0.2.1' is in the list twice");
    contains(refused("virtual_mtas: {a: {source: []}}"), "is an empty list");
    contains(refused("virtual_mtas: {a: {source: 0.0.0.0}}"), "leave the key out to let the system choose");
    contains(refused("virtual_mtas: {a: {source: \"192.0.2.1:25\"}}"), "without a port");
}

TEST_CASE("names are words that fit into a queue's name") {
    contains(refused("virtual_mtas: {\"a/b\": {}}"), "'a/b' is not a name; use up to 64 letters, digits");
    contains(refused("virtual_mtas: {\"\": {}}"), "is not a name");
    contains(refused("virtual_mtas: {a: {ehlo: 192.0.2.1}}"), "is an address; write it in brackets: [192.0.2.1]");
    contains(refused("virtual_mtas: {a: {ehlo: \"[nonsense]\"}}"), "is not an address literal");
}

TEST_CASE("patterns and wildcards are compiled") {
    contains(refused("bindings: [{mail_from: \"(a\", virtual_mta: default}]"), "'(a' is not a pattern: character");
    contains(refused("bindings: [{header: {\"a b\": x}, virtual_mta: default}]"), "'a b' is not a header name");
    contains(refused("bindings: [{header: x, virtual_mta: default}]"), "must be a mapping of header name to pattern");
    contains(refused("providers: {p: {mx: \"*\"}}"), "would take every host into the provider");
    contains(refused("providers: {p: {mx: \"a b\"}}"), "is not a wildcard over host names");
}

TEST_CASE("routes name hosts") {
    contains(refused("routes: {a.test: \"host:port\"}"), "is not a next hop; write relay.example.net");
    contains(refused("routes: {a.test: \"127.0.0.1:0\"}"), "is not a next hop");
    contains(refused("routes: {\"a b\": x.test}"), "is not a domain name");
    contains(refused("routes: {A.test: x.test, a.test: y.test}"), "is in the routes already, written differently");
}

TEST_CASE("pool members have weights of one or more") {
    contains(refused("virtual_mtas: {a: {}}\npools: {p: {members: {a: 0}}}"), "leave the member out instead");
    contains(refused("virtual_mtas: {a: {}}\npools: {p: {members: []}}"), "a pool needs at least one member");
    contains(refused("virtual_mtas: {a: {}}\npools: {p: {members: [a, a]}}"), "'a' is a member twice");
}
