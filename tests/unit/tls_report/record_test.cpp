// The TXT records that ask for TLS reports.
#include "postfleet/tls_report/record.hpp"

#include <catch2/catch.hpp>

using namespace postfleet::tls_report;

namespace {
using Kind = Destination::Kind;
using Records = std::vector<std::string>;
}  // namespace

TEST_CASE("the records of RFC 8460 §3.1 say where reports go", "[RFC8460]") {
    const auto mail = parse_record({"v=TLSRPTv1;rua=mailto:reports@Example.com"});
    REQUIRE(mail.size() == 1);
    CHECK(mail[0] == Destination{.kind = Kind::Mail, .address = "reports@example.com"});
    const auto https = parse_record({"v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt"});
    REQUIRE(https.size() == 1);
    CHECK(https[0] == Destination{.kind = Kind::Https, .host = "reporting.example.com", .target = "/v1/tlsrpt"});
}

TEST_CASE("several destinations, other records and escapes are understood; there is a limit") {
    const auto found =
        parse_record({"v=spf1 -all", "v=TLSRPTv1; x=y; rua=mailto:a%2Bb@x.test?subject=hi , https://y.test,ftp://z"});
    REQUIRE(found.size() == 2);
    CHECK(found[0].address == "a+b@x.test");
    CHECK(found[1].target == "/");
    std::string many = "v=TLSRPTv1; rua=mailto:a@x.test";
    for (int i = 0; i < 50; ++i) many += ",mailto:a@x.test";
    CHECK(parse_record({many}).size() == kMaxDestinations);
}

TEST_CASE("what is not one good record asks for nothing", "[SEC-28][SEC-16]") {
    const auto none =
        GENERATE(Records{}, Records{"v=TLSRPTv1"}, Records{"v=TLSRPTv1;"}, Records{"v=TLSRPTv2; rua=mailto:a@x.test"},
                 Records{"v=TLSRPTv1; rua=mailto:a@x.test", "v=TLSRPTv1; rua=mailto:b@x.test"},
                 Records{"v=TLSRPTv1; rua=mailto:nobody"}, Records{"v=TLSRPTv1; rua=mailto:a%0d%0aBcc:b@x.test"},
                 Records{"v=TLSRPTv1; rua=http://x.test/"}, Records{"v=TLSRPTv1; rua=https://x.test:8443/"},
                 Records{"v=TLSRPTv1; rua=https://user@x.test/"}, Records{"v=TLSRPTv1; rua=mailto:a%4"});
    CHECK(parse_record(none).empty());
}
