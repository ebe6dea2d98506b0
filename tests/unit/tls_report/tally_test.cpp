// Sessions are counted by policy and kind of failure, within bounds, and come back from their text.
#include "postfleet/tls_report/tally.hpp"

#include <catch2/catch.hpp>

using namespace postfleet::tls_report;

TEST_CASE("sessions are counted by policy, failures by what distinguishes them", "[RFC8460]") {
    const AppliedPolicy sts{PolicyType::Sts, {"mode: enforce"}, {"*.x.test"}};
    DomainTally tally;
    for (int i = 0; i < 3; ++i) tally.add(sts, {});
    tally.add({}, {});
    for (const char* mx : {"a.x.test", "a.x.test", "b.x.test"})
        tally.add(sts, Failure{"starttls-not-supported", "192.0.2.1", mx});
    REQUIRE(tally.policies().size() == 2);
    CHECK(tally.policies()[0].successes == 3);
    CHECK(tally.policies()[0].failures == 3);
    REQUIRE(tally.policies()[0].details.size() == 2);
    CHECK(tally.policies()[0].details[0].sessions == 2);
    CHECK(tally.policies()[1].policy.type == PolicyType::NotFound);
    const DomainTally again = DomainTally::parse(tally.to_text());
    CHECK(again.to_text() == tally.to_text());
    CHECK(again.policies()[0].policy == sts);
    CHECK(again.policies()[0].details[1].mx_host == "b.x.test");
}

TEST_CASE("a domain cannot fill memory or forge a line", "[SEC-28]") {
    DomainTally tally;
    for (int i = 0; i < 1000; ++i) {
        tally.add({},
                  Failure{"validation-failure", {}, "mx" + std::to_string(i), {}, "x\tP\n" + std::string(5000, 'y')});
        tally.add({PolicyType::Sts, std::vector<std::string>(1000, std::to_string(i)), {}}, {});
    }
    CHECK(tally.policies().size() == DomainTally::kMaxPolicies);
    CHECK(tally.policies()[0].failures == 1000);
    CHECK(tally.policies()[0].details.size() == DomainTally::kMaxFailures);
    CHECK(tally.to_text().size() < 200'000);
    CHECK(DomainTally::parse(tally.to_text()).to_text() == tally.to_text());
}
