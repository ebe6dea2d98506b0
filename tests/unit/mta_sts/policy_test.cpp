// MTA-STS policies and their TXT records, as RFC 8461 writes them and as they should not be.
#include "postfleet/mta_sts/policy.hpp"

#include <catch2/catch.hpp>

using namespace postfleet;
using namespace postfleet::mta_sts;

namespace {
const std::string kExample =
    "version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\nmx: backupmx.example.com\n"
    "max_age: 604800\n";
}

TEST_CASE("the policy of RFC 8461 §3.2 is understood, with LF and with CRLF", "[RFC8461][T-1]") {
    std::string text = kExample;
    if (GENERATE(false, true)) {
        for (std::size_t at = 0; (at = text.find('\n', at)) != std::string::npos; at += 2) text.replace(at, 1, "\r\n");
    }
    const auto policy = parse_policy(text);
    REQUIRE(policy);
    CHECK(policy->mode == Mode::Enforce);
    CHECK(policy->mx == std::vector<std::string>{"mail.example.com", "*.example.net", "backupmx.example.com"});
    CHECK(policy->max_age == std::chrono::seconds(604800));
    CHECK(parse_policy(to_text(*policy)).value() == *policy);
}

TEST_CASE("of what may stand once the first counts; unknown keys are skipped; a year is the longest age", "[T-1]") {
    const auto policy = parse_policy(
        "max_age:9999999999\nmode: testing\nmode: enforce\nx-note: whatever\nmx:Mail.Example.COM.  \nversion:\tSTSv1\n"
        "max_age: 1");
    REQUIRE(policy);
    CHECK(policy->mode == Mode::Testing);
    CHECK(policy->mx == std::vector<std::string>{"mail.example.com"});
    CHECK(policy->max_age == kLongestAge);
}

TEST_CASE("a file that is not as the grammar says is no policy", "[T-1][SEC-28]") {
    const std::string wrong = GENERATE(
        std::string(), "<html>not found</html>", "mode: enforce\nmx: a.test\nmax_age: 1\n",
        "version: STSv1\nmx: a.test\nmax_age: 1\n", "version: STSv1\nmode: enforce\nmax_age: 1\n",
        "version: STSv1\nmode: enforce\nmx: a.test\n", "version: STSv2\nmode: enforce\nmx: a.test\nmax_age: 1\n",
        "version: STSv1\nmode: Enforce\nmx: a.test\nmax_age: 1\n",
        "version: STSv1\nmode: enforce\nmx: a.test\nmax_age: 12345678901\n",
        "version: STSv1\nmode: enforce\nmx: a.test\nmax_age: -1\n",
        "version: STSv1\nmode: enforce\nmx: *\nmax_age: 1\n",
        "version: STSv1\nmode: enforce\nmx: a.*.test\nmax_age: 1\n",
        "version: STSv1\nmode: enforce\nmx: a b.test\nmax_age: 1\n",
        "version: STSv1\n\nmode: enforce\nmx: a.test\nmax_age: 1\n",
        "version STSv1\nmode: enforce\nmx: a.test\nmax_age: 1\n");
    CAPTURE(wrong);
    CHECK_FALSE(parse_policy(wrong).has_value());
    CHECK_FALSE(parse_policy(kExample + std::string(kMaxPolicyOctets, 'x')).has_value());
}

TEST_CASE("mode none needs no hosts") {
    CHECK(parse_policy("version: STSv1\nmode: none\nmax_age: 86400\n").value().mode == Mode::None);
}

TEST_CASE("a wildcard stands for exactly one label, the first", "[RFC8461][T-3]") {
    const Policy policy{Mode::Enforce, {"mail.example.com", "*.example.net"}, {}};
    CHECK(covers(policy, "mail.example.com"));
    CHECK(covers(policy, "mx1.example.net"));
    CHECK_FALSE(covers(policy, "example.net"));
    CHECK_FALSE(covers(policy, ".example.net"));
    CHECK_FALSE(covers(policy, "a.mx1.example.net"));
    CHECK_FALSE(covers(policy, "evilexample.net"));
    CHECK_FALSE(covers(policy, "mail.example.com.evil.test"));
    CHECK_FALSE(covers(policy, "other.example.com"));
}

TEST_CASE("exactly one good TXT record announces a policy", "[RFC8461][T-1]") {
    using Records = std::vector<std::string>;
    CHECK(record_id({"v=STSv1; id=20160831085700Z;"}) == "20160831085700Z");
    CHECK(record_id({"v=spf1 -all", "v=STSv1 ;id=1"}) == "1");
    CHECK(record_id({"v=STSv1; note=x; id=1; id=2"}) == "1");
    const auto none =
        GENERATE(Records{}, Records{"v=STSv1"}, Records{"v=STSv1;"}, Records{"v=STSv1; id=;"},
                 Records{"v=STSv1; id=a-b;"}, Records{"v=STSv1; id=" + std::string(33, '1')},
                 Records{"v=STSv1; id=1;", "v=STSv1; id=1;"}, Records{"v=STSv1x; id=1"}, Records{" v=STSv1; id=1"},
                 Records{"V=STSV1; id=1"}, Records{"v=STSv1; ; id=1"}, Records{"v=STSv1; id=1; x"});
    CHECK_FALSE(record_id(none));
}
