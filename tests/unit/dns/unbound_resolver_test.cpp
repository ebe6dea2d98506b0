// The resolver against a name server of our own, over real sockets.
#include "postfleet/dns/unbound_resolver.hpp"

#include <catch2/catch.hpp>
#include <optional>

#include "postfleet/support/dns_server.hpp"
#include "postfleet/support/manual_executor.hpp"

using namespace postfleet;
using namespace postfleet::dns;
using namespace std::chrono_literals;
using support::DnsServer;
using Kind = MxAnswer::Kind;

namespace {

struct Fixture {
    explicit Fixture(Options options = {}) {
        options.servers = {server.endpoint()};
        auto made = UnboundResolver::create(options, metrics);
        REQUIRE(made);
        resolver = std::move(*made);
    }
    // The callbacks run on `shard`'s thread, which is this one.
    MxAnswer mx(const std::string& domain) {
        return wait([&](auto done) { resolver->resolve_mx(domain, std::move(done)); });
    }
    MxAnswer host(const std::string& name) {
        return wait([&](auto done) { resolver->resolve_host(name, std::move(done)); });
    }
    TxtAnswer txt(const std::string& name) {
        return wait<TxtAnswer>([&](auto done) { resolver->resolve_txt(name, std::move(done)); });
    }
    TlsaAnswer tlsa(const std::string& name) {
        return wait<TlsaAnswer>([&](auto done) { resolver->resolve_tlsa(name, std::move(done)); });
    }

    template <class Answer = MxAnswer, class Ask>
    Answer wait(Ask ask) {
        std::optional<Answer> got;
        ask(Completion<Answer>{&shard, [&](Answer answer) { got = std::move(answer); }});
        CHECK_FALSE(got);  // never inside the call
        REQUIRE(shard.run_until([&] { return got.has_value(); }, 30s));
        return *got;
    }

    DnsServer server;
    Metrics metrics;
    support::ManualExecutor shard;
    std::unique_ptr<UnboundResolver> resolver;
};

}  // namespace

TEST_CASE("MX, A and AAAA come in one answer") {
    Fixture dns;
    dns.server.add_mx("a.test", 20, "mx2.a.test");
    dns.server.add_mx("a.test", 10, "mx1.a.test");
    dns.server.add_address("mx1.a.test", "127.0.0.1");
    dns.server.add_address("mx1.a.test", "::1");
    dns.server.add_address("mx2.a.test", "127.0.0.2");
    const auto answer = dns.mx("A.Test.");
    CHECK(answer.kind == Kind::Found);
    REQUIRE(answer.hosts.size() == 2);
    CHECK(answer.hosts[0].name == "mx1.a.test");
    CHECK(answer.hosts[0].addresses.size() == 2);
    CHECK(answer.hosts[1].preference == 20);
    CHECK(answer.time_to_live == 300s);
    CHECK(answer.state == DnsState::Insecure);
}

TEST_CASE("an answer is asked for once while it lasts") {
    Fixture dns;
    dns.server.add_mx("a.test", 10, "mx.a.test");
    dns.server.add_address("mx.a.test", "127.0.0.1");
    std::size_t answered = 0;
    for (int i = 0; i < 50; ++i) {
        dns.resolver->resolve_mx("a.test",
                                 {&dns.shard, [&](MxAnswer answer) { answered += answer.kind == Kind::Found; }});
    }
    REQUIRE(dns.shard.run_until([&] { return answered == 50; }));
    CHECK(dns.mx("a.test").hosts.size() == 1);
    CHECK(dns.server.queries("a.test", DnsServer::Type::Mx) == 1);
    CHECK(dns.server.queries("mx.a.test", DnsServer::Type::A) == 1);
}

