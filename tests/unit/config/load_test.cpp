#include "postfleet/config/load.hpp"

#include <catch2/catch.hpp>

#include "postfleet/config/render.hpp"
#include "postfleet/config_files/load.hpp"
#include "postfleet/yaml/documents.hpp"

using namespace postfleet;
using namespace postfleet::config;
using namespace std::chrono_literals;

namespace {

constexpr const char* kMinimal = "listeners: {relay: {address: \"127.0.0.1:2525\"}}\n";

struct File {
    std::string name, text;
};

LoadResult load_files(const std::vector<File>& files, std::map<std::string, std::string> variables = {}) {
    std::vector<Node> documents;
    for (const auto& file : files) {
        auto read = yaml::parse_text(file.text, file.name);
        REQUIRE(read.problems.empty());
        for (auto& document : read.documents) documents.push_back(std::move(document));
    }
    Environment environment;
    environment.variable = [&](std::string_view name) -> std::optional<std::string> {
        const auto found = variables.find(std::string(name));
        return found == variables.end() ? std::nullopt : std::optional(found->second);
    };
    environment.hostname = "mta.machine.example";
    environment.directory = "/etc/postfleet";
    return load_config(documents, environment);
}

std::shared_ptr<const Config> good(const std::string& text, std::map<std::string, std::string> variables = {}) {
    auto result = load_files({{"a.yaml", text}}, std::move(variables));
    INFO(config_files::to_string(result.problems));
    REQUIRE(result.problems.empty());
    REQUIRE(result.config);
    return result.config;
}

std::string bad(const std::string& text) {
    const auto result = load_files({{"a.yaml", text}});
    CHECK_FALSE(result.config);
    return config_files::to_string(result.problems);
}

std::string bad_listener(const std::string& line) {
    return bad("listeners:\n  relay:\n    address: 127.0.0.1:2525\n    " + line + "\n");
}

}  // namespace

TEST_CASE("a listener is all that a configuration needs") {
    const auto config = good(kMinimal);
    CHECK(config->hostname == "mta.machine.example");
    CHECK(config->data_dir == "/var/lib/postfleet");
    CHECK(config->control_socket == "/var/lib/postfleet/control.sock");
    REQUIRE(config->virtual_mtas.size() == 1);
    CHECK(config->virtual_mtas.at("default").sources.empty());
    CHECK(config->virtual_mtas.at("default").ehlo == "mta.machine.example");
    CHECK(config->default_virtual_mta == "default");
    CHECK(config->tenants.contains("default"));
    CHECK(config->listeners.at("relay").relay_from == loopback_networks());
    CHECK_FALSE(config->http);
    CHECK_FALSE(config->version.empty());
}

