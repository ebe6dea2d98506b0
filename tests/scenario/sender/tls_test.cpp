// TLS to the MX: what each policy makes of what a host offers.
#include <algorithm>
#include <catch2/catch.hpp>

#include "postfleet/support/sender_world.hpp"

using namespace postfleet;
using namespace postfleet::support;
using namespace std::chrono_literals;

namespace {

constexpr const char* kOffersTls = "250-mx.test\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 8BITMIME\r\n";

struct World : SenderWorld {
    explicit World(config::DeliveryTls tls) {
        shaping().tls = tls;
        resolver.set_mx("x.test", {"10 mx1.x.test 192.0.2.1"});
        mx().ehlo = kOffersTls;
    }
    FakeHost& mx() { return host("192.0.2.1:25"); }
    Event only(EventType type) {
        const auto found = events(type);
        REQUIRE(found.size() == 1);
        return found.front();
    }
    std::size_t in_clear() {
        std::size_t n = 0;
        for (const auto& peer : mx().peers) {
            for (const std::string& command : peer->commands) n += command.starts_with("MAIL") && !peer->is_secured;
        }
        return n;
    }
};

using T = config::DeliveryTls;

}  // namespace

TEST_CASE("opportunistic TLS is used where it is offered, and the event says so", "[X3207]") {
    World w(T::May);
    w.start();
    w.accept({});
    const Event event = w.only(EventType::Delivered);
    CHECK(event.delivery->tls == "TLSv1.3/TLS_AES_128_GCM_SHA256/may/certificate");
    REQUIRE(w.mx().deliveries.size() == 1);
    CHECK(w.mx().deliveries[0].is_secured);
    CHECK(w.mx().peers[0]->commands == std::vector<std::string>{"EHLO v1.test", "STARTTLS", "EHLO v1.test",
                                                                "MAIL FROM:<sender@from.test>", "RCPT TO:<a@x.test>",
                                                                "DATA", "."});
    REQUIRE(w.mx().tls_requests.size() == 1);
    CHECK(w.mx().tls_requests[0].server_name == "mx1.x.test");
    CHECK(w.mx().tls_requests[0].authentication == TlsAuthentication::Any);
}

TEST_CASE("a certificate that nobody would trust is good enough for may and require", "[X3207]") {
    World w(GENERATE(T::May, T::Require));
    w.mx().verification = TlsFailure::CertificateNotTrusted;
    w.start();
    w.accept({});
    CHECK(w.mx().deliveries.at(0).is_secured);
}

TEST_CASE("policy none never asks for TLS") {
    World w(T::None);
    w.start();
    w.accept({});
    CHECK(w.only(EventType::Delivered).delivery->tls.empty());
    CHECK(w.mx().tls_requests.empty());
}

TEST_CASE("opportunistic TLS that fails goes in clear over a fresh connection, and is remembered", "[SEC-4][X3207]") {
    World w(T::May);
    const int how = GENERATE(0, 1, 2, 3);
    if (how == 0) w.mx().tls_failure = TlsFailure::NothingInCommon;
    if (how == 1) w.mx().tls_hangs = true;
    if (how >= 2) {
        w.mx().on_command = [how](Peer&, const std::string& command) -> std::optional<std::string> {
            if (command != "STARTTLS") return std::nullopt;
            return how == 2 ? "454 4.7.0 not now\r\n" : "220 go\r\n250 AUTH PLAIN\r\n";
        };
    }
    w.start();
    w.accept({});
    w.advance(61s);
    REQUIRE(w.mx().deliveries.size() == 1);
    CHECK_FALSE(w.mx().deliveries[0].is_secured);
    CHECK(w.mx().deliveries[0].connection == 2);
    CHECK(w.count(EventType::Deferred) == 0);
    CHECK(w.only(EventType::Delivered).delivery->tls.empty());
    // The next one saves the handshake …
    w.advance(1min);
    w.accept({});
    CHECK(w.mx().connects == 3);
    CHECK(w.mx().deliveries.size() == 2);
    // … until that is forgotten.
    w.advance(11min);
    w.mx().tls_failure = TlsFailure::None;
    w.mx().tls_hangs = false;
    w.mx().on_command = nullptr;
    w.accept({});
    CHECK(w.mx().deliveries.at(2).is_secured);
}