TEST_CASE("implicit MX, null MX, no such domain and aliases") {
    Fixture dns;
    dns.server.add_address("plain.test", "127.0.0.9");
    dns.server.add_mx("null.test", 0, "");
    dns.server.add_name("empty.test");
    dns.server.add_alias("alias.test", "real.test");
    dns.server.add_mx("real.test", 10, "mx.real.test");
    dns.server.add_alias("mx.real.test", "host.real.test");
    dns.server.add_address("host.real.test", "127.0.0.3");
    CHECK(dns.mx("plain.test").hosts[0].name == "plain.test");
    CHECK(dns.mx("null.test").kind == Kind::NullMx);
    CHECK(dns.mx("empty.test").kind == Kind::NoSuchDomain);
    CHECK(dns.mx("none.test").kind == Kind::NoSuchDomain);
    CHECK(dns.mx("none.test").kind == Kind::NoSuchDomain);
    CHECK(dns.server.queries("none.test", DnsServer::Type::Mx) == 1);  // kept, though negative
    const auto alias = dns.mx("alias.test");
    REQUIRE(alias.hosts.size() == 1);
    CHECK(alias.hosts[0].addresses[0].to_string() == "127.0.0.3");
}

TEST_CASE("a failing server is a temporary failure, and is not asked again at once") {
    Fixture dns;
    dns.server.add_mx("broken.test", 10, "mx.broken.test");
    dns.server.set_behaviour("broken.test", DnsServer::Behaviour::ServFail);
    const auto answer = dns.mx("broken.test");
    CHECK(answer.kind == Kind::Temporary);
    CHECK(answer.text.find("SERVFAIL") != std::string::npos);
    const auto asked = dns.server.queries("broken.test", DnsServer::Type::Mx);
    CHECK(dns.mx("broken.test").kind == Kind::Temporary);
    CHECK(dns.server.queries("broken.test", DnsServer::Type::Mx) == asked);
}

TEST_CASE("a silent server costs the deadline and no more, and others are not held up") {
    Fixture dns({.timeout = 700ms});
    dns.server.set_behaviour("silent.test", DnsServer::Behaviour::Silent);
    dns.server.add_address("quick.test", "127.0.0.1");
    const auto before = steady_clock_now();
    bool silent_answered = false;
    dns.resolver->resolve_mx("silent.test", {&dns.shard, [&](MxAnswer answer) {
                                                 silent_answered = true;
                                                 CHECK(answer.kind == Kind::Temporary);
                                                 CHECK(answer.text == "silent.test: no answer from DNS in time");
                                             }});
    CHECK(dns.mx("quick.test").kind == Kind::Found);
    CHECK_FALSE(silent_answered);
    REQUIRE(dns.shard.run_until([&] { return silent_answered; }));
    CHECK(steady_clock_now() - before < 5s);
}

TEST_CASE("a host that does not resolve in time does not hold up the one that does") {
    Fixture dns;
    dns.server.add_mx("half.test", 10, "good.half.test");
    dns.server.add_mx("half.test", 20, "dead.half.test");
    dns.server.add_address("good.half.test", "127.0.0.1");
    dns.server.set_behaviour("dead.half.test", DnsServer::Behaviour::Silent);
    const auto answer = dns.mx("half.test");
    CHECK(answer.kind == Kind::Found);
    CHECK(answer.hosts[0].addresses.size() == 1);
    CHECK(answer.hosts[1].addresses.empty());
    CHECK(answer.time_to_live <= 1min);
}

TEST_CASE("a truncated answer comes over TCP") {
    Fixture dns;
    dns.server.add_mx("big.test", 10, "mx.big.test");
    dns.server.add_address("mx.big.test", "127.0.0.1");
    dns.server.set_behaviour("big.test", DnsServer::Type::Mx, DnsServer::Behaviour::TruncateUdp);
    CHECK(dns.mx("big.test").kind == Kind::Found);
    CHECK(dns.server.tcp_queries() == 1);
}