TEST_CASE("the whole of a configuration is read into typed values") {
    const auto config = good(R"(
hostname: MTA1.Example.net
data_dir: spool
shards: 4
listeners:
  relay: {address: "127.0.0.1:2525", relay_from: ["127.0.0.0/8", 10.0.0.0/8], headers: honour, tenant: acme,
          max_message_size: 10MiB, max_messages_per_connection: unlimited, command_timeout: 90s}
http: {address: "127.0.0.1:8080"}
tenants: {acme: {}}
virtual_mtas:
  tx-1: {source: 192.0.2.10, ehlo: tx1.example.net, max_connections: 50, max_message_rate: 1000/h}
  promo-1: {source: [192.0.2.20, "2001:db8::20"], ehlo: "[192.0.2.20]"}
  promo-2: {source: 192.0.2.21}
pools:
  transactional: {members: [tx-1], priority: high}
  bulk: {members: {promo-1: 3, promo-2: 1}}
bindings:
  - {template: receipt, virtual_mta: transactional}
  - {header: {X-Campaign: "^promo"}, virtual_mta: bulk}
  - {client: 10.1.0.0/16, listener: relay, tenant: acme, virtual_mta: tx-1}
default_virtual_mta: bulk
unknown_virtual_mta: default
providers: {google: {mx: ["*.google.com", "*.googlemail.com"]}}
routes:
  example.test: ["127.0.0.1:2526", "relay.example.net"]
  .sub.test: "[2001:db8::1]:2525"
  "*": 192.0.2.99
shaping:
  - {max_connections: 7, retry_after: [10m, 30m], expire_after: 4d12h, pipelining: false}
  - match: {site: google, virtual_mta: promo-1}
    max_message_rate: 100/m
reports:
  - {type: file, path: events.jsonl, types: [email.delivered, email.bounced], rotate_size: 1MiB}
spool: {min_free: 2GiB}
log: {path: /var/log/postfleet.log, level: warning, attempts: false}
dns: {servers: ["127.0.0.1:5353"], timeout: 5s}
)");
    CHECK(config->hostname == "mta1.example.net");
    CHECK(config->data_dir == "/etc/postfleet/spool");
    CHECK(config->shards == 4);
    const auto& relay = config->listeners.at("relay");
    CHECK(relay.name == "relay");
    CHECK(relay.address.to_string() == "127.0.0.1:2525");
    CHECK(relay.relay_from.size() == 2);
    CHECK(relay.headers == HeaderTrust::Honour);
    CHECK(relay.max_message_size == 10u << 20);
    CHECK(relay.max_messages_per_connection == kUnlimited);
    CHECK(relay.command_timeout == 90s);
    CHECK(config->http->address.port == 8080);
    CHECK(config->virtual_mtas.at("promo-1").sources.size() == 2);
    CHECK(config->virtual_mtas.at("promo-1").ehlo == "[192.0.2.20]");
    CHECK(config->virtual_mtas.at("promo-2").ehlo == "mta1.example.net");
    CHECK(config->virtual_mtas.at("tx-1").limits.max_message_rate == Rate{1000, 1h});
    CHECK(config->virtual_mtas.at("tx-1").limits.max_connect_rate.is_unlimited());
    CHECK(config->pools.at("transactional").priority == Priority::High);
    CHECK(config->pools.at("bulk").members[0] == std::pair<std::string, std::uint32_t>("promo-1", 3));
    REQUIRE(config->bindings.size() == 3);
    CHECK(config->bindings[0].template_name == "receipt");
    CHECK(config->bindings[1].headers[0].second == "^promo");
    CHECK(config->bindings[2].client->to_string() == "10.1.0.0/16");
    CHECK(config->unknown_virtual_mta == Unknown::Default);
    CHECK(config->routes.at("example.test")[1] == RouteHop{"relay.example.net", 25});
    CHECK(config->routes.at(".sub.test")[0] == RouteHop{"2001:db8::1", 2525});
    CHECK(config->routes.at("*")[0] == RouteHop{"192.0.2.99", 25});
    CHECK(config->shaping[0].keys.max_connections == 7u);
    CHECK(config->shaping[0].keys.pipelining == false);
    CHECK(config->shaping[1].match.virtual_mta == "promo-1");
    CHECK(config->shaping[1].keys.max_message_rate == Rate{100, 1min});
    CHECK(config->origins.at("shaping[1].max_message_rate") == Origin{"a.yaml", 31, 23});
    CHECK(config->reports[0].path == "/etc/postfleet/events.jsonl");
    CHECK(config->reports[0].types == std::vector{EventType::Delivered, EventType::Bounced});
    CHECK(config->spool.min_free == 2ull << 30);
    CHECK(config->log.level == LogLevel::Warning);
    CHECK(config->dns.timeout == 5s);
}

TEST_CASE("a route may say how its hosts are entered") {
    const auto config = good(std::string(kMinimal) + R"(
routes:
  a.test: {hosts: ["smtp.example.net:587", "smtp.example.net:465"], user: me, password_file: secrets/me}
  b.test: {hosts: "192.0.2.1:2465", tls: implicit}
  c.test: ["smtp.example.net:465", "smtp.example.net"]
  d.test: {hosts: [smtp.example.net]}
)");
    const auto& a = config->routes.at("a.test");
    REQUIRE(a.size() == 2);
    CHECK(*a[0].access == RouteAccess{.user = "me", .password_file = "/etc/postfleet/secrets/me"});
    CHECK(a[0].access->is_verified());
    CHECK(a[1].access->is_implicit_tls);
    CHECK(a[1].access->user == "me");
    const auto& b = config->routes.at("b.test");
    CHECK(*b[0].access == RouteAccess{.tls = RouteTls::Implicit, .is_implicit_tls = true});
    CHECK(b[0].access->is_verified());
    const auto& c = config->routes.at("c.test");
    CHECK(*c[0].access == RouteAccess{.is_implicit_tls = true});
    CHECK_FALSE(c[0].access->is_verified());
    CHECK_FALSE(c[1].access);
    CHECK_FALSE(config->routes.at("d.test")[0].access);
    // It is shown as it can be written, without the password.
    const std::string shown = render(*config);
    CHECK(shown.find("    user: me ") != std::string::npos);
    CHECK(shown.find("    password_file: /etc/postfleet/secrets/me") != std::string::npos);
    CHECK(shown.find("  c.test: [\"smtp.example.net:465\", smtp.example.net]") != std::string::npos);
}

