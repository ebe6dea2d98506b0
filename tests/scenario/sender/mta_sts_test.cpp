// MTA-STS (RFC 8461): what a domain says over HTTPS about its hosts, beside DANE and the queue's own setting.
#include <catch2/catch.hpp>

#include "postfleet/support/fake_http_client.hpp"
#include "postfleet/support/sender_world.hpp"

using namespace postfleet;
using namespace postfleet::support;
using namespace std::chrono_literals;

namespace {

constexpr const char* kOffersTls = "250-mx.test\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 8BITMIME\r\n";

std::string policy_text(const std::string& mode, const std::string& mx, int max_age = 604'800) {
    return "version: STSv1\nmode: " + mode + "\nmx: " + mx + "\nmax_age: " + std::to_string(max_age) + "\n";
}

struct World : SenderWorld {
    World() {
        http = &web;
        resolver.set_mx("x.test", {"10 mx1.x.test 192.0.2.1", "20 mx2.x.test 192.0.2.2"}, 10min);
        resolver.set_mx("mta-sts.x.test", {"0 mta-sts.x.test 192.0.2.80"});
        mx1().ehlo = mx2().ehlo = kOffersTls;
        announce("1");
    }
    FakeHost& mx1() { return host("192.0.2.1:25"); }
    FakeHost& mx2() { return host("192.0.2.2:25"); }
    void announce(const std::string& id) { resolver.set_txt("_mta-sts.x.test", {"v=STSv1; id=" + id + ";"}); }
    void publish(const std::string& text) { web.publish("mta-sts.x.test", text); }
    std::string policy_of_only_delivery() {
        const auto found = events(EventType::Delivered);
        REQUIRE(found.size() == 1);
        return found.front().delivery->tls;
    }
    FakeHttpClient web;
};

}  // namespace

TEST_CASE("an enforced policy asks for a verified host of the policy, and the event says so", "[RFC8461][T-3]") {
    World w;
    w.publish(policy_text("enforce", "*.x.test"));
    w.start();
    w.accept({});
    CHECK(w.policy_of_only_delivery() == "TLSv1.3/TLS_AES_128_GCM_SHA256/mta-sts/certificate");
    REQUIRE(w.mx1().tls_requests.size() == 1);
    CHECK(w.mx1().tls_requests[0].authentication == TlsAuthentication::Verified);
    CHECK(w.mx1().tls_requests[0].server_name == "mx1.x.test");
    REQUIRE(w.web.requests.size() == 1);
    CHECK(w.web.requests[0].host == "mta-sts.x.test");
    CHECK(w.web.requests[0].target == "/.well-known/mta-sts.txt");
    CHECK(w.web.requests[0].addresses == std::vector<IpAddress>{*IpAddress::parse("192.0.2.80")});
}

TEST_CASE("a host that the policy does not name is skipped for one that it names", "[F55][T-3]") {
    World w;
    w.publish(policy_text("enforce", "mx2.x.test"));
    w.start();
    w.accept({});
    CHECK(w.mx1().deliveries.empty());
    CHECK(w.mx2().deliveries.size() == 1);
}

TEST_CASE("when no host keeps an enforced policy the mail waits with the reason, and never goes in clear",
          "[F55][T-3][SEC-4]") {
    World w;
    w.publish(policy_text("enforce", GENERATE("*.x.test", "elsewhere.test")));
    const int how = GENERATE(0, 1);
    for (FakeHost* host : {&w.mx1(), &w.mx2()}) {
        if (how == 0) host->ehlo = "250 mx.test\r\n";
        if (how == 1) host->verification = TlsFailure::CertificateNotTrusted;
    }
    w.start();
    w.accept({});
    const Event event = w.events(EventType::Deferred).at(0);
    CHECK(event.delivery->phase == SmtpPhase::StartTls);
    CHECK(event.delivery->reply.enhanced.subject == 7);
    CHECK(w.mx1().deliveries.empty());
    CHECK(w.mx2().deliveries.empty());
    CHECK(w.count(EventType::Bounced) == 0);
}

TEST_CASE("testing and none change nothing for the mail", "[RFC8461]") {
    World w;
    w.publish(policy_text(GENERATE("testing", "none"), "elsewhere.test"));
    w.mx1().verification = TlsFailure::CertificateNotTrusted;
    w.start();
    w.accept({});
    CHECK(w.policy_of_only_delivery() == "TLSv1.3/TLS_AES_128_GCM_SHA256/may/none");
}