TEST_CASE("addresses and literals need no DNS, and odd names are answered") {
    Fixture dns;
    dns.server.add_address("h.test", "127.0.0.4");
    CHECK(dns.host("h.test").hosts[0].addresses[0].to_string() == "127.0.0.4");
    CHECK(dns.host("192.0.2.1").hosts[0].addresses[0].to_string() == "192.0.2.1");
    CHECK(dns.mx("[192.0.2.1]").hosts[0].name == "[192.0.2.1]");
    CHECK(dns.mx("[IPv6:2001:db8::1]").hosts[0].addresses[0].to_string() == "2001:db8::1");
    CHECK(dns.mx("").kind == Kind::NoSuchDomain);
    CHECK(dns.mx(std::string(300, 'a')).kind == Kind::NoSuchDomain);
    CHECK(dns.mx("a..b").kind == Kind::NoSuchDomain);
}

TEST_CASE("more look-ups than may be outstanding take turns") {
    Fixture dns({.max_outstanding = 3});
    constexpr std::size_t kNames = 200;
    std::size_t found = 0;
    for (std::size_t i = 0; i < kNames; ++i) {
        const auto name = "d" + std::to_string(i) + ".test";
        dns.server.add_mx(name, 10, "mx." + name);
        dns.server.add_address("mx." + name, "127.0.0.1");
    }
    for (std::size_t i = 0; i < kNames; ++i) {
        dns.resolver->resolve_mx("d" + std::to_string(i) + ".test",
                                 {&dns.shard, [&](MxAnswer answer) { found += answer.kind == Kind::Found; }});
    }
    REQUIRE(dns.shard.run_until([&] { return found == kNames; }, 60s));
}

TEST_CASE("stopping answers what is under way") {
    Fixture dns;
    dns.server.set_behaviour("silent.test", DnsServer::Behaviour::Silent);
    int answered = 0;
    for (int i = 0; i < 3; ++i) {
        dns.resolver->resolve_mx("silent.test", {&dns.shard, [&](MxAnswer answer) {
                                                     CHECK(answer.kind == Kind::Temporary);
                                                     ++answered;
                                                 }});
    }
    dns.resolver.reset();
    dns.shard.run_until_idle();
    CHECK(answered == 3);
}

TEST_CASE("a trust anchor that cannot be used is an error that names it") {
    Metrics metrics;
    const auto missing = UnboundResolver::create({.trust_anchor_file = "/nonexistent/root.key"}, metrics);
    REQUIRE_FALSE(missing);
    CHECK(missing.error().text == "dns.trust_anchor_file /nonexistent/root.key: No such file or directory");
    const auto nonsense = UnboundResolver::create({.trust_anchor_file = __FILE__}, metrics);
    REQUIRE_FALSE(nonsense);
    CHECK(nonsense.error().text.find("dns.trust_anchor_file") != std::string::npos);
}

TEST_CASE("TXT and TLSA records of names with underscores", "[rfc6698][rfc8461]") {
    Fixture dns;
    dns.server.add_txt("_mta-sts.a.test", {"v=STSv1; ", "id=1;"});
    dns.server.add_record("_25._tcp.mx.a.test", DnsServer::Type::Tlsa, std::string("\3\1\1", 3) + std::string(32, 'd'));
    dns.server.add_name("empty.test");
    dns.server.set_behaviour("broken.test", DnsServer::Type::Txt, DnsServer::Behaviour::ServFail);
    CHECK(dns.txt("_MTA-STS.a.test.").records == std::vector<std::string>{"v=STSv1; id=1;"});
    CHECK(dns.tlsa("_25._tcp.mx.a.test").records == std::vector<TlsaRecord>{{3, 1, 1, std::string(32, 'd')}});
    CHECK(dns.txt("empty.test").kind == TxtAnswer::Kind::NoRecords);
    CHECK(dns.txt("none.test").kind == TxtAnswer::Kind::NoSuchName);
    CHECK(dns.txt("broken.test").kind == TxtAnswer::Kind::Temporary);
    CHECK(dns.txt("not..a.name").kind == TxtAnswer::Kind::NoSuchName);
    CHECK(dns.txt("_mta-sts.a.test").records.size() == 1);
    CHECK(dns.server.queries("_mta-sts.a.test", DnsServer::Type::Txt) == 1);
}