TEST_CASE("a policy that asks for TLS never goes in clear: the mail is deferred with the reason", "[SEC-4][F41]") {
    World w(GENERATE(T::Require, T::Verify));
    const int how = GENERATE(0, 1, 2, 3, 4);
    if (how == 0) w.mx().ehlo = "250 mx.test\r\n";
    if (how == 1) w.mx().tls_failure = TlsFailure::NotTls;
    if (how == 2) w.mx().tls_hangs = true;
    if (how >= 3) {
        w.mx().on_command = [how](Peer& peer, const std::string& command) -> std::optional<std::string> {
            if (command == "STARTTLS" && how == 4) peer.reset();
            if (command == "STARTTLS") return "554 5.7.0 no TLS here\r\n";
            return std::nullopt;
        };
    }
    w.start();
    w.accept({});
    w.advance(61s);
    const Event event = w.events(EventType::Deferred).at(0);
    CHECK(event.delivery->phase == SmtpPhase::StartTls);
    CHECK(event.delivery->mx_host == "mx1.x.test");
    if (how == 0) {
        CHECK(event.delivery->reply.enhanced == EnhancedStatus{4, 7, 4});
        CHECK(event.delivery->reply.text.find("does not offer STARTTLS") != std::string::npos);
    }
    if (how == 1) CHECK(event.delivery->reply.enhanced == EnhancedStatus{4, 7, 5});
    CHECK(w.in_clear() == 0);
    CHECK(w.count(EventType::Bounced) == 0);
    // The same mail goes when the host has mended it.
    w.mx().ehlo = kOffersTls;
    w.mx().tls_failure = TlsFailure::None;
    w.mx().tls_hangs = false;
    w.mx().on_command = nullptr;
    w.advance(2min);
    REQUIRE(w.mx().deliveries.size() == 1);
    CHECK(w.mx().deliveries[0].is_secured);
}

TEST_CASE("verify wants a certificate for the host or a configured name", "[SEC-4][F41]") {
    World w(T::Verify);
    w.shaping().tls_names = {"relay.x.test"};
    w.mx().verification = GENERATE(TlsFailure::CertificateExpired, TlsFailure::CertificateHostMismatch,
                                   TlsFailure::CertificateNotTrusted);
    w.start();
    w.accept({});
    CHECK(w.events(EventType::Deferred).at(0).delivery->phase == SmtpPhase::StartTls);
    CHECK(w.in_clear() == 0);
    REQUIRE_FALSE(w.mx().tls_requests.empty());
    CHECK(w.mx().tls_requests[0].authentication == TlsAuthentication::Verified);
    CHECK(w.mx().tls_requests[0].names == std::vector<std::string>{"relay.x.test"});
}

TEST_CASE("a host that will not do TLS is passed over for one that will", "[F41]") {
    World w(T::Require);
    w.resolver.set_mx("x.test", {"10 mx1.x.test 192.0.2.1", "20 mx2.x.test 192.0.2.2"});
    w.mx().ehlo = "250 mx.test\r\n";
    w.host("192.0.2.2:25").ehlo = kOffersTls;
    w.start();
    w.accept({});
    CHECK(w.host("192.0.2.2:25").deliveries.at(0).is_secured);
    CHECK(w.in_clear() == 0);
    CHECK(w.count(EventType::Deferred) == 0);
}

TEST_CASE("client certificate, oldest version and ciphers come from the rules of the queue") {
    World w(T::May);
    w.shaping().tls_certificate = config::FilePath{"/etc/postfleet/out.pem"};
    w.shaping().tls_min_version = config::TlsMinVersion::Tls13;
    w.shaping().tls_ciphers = config::CipherList{"ECDHE+AESGCM"};
    w.start();
    w.accept({});
    REQUIRE(w.mx().tls_rules.size() == 1);
    CHECK(w.mx().tls_rules[0] == TlsRules{.certificate_file = "/etc/postfleet/out.pem",
                                          .tls12_ciphers = "ECDHE+AESGCM",
                                          .lowest_version = TlsVersion::Tls13});
}

// --- DANE ----------------------------------------------------------------------------------------------

namespace {

const TlsaRecord kEndEntity{3, 1, 1, std::string(32, 'x')};

struct DaneWorld : World {
    DaneWorld() : World(T::May) {
        resolver.set_mx("x.test", {"10 mx1.x.test 192.0.2.1", "20 mx2.x.test 192.0.2.2"});
        resolver.set_state("x.test", DnsState::Secure, DnsState::Secure);
        host("192.0.2.2:25").ehlo = kOffersTls;
    }
    void publish(std::vector<TlsaRecord> records) { resolver.set_tlsa("_25._tcp.mx1.x.test", std::move(records)); }
    FakeHost& mx2() { return host("192.0.2.2:25"); }
};

}  // namespace

TEST_CASE("usable TLSA records bind an opportunistic queue", "[X7672]") {
    DaneWorld w;
    w.publish({kEndEntity});
    w.start();
    w.accept({});
    CHECK(w.only(EventType::Delivered).delivery->tls == "TLSv1.3/TLS_AES_128_GCM_SHA256/dane/dane");
    REQUIRE(w.mx().tls_requests.size() == 1);
    CHECK(w.mx().tls_requests[0].authentication == TlsAuthentication::Dane);
    CHECK(w.mx().tls_requests[0].tlsa == std::vector<TlsaRecord>{kEndEntity});
    CHECK(w.mx().tls_requests[0].server_name == "mx1.x.test");
}