TEST_CASE("a policy that cannot be had is none, and is not asked for again at once", "[F55][T-2]") {
    World w;
    const int how = GENERATE(0, 1, 2, 3, 4);
    if (how == 1) w.publish("nonsense");
    if (how == 2) w.web.publish("mta-sts.x.test", policy_text("enforce", "elsewhere.test"), "text/html");
    if (how == 3) w.web.answers.insert_or_assign("mta-sts.x.test", HttpResponse{301, "text/plain", ""});
    if (how == 4) w.resolver.set_mx("mta-sts.x.test", {"0 mta-sts.x.test 10.0.0.1"});  // SEC-16
    w.start();
    w.accept({});
    CHECK(w.mx1().deliveries.size() == 1);
    CHECK(w.web.requests.size() == (how == 4 ? 0u : 1u));
    w.publish(policy_text("enforce", "*.x.test"));
    w.resolver.set_mx("mta-sts.x.test", {"0 mta-sts.x.test 192.0.2.80"});
    w.advance(61min);
    w.accept({});
    CHECK(w.events(EventType::Delivered).at(1).delivery->tls.find("/mta-sts/") != std::string::npos);
}

TEST_CASE("a policy that was fetched holds while its record or its host is gone, over a restart, until it is too old",
          "[F55][T-2]") {
    World w;
    w.publish(policy_text("enforce", "elsewhere.test", 86'400));
    w.start();
    w.accept({});
    REQUIRE(w.count(EventType::Deferred) >= 1);
    const int how = GENERATE(0, 1, 2);
    if (how == 0) w.resolver.set_txt("_mta-sts.x.test", {});
    if (how == 1)
        w.resolver.answer_txt("_mta-sts.x.test", {TxtAnswer::Kind::Temporary, {}, {}, DnsState::Bogus, "bogus"});
    if (how == 2) w.announce("2");
    w.web.answers.clear();
    w.stop();
    w.spool.restart();
    w.start();
    w.advance(30min);
    CHECK(w.mx1().deliveries.size() + w.mx2().deliveries.size() == 0);
    w.advance(24h);
    w.accept({.to = {"b@x.test"}});
    w.advance(5min);
    CHECK(w.mx1().deliveries.size() == 1);
}

TEST_CASE("a new id brings the new policy", "[T-2]") {
    World w;
    w.publish(policy_text("enforce", "elsewhere.test"));
    w.start();
    w.accept({});
    CHECK(w.mx1().deliveries.empty());
    w.announce("2");
    w.publish(policy_text("enforce", "*.x.test"));
    w.advance(59min);
    w.accept({.to = {"b@x.test"}});
    w.advance(10min);
    CHECK(w.mx1().deliveries.size() == 2);  // the one that waited, too
    CHECK(w.web.requests.size() == 2);
}

TEST_CASE("a policy is fetched again before it is too old, without any mail") {
    World w;
    w.publish(policy_text("enforce", "*.x.test", 172'800));
    w.start();
    w.accept({});
    w.advance(3 * 24h);
    CHECK(w.web.requests.size() >= 3);
    CHECK(w.web.requests.size() <= 4);
}

TEST_CASE("mail waits for a policy that is being fetched, and other domains do not", "[P6]") {
    World w;
    w.resolver.set_mx("y.test", {"10 mx1.y.test 192.0.2.3"});
    w.web.is_silent = true;
    w.publish(policy_text("enforce", "*.x.test"));
    w.start();
    w.accept({});
    w.accept({.to = {"a@y.test"}});
    CHECK(w.mx1().connects == 0);
    CHECK(w.host("192.0.2.3:25").deliveries.size() == 1);
    w.web.answer_all();
    w.settle();
    CHECK(w.mx1().deliveries.size() == 1);
}

TEST_CASE("usable TLSA records count instead of the policy", "[T-4][X7672]") {
    World w;
    w.publish(policy_text("enforce", "elsewhere.test"));
    w.resolver.set_state("x.test", DnsState::Secure, DnsState::Secure);
    const bool is_usable = GENERATE(true, false);
    w.resolver.set_tlsa("_25._tcp.mx1.x.test",
                        {{static_cast<std::uint8_t>(is_usable ? 3 : 1), 1, 1, std::string(32, 'x')}});
    w.start();
    w.accept({});
    if (is_usable) CHECK(w.policy_of_only_delivery() == "TLSv1.3/TLS_AES_128_GCM_SHA256/dane/dane");
    else CHECK(w.mx1().deliveries.empty());
}

TEST_CASE("domains with the same hosts and different policies share no connection", "[SEC-4]") {
    World w;
    w.resolver.set_mx("y.test", {"10 mx1.x.test 192.0.2.1", "20 mx2.x.test 192.0.2.2"});
    w.publish(policy_text("enforce", "*.x.test"));
    w.mx1().verification = w.mx2().verification = TlsFailure::CertificateNotTrusted;
    w.start();
    w.accept({.to = {"a@y.test"}});
    CHECK(w.mx1().deliveries.size() == 1);
    w.accept({});
    CHECK(w.mx1().deliveries.size() == 1);
    CHECK(w.count(EventType::Deferred) >= 1);
}

TEST_CASE("mta_sts: false, a setting of ours that decides, and a route: nobody asks or heeds", "[RFC8461]") {
    World w;
    w.publish(policy_text("enforce", "elsewhere.test"));
    const int how = GENERATE(0, 1, 2);
    if (how == 0) w.shaping().mta_sts = false;
    if (how == 1) w.shaping().tls = config::DeliveryTls::Verify;
    if (how == 2) w.route("x.test", "192.0.2.1:25");
    w.start();
    w.accept({});
    CHECK(w.mx1().deliveries.size() == 1);
    if (how != 1) CHECK(w.web.requests.empty());
}

TEST_CASE("TLS-Required: No goes where DANE or MTA-STS would not let it, over TLS if it can, and other mail waits",
          "[X8689]") {
    World w;
    const bool is_dane = GENERATE(true, false);
    if (is_dane) {
        w.resolver.set_state("x.test", DnsState::Secure, DnsState::Secure);
        for (const char* name : {"_25._tcp.mx1.x.test", "_25._tcp.mx2.x.test"}) {
            w.resolver.set_tlsa(name, {{3, 1, 1, std::string(32, 'x')}});
        }
    } else {
        w.publish(policy_text("enforce", "*.x.test"));
    }
    w.mx1().verification = w.mx2().verification = TlsFailure::CertificateNotTrusted;
    w.start();
    w.accept({});
    CHECK(w.mx1().deliveries.empty());
    SECTION("when it is accepted") {
        w.accept({.to = {"free@x.test"}, .tls_wish = TlsWish::Waived});
        REQUIRE(w.mx1().deliveries.size() == 1);
        CHECK(w.mx1().deliveries[0].is_secured);
        CHECK(w.policy_of_only_delivery() == "TLSv1.3/TLS_AES_128_GCM_SHA256/may/none");
    }
    SECTION("and when it comes back from the spool") {
        w.mx1().on_command = [](Peer&, const std::string& command) -> std::optional<std::string> {
            if (command.starts_with("RCPT")) return "451 4.3.0 later\r\n";
            return std::nullopt;
        };
        w.accept({.to = {"free@x.test"}, .tls_wish = TlsWish::Waived});
        w.mx1().on_command = nullptr;
        w.stop();
        w.spool.restart();
        w.start();
        w.advance(1min);
        CHECK(w.mx1().deliveries.size() == 1);
    }
}

TEST_CASE("TLS-Required: No does not undo what the operator asks for", "[X8689]") {
    World w;
    w.shaping().tls = config::DeliveryTls::Verify;
    w.mx1().verification = w.mx2().verification = TlsFailure::CertificateNotTrusted;
    w.start();
    w.accept({.tls_wish = TlsWish::Waived});
    CHECK(w.mx1().deliveries.empty());
    CHECK(w.count(EventType::Deferred) >= 1);
}

TEST_CASE("REQUIRETLS is served by an enforced policy, without DNSSEC", "[X8689]") {
    World w;
    w.publish(policy_text("enforce", "*.x.test"));
    w.mx1().on_command = [](Peer& peer, const std::string& command) -> std::optional<std::string> {
        if (!command.starts_with("EHLO") || !peer.is_secured) return std::nullopt;
        return "250-mx.test\r\n250 REQUIRETLS\r\n";
    };
    w.start();
    w.accept({.tls_wish = TlsWish::Required});
    CHECK(w.mx1().deliveries.size() == 1);
}