TEST_CASE("a login needs a password, and a route hosts") {
    const auto text = [](const std::string& route) {
        return bad(std::string(kMinimal) + "routes:\n  a.test: " + route + "\n");
    };
    CHECK(text("{hosts: [h.test], user: me}").find("user and password_file belong together") != std::string::npos);
    CHECK(text("{hosts: [h.test], password_file: p}").find("belong together") != std::string::npos);
    CHECK(text("{user: me, password_file: p}").find("hosts") != std::string::npos);
    CHECK(text("{hosts: [h.test], tls: may}").find("'may'") != std::string::npos);
    CHECK(text("{hosts: [h.test], password: p}").find("password_file") != std::string::npos);
}

TEST_CASE("all problems are reported at once, in the order of the files") {
    const auto result = load_files({{"b.yaml", "shards: many\nhttp: {address: nowhere}\n"},
                                    {"a.yaml", "hostname: ' '\nlisteners: {relay: {}}\nfoo: 1\n"}});
    REQUIRE(result.problems.size() == 5);
    CHECK(result.problems[0].to_string().starts_with("a.yaml:1:11: hostname: ' ' is not a domain name"));
    CHECK(result.problems[1].to_string() ==
          "a.yaml:2:20: listeners.relay.address: is missing; it is needed here (address:port)");
    CHECK(result.problems[2].to_string().starts_with("a.yaml:3:1: foo: unknown key 'foo'; known here: hostname, "));
    CHECK(result.problems[3].to_string() == "b.yaml:1:9: shards: 'many' is not a whole number from 0 to 256");
    CHECK(result.problems[4].to_string().starts_with(
        "b.yaml:2:17: http.address: 'nowhere' is not an address with a port"));
}

TEST_CASE("a near miss is suggested, and a key in the wrong place is told where it belongs") {
    CHECK(
        bad_listener("max_conections: 5") ==
        "a.yaml:4:5: listeners.relay.max_conections: unknown key 'max_conections'; did you mean 'max_connections'?\n");
    CHECK(bad_listener("max-recipients: 5").find("did you mean 'max_recipients'?") != std::string::npos);
    CHECK(bad_listener("retry_after: 5m").find("unknown key 'retry_after' here; it belongs to shaping[]") !=
          std::string::npos);
    CHECK(bad_listener("headers: honor").find("must be one of: ignore, honour; did you mean 'honour'?") !=
          std::string::npos);
}

TEST_CASE("keys of other versions are refused with a reason") {
    CHECK(bad_listener("ciphers: x").find("is not supported by this version of Postfleet") != std::string::npos);
    CHECK(bad(std::string(kMinimal) + "webhooks: []\n").find("webhooks: is not supported by this version") !=
          std::string::npos);
    CHECK(bad(std::string(kMinimal) + "reports: [{type: webhook, path: x}]\n").find("'webhook' must be one of: file") !=
          std::string::npos);
}

TEST_CASE("a key that is defined twice names both places") {
    CHECK(bad(std::string(kMinimal) + "shards: 1\nshards: 2\n") ==
          "a.yaml:3:1: shards: is defined twice; the first time at a.yaml:2:1\n");
    const auto result = load_files({{"a.yaml", "hostname: a.example\n" + std::string(kMinimal)},
                                    {"b.yaml", "hostname: b.example\n"},
                                    {"c.yaml", "listeners: {relay: {address: \"127.0.0.1:2526\"}}\n"}});
    REQUIRE(result.problems.size() == 2);
    CHECK(result.problems[0].to_string() == "b.yaml:1:1: hostname: is defined twice; the first time at a.yaml:1:1");
    CHECK(result.problems[1].to_string() ==
          "c.yaml:1:13: listeners.relay: is defined twice; the first time at a.yaml:2:13");
}