TEST_CASE("where DANE binds, nothing goes in clear and no certificate but the published one will do",
          "[X7672][SEC-4]") {
    DaneWorld w;
    w.publish({kEndEntity});
    w.resolver.set_tlsa("_25._tcp.mx2.x.test", {kEndEntity});
    const bool is_stripped = GENERATE(true, false);
    for (FakeHost* host : {&w.mx(), &w.mx2()}) {
        if (is_stripped) host->ehlo = "250 mx.test\r\n";
        host->verification = TlsFailure::CertificateInvalid;
    }
    w.start();
    w.accept({});
    CHECK(w.events(EventType::Deferred).at(0).delivery->phase == SmtpPhase::StartTls);
    CHECK(w.mx().connects == 1);
    CHECK(w.mx2().connects == 1);  // the next host was tried
    CHECK(w.mx().deliveries.empty());
    CHECK(w.mx2().deliveries.empty());
    CHECK(w.in_clear() == 0);
}

TEST_CASE("TLSA records that cannot be looked up rule a host out, and the next one is tried", "[X7672][F51]") {
    DaneWorld w;
    w.resolver.answer_tlsa("_25._tcp.mx1.x.test",
                           {TlsaAnswer::Kind::Temporary, {}, {}, DnsState::Insecure, "SERVFAIL"});
    w.start();
    w.accept({});
    CHECK(w.mx().deliveries.empty());
    CHECK(w.mx2().deliveries.size() == 1);
    w.resolver.answer_tlsa("_25._tcp.mx2.x.test", {TlsaAnswer::Kind::Temporary, {}, {}, DnsState::Bogus, "bogus"});
    w.advance(10s);  // the connection was idle and is closed
    w.accept({});
    const Event event = w.events(EventType::Deferred).at(0);
    CHECK(event.delivery->reply.enhanced == EnhancedStatus{4, 7, 4});
    CHECK(event.delivery->reply.text.find("TLSA records could not be looked up") != std::string::npos);
    CHECK(w.in_clear() == 0);
}

TEST_CASE("TLSA records of which none is usable ask for encryption, with any certificate", "[X7672]") {
    DaneWorld w;
    w.publish({{1, 1, 1, std::string(32, 'x')}});
    w.mx().verification = TlsFailure::CertificateNotTrusted;
    w.start();
    w.accept({});
    CHECK(w.only(EventType::Delivered).delivery->tls == "TLSv1.3/TLS_AES_128_GCM_SHA256/dane/none");
    CHECK(w.mx().tls_requests.at(0).authentication == TlsAuthentication::Any);
}

TEST_CASE("without DNSSEC from the MX to the address nobody asks for TLSA records", "[X7672]") {
    DaneWorld w;
    w.publish({kEndEntity});
    w.mx().verification = TlsFailure::CertificateNotTrusted;
    if (GENERATE(true, false)) w.resolver.set_state("x.test", DnsState::Insecure, DnsState::Secure);
    else w.resolver.set_state("x.test", DnsState::Secure, DnsState::Insecure);
    w.start();
    w.accept({});
    CHECK(w.only(EventType::Delivered).delivery->tls == "TLSv1.3/TLS_AES_128_GCM_SHA256/may/none");
    CHECK(w.resolver.asked_records.empty());
}

TEST_CASE("nothing is said about mail before the TLSA records are known", "[X7672]") {
    DaneWorld w;
    w.publish({kEndEntity});
    w.start();
    w.accept({});
    w.advance(10s);  // the connection was idle and is closed
    w.resolver.is_silent = true;
    w.accept({});
    CHECK(w.mx().peers.at(1)->commands == std::vector<std::string>{"EHLO v1.test"});
    const bool is_too_late = GENERATE(false, true);
    if (is_too_late) {
        w.mx().peers[1]->reset();
        w.settle();
    }
    w.resolver.is_silent = false;
    w.resolver.answer_all();
    w.settle();
    CHECK(w.mx().deliveries.size() == (is_too_late ? 1u : 2u));
    CHECK(w.mx2().deliveries.size() == (is_too_late ? 1u : 0u));
    CHECK(w.in_clear() == 0);
}

// --- REQUIRETLS ----------------------------------------------------------------------------------------

TEST_CASE("REQUIRETLS goes to a verified server that offers it, and bounces elsewhere", "[X8689]") {
    DaneWorld w;
    w.mx().on_command = [](Peer& peer, const std::string& command) -> std::optional<std::string> {
        if (!command.starts_with("EHLO") || !peer.is_secured) return std::nullopt;
        return "250-mx.test\r\n250 REQUIRETLS\r\n";
    };
    const int how = GENERATE(0, 1, 2, 3);
    if (how == 0) w.publish({kEndEntity});
    if (how == 1) w.mx().on_command = nullptr;
    if (how == 2) w.mx().verification = TlsFailure::CertificateNotTrusted;
    if (how == 3) w.resolver.set_state("x.test", DnsState::Insecure, DnsState::Insecure);
    w.start();
    w.accept({.tls_wish = TlsWish::Required});
    if (how == 0) {
        REQUIRE(w.mx().deliveries.size() == 1);
        const auto& commands = w.mx().peers[0]->commands;
        CHECK(std::find(commands.begin(), commands.end(), "MAIL FROM:<sender@from.test> REQUIRETLS") != commands.end());
        return;
    }
    CHECK(w.mx().deliveries.empty());
    CHECK(w.only(EventType::Bounced).delivery->reply.enhanced == EnhancedStatus{5, 7, 30});
}
