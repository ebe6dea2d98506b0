// TLS reports (RFC 8460): what is counted, kept and sent.
#include <catch2/catch.hpp>

#include "postfleet/support/fake_http_client.hpp"
#include "postfleet/support/sender_world.hpp"

using namespace postfleet;
using namespace postfleet::support;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

namespace {

constexpr const char* kOffersTls = "250-mx.test\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 8BITMIME\r\n";

class NoCompressor final : public Compressor {
public:
    std::string gzip(std::string_view octets) const override { return std::string(octets); }
};

struct World : SenderWorld {
    World() {
        http = &web;
        compressor = &no_compressor;
        config.tls_reports = config::TlsReports{.from = "tls@mta.test"};
        resolver.set_mx("x.test", {"10 mx1.x.test 192.0.2.1"}, 10min);
        resolver.set_mx("reports.test", {"10 mx.reports.test 192.0.2.3"});
        resolver.set_mx("web.test", {"0 web.test 192.0.2.80"});
        mx().ehlo = kOffersTls;
        ask_for("https://web.test/v1");
        web.answers.insert_or_assign("web.test", HttpResponse{201, "", ""});
    }
    FakeHost& mx() { return host("192.0.2.1:25"); }
    void ask_for(const std::string& uri) { resolver.set_txt("_smtp._tls.x.test", {"v=TLSRPTv1; rua=" + uri}); }
    // What was posted by the end of the next day's morning.
    std::string report() {
        advance(29h);
        for (const HttpRequest& request : web.requests) {  // among fetches of policies
            if (request.method == HttpRequest::Method::Post) return request.body;
        }
        FAIL("no report was sent");
        return {};
    }
    NoCompressor no_compressor;
    FakeHttpClient web;
};

}  // namespace

TEST_CASE("a day's sessions are reported once, after midnight, to who asks for it", "[RFC8460]") {
    World w;
    w.start();
    w.accept({});
    w.accept({.to = {"b@x.test"}});  // over the same connection
    w.advance(10s);
    w.accept({.to = {"c@x.test"}});
    const std::string json = w.report();
    CHECK_THAT(json, Contains(R"("policy":{"policy-type":"no-policy-found","policy-domain":"x.test"})"));
    CHECK_THAT(json, Contains(R"("total-successful-session-count":2,"total-failure-session-count":0)"));
    CHECK_THAT(json, Contains(R"("organization-name":"mta.test")"));
    REQUIRE(w.web.requests.size() == 1);
    CHECK(w.web.requests[0].method == HttpRequest::Method::Post);
    CHECK(w.web.requests[0].content_type == "application/tlsrpt+gzip");
    CHECK(w.web.requests[0].target == "/v1");
    w.advance(48h);
    CHECK(w.web.requests.size() == 1);
}

TEST_CASE("failures are told apart, also where the mail went in clear after them", "[RFC8460][SEC-4]") {
    World w;
    const int how = GENERATE(0, 1, 2);
    if (how == 0) w.mx().ehlo = "250 mx.test\r\n";
    if (how == 1) w.mx().tls_failure = TlsFailure::NothingInCommon;
    if (how == 2) {
        w.shaping().tls = config::DeliveryTls::Verify;
        w.mx().verification = TlsFailure::CertificateExpired;
    }
    w.start();
    w.accept({});
    CHECK(w.mx().deliveries.size() == (how == 2 ? 0u : 1u));
    const std::string json = w.report();
    const char* const result = how == 0   ? "starttls-not-supported"
                               : how == 1 ? "validation-failure"
                                          : "certificate-expired";
    CHECK_THAT(json, Contains(R"({"result-type":")" + std::string(result) + R"(","sending-mta-ip":"192.0.2.10",)"));
    CHECK_THAT(json, Contains(R"("receiving-mx-hostname":"mx1.x.test","receiving-ip":"192.0.2.1")"));
}

TEST_CASE("a policy in testing is reported as it would have failed, and its fetch too", "[RFC8460][F55]") {
    World w;
    w.resolver.set_mx("mta-sts.x.test", {"0 mta-sts.x.test 192.0.2.80"});
    w.resolver.set_txt("_mta-sts.x.test", {"v=STSv1; id=1;"});
    const int how = GENERATE(0, 1, 2);
    const std::string mx = how == 1 ? "elsewhere.test" : "*.x.test";
    if (how < 2) w.web.publish("mta-sts.x.test", "version: STSv1\nmode: testing\nmx: " + mx + "\nmax_age: 604800\n");
    if (how == 0) w.mx().verification = TlsFailure::CertificateNotTrusted;
    w.start();
    w.accept({});
    CHECK(w.mx().deliveries.size() == 1);
    const std::string json = w.report();
    if (how == 0) CHECK_THAT(json, Contains("certificate-not-trusted"));
    if (how == 1) CHECK_THAT(json, Contains("the MX host is not in the policy"));
    if (how == 2) CHECK_THAT(json, Contains("sts-policy-fetch-error"));
    CHECK_THAT(json, Contains(R"("policy-type":"sts")"));
    if (how < 2) CHECK_THAT(json, Contains(R"("policy-string":["version: STSv1","mode: testing")"));
}

TEST_CASE("a report by mail goes through the spool, and past the TLS policy that it is about", "[RFC8460][X8689]") {
    World w;
    w.ask_for("mailto:tls@x.test");
    w.resolver.set_state("x.test", DnsState::Secure, DnsState::Secure);
    w.resolver.set_tlsa("_25._tcp.mx1.x.test", {{3, 1, 1, std::string(32, 'x')}});
    w.mx().verification = TlsFailure::CertificateInvalid;
    w.start();
    w.accept({});
    CHECK(w.mx().deliveries.empty());
    w.advance(29h);
    REQUIRE(w.mx().deliveries.size() == 1);
    const std::string& content = w.mx().deliveries[0].content;
    CHECK_THAT(content, Contains("TLS-Report-Domain: x.test\r\n"));
    CHECK_THAT(content, Contains("TLS-Required: No\r\n"));
    CHECK_THAT(content, Contains("To: <tls@x.test>\r\n"));
}

TEST_CASE("what is counted survives a restart, and what cannot be sent comes again for two days", "[RFC8460]") {
    World w;
    w.start();
    w.accept({});
    w.advance(5min);
    w.stop();
    w.spool.restart();
    w.web.answers.clear();
    w.start();
    w.advance(36h);
    const std::size_t tries = w.web.requests.size();
    CHECK(tries >= 2);
    if (GENERATE(true, false)) {
        w.web.answers.insert_or_assign("web.test", HttpResponse{200, "", ""});
        w.advance(2h);
        CHECK(w.web.requests.size() > tries);
    } else {
        w.advance(72h);
    }
    const std::size_t after = w.web.requests.size();
    w.advance(24h);
    CHECK(w.web.requests.size() == after);
}

TEST_CASE("nobody asks, or reports are off: nothing is sent", "[RFC8460]") {
    World w;
    if (GENERATE(true, false)) w.config.tls_reports.reset();
    else w.resolver.set_txt("_smtp._tls.x.test", {});
    w.start();
    w.accept({});
    w.advance(72h);
    CHECK(w.web.requests.empty());
    CHECK(w.events(EventType::Delivered).size() == 1);
}