TEST_CASE("files are put together: names under a mapping, elements of a list") {
    const auto result =
        load_files({{"a.yaml", std::string(kMinimal) +
                                   "virtual_mtas: {a: {}}\nshaping: [{max_connections: 1}]\nspool: {min_free: 1MiB}\n"},
                    {"b.yaml",
                     "virtual_mtas: {b: {}}\nshaping: [{max_connections: 2}]\ndefault_virtual_mta: b\n"
                     "spool: {max_in_flight: 2MiB}\n"}});
    INFO(config_files::to_string(result.problems));
    REQUIRE(result.config);
    CHECK(result.config->virtual_mtas.size() == 2);
    REQUIRE(result.config->shaping.size() == 2);
    CHECK(result.config->shaping[1].origin.file == "b.yaml");
    CHECK(result.config->spool.min_free == 1u << 20);
    CHECK(result.config->spool.max_in_flight == 2u << 20);
}

TEST_CASE("references to the environment are replaced and their values never shown") {
    const auto config = good(
        "listeners: {relay: {address: \"${HOST}:${PORT}\"}}\nhostname: a.example\n"
        "bindings: [{job: \"$${x}\", virtual_mta: default}]\n",
        {{"HOST", "127.0.0.1"}, {"PORT", "2600"}});
    CHECK(config->listeners.at("relay").address.port == 2600);
    CHECK(config->references.at("listeners.relay.address") == "${HOST}:${PORT}");
    CHECK(config->bindings[0].job == "${x}");

    const auto result = load_files(
        {{"a.yaml", "listeners: {relay: {address: \"${SECRET}\"}}\nhostname: ${NONE}\nlog: {path: \"${a\"}\n"}},
        {{"SECRET", "hunter2"}});
    const auto text = config_files::to_string(result.problems);
    CHECK(text.find("hunter2") == std::string::npos);
    CHECK(text.find("'${SECRET}' (from the environment) is not an address with a port") != std::string::npos);
    CHECK(text.find("hostname: the environment variable NONE is not set") != std::string::npos);
    CHECK(text.find("has a broken reference") != std::string::npos);
}

TEST_CASE("references that lead nowhere are reported with a suggestion") {
    const auto text = bad(std::string(kMinimal) + R"(virtual_mtas: {tx-1: {}, tx-2: {}}
pools: {bulk: {members: [tx-1, tx-9]}, tx-2: {members: [tx-1]}, two: {members: [bulk]}}
bindings: [{virtual_mta: blk, job: x}, {listener: rely, tenant: acme, virtual_mta: bulk}]
default_virtual_mta: nobody
shaping:
  - {match: {site: nowhere, virtual_mta: tx-3, pool: tx-1, tenant: acme}, retry_after: 1m}
  - {match: {site: "*.google.com"}, max_connections: 3}
)");
    CHECK(text.find("pools.bulk.members: there is no virtual MTA 'tx-9'; did you mean") != std::string::npos);
    CHECK(text.find("pools.tx-2: there is a virtual MTA of that name at a.yaml:2:26") != std::string::npos);
    CHECK(text.find("pools.two.members: 'bulk' is a pool; members are virtual MTAs") != std::string::npos);
    CHECK(text.find("bindings[0].virtual_mta: there is no virtual MTA or pool 'blk'; did you mean 'bulk'?") !=
          std::string::npos);
    CHECK(text.find(
              "bindings[1].listener: there is no listener, pickup or submission queue 'rely'; did you mean 'relay'?") !=
          std::string::npos);
    CHECK(text.find("bindings[1].tenant: there is no tenant 'acme'") != std::string::npos);
    CHECK(text.find("default_virtual_mta: there is no virtual MTA or pool 'nobody'") != std::string::npos);
    CHECK(text.find("shaping[0].match.site: there is no provider 'nowhere'") != std::string::npos);
    CHECK(text.find("shaping[0].match.virtual_mta: there is no virtual MTA 'tx-3'") != std::string::npos);
    CHECK(text.find("shaping[0].match.pool: there is no pool 'tx-1'") != std::string::npos);
    CHECK(text.find("shaping[0].match.tenant: there is no tenant 'acme'") != std::string::npos);
    CHECK(text.find("shaping[1].match.site: '*.google.com': wildcards belong into `providers`") != std::string::npos);
}

TEST_CASE("what cannot be meant is refused") {
    CHECK(bad("hostname: a.example\n") == "a.yaml:1:1: listeners: is missing; it is needed here (mapping of names)\n");
    CHECK(bad("listeners:\n") == "a.yaml:1:1: listeners: has no listener, so no mail could come in\n");
    CHECK(bad(std::string(kMinimal) + "virtual_mtas: {a: {}, b: {}}\n")
              .find("there are 2, so default_virtual_mta must say") != std::string::npos);
    CHECK(bad("listeners: {a: {address: \"127.0.0.1:25\"}, b: {address: \"127.0.0.1:25\"}}\n")
              .find("127.0.0.1:25 is the address of listeners.a.address already (a.yaml:1:26)") != std::string::npos);
    CHECK(bad(std::string(kMinimal) + "bindings: [{virtual_mta: default}, {job: x, virtual_mta: default}]\n")
              .find("takes everything, so the 1 after it never apply") != std::string::npos);
    CHECK(bad(std::string(kMinimal) + "shaping: [{match: {domain: a.test}}]\n").find("sets nothing") !=
          std::string::npos);
    CHECK(bad(std::string(kMinimal) + "shaping: [{match: {tenant: default}, max_connections: 1}]\n")
              .find("shapes a whole queue") != std::string::npos);
    CHECK(bad(std::string(kMinimal) + "providers: {a: {mx: \"*.x\"}, b: {mx: \"*.X\"}}\n")
              .find("'*.x' is in provider 'a' already") != std::string::npos);
    CHECK(bad(std::string(kMinimal) + "reports: [{type: file, path: a}, {type: file, path: b}]\n")
              .find("is named 'file' as the one at") != std::string::npos);
    CHECK(bad("- a\n- b\n").find("a.yaml:1:1: must be a mapping") != std::string::npos);
}

TEST_CASE("a misspelt key is one problem, also when it is a required one") {
    const auto result = load_files({{"a.yaml", "listeners: {relay: {adress: \"127.0.0.1:25\"}}\n"}});
    REQUIRE(result.problems.size() == 1);
    CHECK(result.problems[0].text == "unknown key 'adress'; did you mean 'address'?");
}

TEST_CASE("an unknown key in a rule is one problem, not two") {
    CHECK(load_files({{"a.yaml", std::string(kMinimal) + "shaping: [{max_conections: 1}]\n"}}).problems.size() == 1);
}

TEST_CASE("the version changes with the values, and not with comments or places") {
    CHECK(good(kMinimal)->version == good("# hello\n\n" + std::string(kMinimal))->version);
    CHECK(good(kMinimal)->version == good(std::string(kMinimal) + "shards: 0\n")->version);
    CHECK(good(kMinimal)->version != good(std::string(kMinimal) + "shards: 1\n")->version);
}

TEST_CASE("TLS needs a certificate, and a certificate needs TLS [X3207] [X8314]") {
    CHECK(bad_listener("tls: starttls").find("listeners.relay.tls: needs a certificate") != std::string::npos);
    CHECK(bad_listener("certificate: a.pem").find("a.yaml:4:18: listeners.relay.certificate: has no effect") !=
          std::string::npos);
    CHECK(bad_listener("tls: ssl").find("listeners.relay.tls") != std::string::npos);
    const auto listener = [](const std::string& more) {
        return good("listeners: {s: {address: \"127.0.0.1:465\", tls: implicit, certificate: tls.crt" + more + "}}\n")
            ->listeners.at("s");
    };
    CHECK(listener("").certificate == "/etc/postfleet/tls.crt");
    CHECK(listener("").private_key == "/etc/postfleet/tls.crt");
    CHECK(listener(", private_key: tls.key").private_key == "/etc/postfleet/tls.key");
}

TEST_CASE("users belong to tenants that say what they may send as [SEC-8]") {
    const std::string users =
        "tenants: {acme: {send_as: [Acme.Example, .acme.example]}, empty: {}}\n"
        "virtual_mtas: {tx: {}}\n"
        "listeners: {s: {address: \"127.0.0.1:587\", auth: required, auth_without_tls: true}}\n";
    const auto config = good(users + "users: {shop: {tenant: acme, password_file: shop.pw, virtual_mta: tx}}\n");
    CHECK(config->tenants.at("acme").send_as == std::vector<std::string>{"acme.example", ".acme.example"});
    CHECK(config->users.at("shop").password_file == "/etc/postfleet/shop.pw");
    const auto wrong = [&](const std::string& user) { return bad(users + "users: {shop: " + user + "}\n"); };
    CHECK(wrong("{tenant: acme}").find("users.shop: could never log in") != std::string::npos);
    CHECK(wrong("{tenant: empty, password_file: x}").find("tenants.empty.send_as") != std::string::npos);
    CHECK(wrong("{tenant: acne, password_file: x}").find("did you mean 'acme'?") != std::string::npos);
    CHECK(wrong("{tenant: acme, certificate: abc}").find("is not a SHA-256 fingerprint") != std::string::npos);
    CHECK(wrong("{tenant: acme, password_file: x, virtual_mta: ty}").find("no virtual MTA or pool 'ty'") !=
          std::string::npos);
}

TEST_CASE("passwords are not offered in plain text by accident [SEC-9] [X4954]") {
    CHECK(bad_listener("auth: required").find("listeners.relay.auth: needs somebody who can log in") !=
          std::string::npos);
    CHECK(bad_listener("auth: optional").find("without TLS passwords go in plain text") != std::string::npos);
}

TEST_CASE("pickup directories are checked like listeners") {
    const std::string base =
        "listeners: {relay: {address: \"127.0.0.1:25\"}}\nvirtual_mtas: {tx: {}}\ntenants: {acme: {}}\n";
    const auto config = good(base +
                             "pickups: {files: {directory: in, bad_directory: bad, tenant: acme}}\n"
                             "bindings: [{listener: files, virtual_mta: tx}]\n");
    CHECK(config->pickups.at("files").directory == "/etc/postfleet/in");
    CHECK(config->pickups.at("files").headers == HeaderTrust::Honour);
    const auto wrong = [&](const std::string& pickups) { return bad(base + "pickups: {" + pickups + "}\n"); };
    CHECK(wrong("files: {directory: in}").find("bad_directory") != std::string::npos);
    CHECK(wrong("files: {directory: in, bad_directory: in}").find("files are taken from") != std::string::npos);
    CHECK(wrong("relay: {directory: in, bad_directory: bad}").find("a listener of that name") != std::string::npos);
    CHECK(
        wrong("a: {directory: in, bad_directory: x}, b: {directory: in, bad_directory: y}").find("of pickup 'a' too") !=
        std::string::npos);
    CHECK(wrong("files: {directory: in, bad_directory: bad, virtual_mta: ty}").find("no virtual MTA or pool 'ty'") !=
          std::string::npos);
}

TEST_CASE("a DKIM rule has good defaults, and mistakes in it are found before mail is signed") {
    const std::string rule = std::string(kMinimal) + "dkim: [{domain: Example.com, selector: S1, key_file: k.pem";
    const auto made = good(rule + "}]\n")->dkim.at(0);
    CHECK(made.domain == "example.com");
    CHECK(made.selector == "s1");
    CHECK(made.key_file == "/etc/postfleet/k.pem");
    CHECK(made.canonicalization == Canonicalizations{Canonicalization::Relaxed, Canonicalization::Relaxed});
    CHECK(made.expire_after == Duration{});
    CHECK(good(rule + ", identity: \"@news.example.com\", match: \"*\", tenants: default}]\n")->dkim.at(0).identity ==
          "@news.example.com");
    CHECK(bad(rule + ", identity: \"@other.example\"}]\n").find("at the signing domain or below it") !=
          std::string::npos);
    CHECK(bad(rule + ", tenants: [nobody]}]\n").find("no tenant 'nobody'") != std::string::npos);
    CHECK(bad(rule + ", users: [nobody]}]\n").find("no user 'nobody'") != std::string::npos);
    CHECK(bad(rule + ", headers: [\"Su:bject\"]}]\n").find("no name of a header field") != std::string::npos);
    CHECK(bad(rule + ", canonicalization: strict}]\n").find("relaxed/relaxed") != std::string::npos);
    CHECK(bad(std::string(kMinimal) + "dkim: [{domain: a.example, selector: \"s 1\", key_file: k}]\n")
              .find("is no selector") != std::string::npos);
}

TEST_CASE("submission queues are checked like listeners") {
    const std::string base = std::string(kMinimal) + "tenants: {acme: {}}\n";
    const auto config = good(base + "submission_queues: {shop: {url: \"${BROKER}\", tenant: acme}}\n",
                             {{"BROKER", "amqp://shop:secret@broker.example"}});
    const SubmissionQueue& queue = config->submission_queues.at("shop");
    CHECK(queue.queue == "postfleet.submit");
    CHECK(queue.rejected_queue == "postfleet.rejected");
    CHECK(queue.message_checks == MessageChecks::Repair);
    const auto wrong = [&](const std::string& queues) { return bad(base + "submission_queues: {" + queues + "}\n"); };
    const std::string url = "url: \"amqp://b\", ";
    CHECK(wrong("shop: {tenant: acme}").find("submission_queues.shop.url") != std::string::npos);
    CHECK(wrong("relay: {" + url + "tenant: acme}").find("share one namespace") != std::string::npos);
    CHECK(wrong("shop: {" + url + "tenant: acmee}").find("did you mean 'acme'?") != std::string::npos);
    CHECK(wrong("shop: {" + url + "virtual_mta: x}").find("there is no virtual MTA or pool 'x'") != std::string::npos);
    CHECK(wrong("shop: {" + url + "queue: a, rejected_queue: a}").find("is the queue that mail is taken from") !=
          std::string::npos);
}

TEST_CASE("gRPC listeners are for this machine, unless they have TLS") {
    const std::string base = std::string(kMinimal) + "tenants: {acme: {}}\n";
    const auto config = good(base + "grpc_listeners: {api: {address: \"127.0.0.1:2526\"}}\n");
    const GrpcListener& listener = config->grpc_listeners.at("api");
    CHECK(listener.relay_from == loopback_networks());
    CHECK(listener.require_client_certificate);
    CHECK(listener.message_checks == MessageChecks::Repair);
    const auto open = good(base + "grpc_listeners: {api: {address: \"0.0.0.0:2526\", unsafe_plaintext: true}}\n");
    CHECK(open->grpc_listeners.at("api").unsafe_plaintext);
    const auto wrong = [&](const std::string& keys) { return bad(base + "grpc_listeners: {" + keys + "}\n"); };
    CHECK(wrong("api: {address: \"0.0.0.0:2526\"}").find("mail and passwords need TLS") != std::string::npos);
    const std::string address = "{address: \"127.0.0.1:2526\", ";
    CHECK(wrong("api: " + address + "client_ca: a.pem}").find("has no effect without TLS") != std::string::npos);
    CHECK(wrong("api: " + address + "relay_from: []}").find("nobody could submit") != std::string::npos);
    CHECK(wrong("api: " + address + "tenant: acmee}").find("did you mean 'acme'?") != std::string::npos);
    CHECK(wrong("relay: " + address + "tenant: acme}").find("share one namespace") != std::string::npos);
    CHECK(
        wrong("a: " + address + "}, b: " + address + "}").find("is the address of grpc_listeners.a.address already") !=
        std::string::npos);
}

TEST_CASE("each type of report has its own keys, and those of another are refused") {
    const auto amqp = [](const std::string& keys) {
        return bad(std::string(kMinimal) + "reports: [{type: amqp" + keys + "}]\n");
    };
    CHECK(amqp("").find("reports[0]: needs a `url`") != std::string::npos);
    CHECK(amqp(", url: \"http://h\"").find("needs a `url`") == std::string::npos);  // there is one, which is wrong
    CHECK(amqp(", url: \"amqp://h\", path: x").find("path: is of another `type` of report") != std::string::npos);
    CHECK(amqp(", url: \"amqp://h\", topic: t").find("topic: is of another `type` of report") != std::string::npos);
    const auto kafka = [](const std::string& keys) {
        return bad(std::string(kMinimal) + "reports: [{type: kafka" + keys + "}]\n");
    };
    CHECK(kafka("").find("needs `brokers`") != std::string::npos);
    CHECK(kafka(", brokers: [\"h:9092\"]").find("needs a `topic`") != std::string::npos);
    CHECK(kafka(", brokers: [h], topic: t").find("is not host:port") != std::string::npos);
    CHECK(kafka(", brokers: [\"h:1\"], topic: \"a b\"").find("is no topic") != std::string::npos);
    CHECK(kafka(", brokers: [\"h:1\"], topic: t, sasl: plain").find("sasl, user and password_file belong together") !=
          std::string::npos);
    CHECK(kafka(", brokers: [\"h:1\"], topic: t, ca_file: x").find("set `tls: true`") != std::string::npos);
    CHECK(bad(std::string(kMinimal) + "reports: [{type: file}]\n").find("needs a `path`") != std::string::npos);
}
