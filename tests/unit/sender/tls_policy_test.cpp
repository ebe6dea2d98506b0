#include "tls_policy.hpp"

#include <catch2/catch.hpp>

using namespace postfleet;
using namespace postfleet::sender;

namespace {

config::ShapingValues setting(config::DeliveryTls tls) {
    config::ShapingValues values;
    values.tls = tls;
    values.tls_names = {"relay.example"};
    return values;
}

using enum TlsStep;

}  // namespace

TEST_CASE("TLSA records bind when DNSSEC vouches for them, and their absence only then means nothing", "[X7672][F51]") {
    const std::string sha256(32, 'x');
    const TlsaRecord ee{3, 1, 1, sha256}, ta{2, 0, 1, sha256};
    const TlsaRecord pkix{1, 1, 1, sha256}, odd_selector{3, 2, 1, sha256}, odd_matching{3, 1, 3, sha256},
        short_hash{3, 1, 1, "x"}, empty{3, 0, 0, ""};
    using Kind = TlsaAnswer::Kind;
    const auto found = [](std::vector<TlsaRecord> records, DnsState state) {
        return TlsaAnswer{Kind::Found, std::move(records), {}, state, {}};
    };
    for (const auto tls : {config::DeliveryTls::May, config::DeliveryTls::Require}) {
        const TlsDemand before = demand_of(setting(tls));
        REQUIRE(heeds_publications(before));
        const auto usable = with_tlsa(before, "mx.example", found({pkix, ta, ee}, DnsState::Secure));
        REQUIRE(usable);
        CHECK(usable->level == TlsLevel::Verified);
        CHECK(usable->authentication == TlsAuthentication::Dane);
        CHECK(usable->tlsa == std::vector<TlsaRecord>{ta, ee});
        CHECK(usable->server_name == "mx.example");
        CHECK(usable->policy == "dane");
        CHECK(on_greeting(*usable, {.offers_starttls = false}) == PassOver);
        CHECK(on_greeting(*usable, {.offers_starttls = true, .is_known_broken = true}) == Secure);
        CHECK(on_trouble(*usable) == PassOver);

        const auto unusable = with_tlsa(before, "mx.example",
                                        found({pkix, odd_selector, odd_matching, short_hash, empty}, DnsState::Secure));
        REQUIRE(unusable);
        CHECK(unusable->level == TlsLevel::Encrypted);
        CHECK(unusable->authentication == TlsAuthentication::Any);
        CHECK(on_trouble(*unusable) == PassOver);

        const auto failed =
            with_tlsa(before, "mx.example", {Kind::Temporary, {}, {}, DnsState::Bogus, "bogus signature"});
        REQUIRE(failed);
        CHECK(failed->refusal.find("bogus signature") != std::string::npos);
        CHECK(on_greeting(*failed, {.offers_starttls = true}) == PassOver);

        CHECK_FALSE(with_tlsa(before, "mx.example", found({ee}, DnsState::Insecure)));
        CHECK_FALSE(with_tlsa(before, "mx.example", {Kind::NoRecords, {}, {}, DnsState::Secure, {}}));
        CHECK_FALSE(with_tlsa(before, "mx.example", {Kind::NoSuchName, {}, {}, DnsState::Secure, {}}));
    }
    CHECK_FALSE(heeds_publications(demand_of(setting(config::DeliveryTls::None))));
    CHECK_FALSE(heeds_publications(demand_of(setting(config::DeliveryTls::Verify))));  // asks for more already
}

TEST_CASE("policy x offer x trouble: plain text only where the policy allows it", "[X3207][SEC-4]") {
    struct Row {
        config::DeliveryTls tls;
        TlsLevel level;
        TlsAuthentication authentication;
        TlsStep offered, not_offered, unable, known_broken, trouble;
    };
    using T = config::DeliveryTls;
    constexpr auto kAny = TlsAuthentication::Any;
    const Row rows[] = {
        {T::None, TlsLevel::None, kAny, GoOnInClear, GoOnInClear, GoOnInClear, GoOnInClear, PassOver},
        {T::May, TlsLevel::Opportunistic, kAny, Secure, GoOnInClear, GoOnInClear, GoOnInClear, TryInClear},
        {T::Require, TlsLevel::Encrypted, kAny, Secure, PassOver, PassOver, Secure, PassOver},
        {T::Verify, TlsLevel::Verified, TlsAuthentication::Verified, Secure, PassOver, PassOver, Secure, PassOver},
    };
    for (const Row& row : rows) {
        const TlsDemand demand = demand_of(setting(row.tls));
        CAPTURE(demand.policy);
        CHECK(demand.level == row.level);
        CHECK(demand.authentication == row.authentication);
        CHECK(demand.names ==
              (row.tls == T::Verify ? std::vector<std::string>{"relay.example"} : std::vector<std::string>{}));
        CHECK(on_greeting(demand, {.offers_starttls = true}) == row.offered);
        CHECK(on_greeting(demand, {.offers_starttls = false}) == row.not_offered);
        CHECK(on_greeting(demand, {.offers_starttls = true, .can_secure = false}) == row.unable);
        CHECK(on_greeting(demand, {.offers_starttls = true, .is_known_broken = true}) == row.known_broken);
        CHECK(on_trouble(demand) == row.trouble);
    }
}

TEST_CASE("an enforced MTA-STS policy asks for proof of the hosts it names, where DANE does not have it", "[T-3][T-4]") {
    const mta_sts::Policy policy{mta_sts::Mode::Enforce, {"*.x.test"}, {}};
    const TlsDemand may = demand_of({});
    const TlsDemand asked = with_sts(may, policy, "mx.x.test");
    CHECK(asked.level == TlsLevel::Verified);
    CHECK(asked.authentication == TlsAuthentication::Verified);
    CHECK(asked.names.empty());
    CHECK(asked.policy == "mta-sts");
    CHECK(asked.refusal.empty());
    CHECK(on_trouble(asked) == TlsStep::PassOver);
    CHECK(on_greeting(with_sts(may, policy, "mx.y.test"), {.offers_starttls = true}) == TlsStep::PassOver);
    for (const auto mode : {mta_sts::Mode::Testing, mta_sts::Mode::None}) {
        CHECK(with_sts(may, {mode, {"*.x.test"}, {}}, "mx.y.test").policy == "may");
    }
    TlsDemand dane = may;
    dane.authentication = TlsAuthentication::Dane;
    dane.policy = "dane";
    CHECK(with_sts(dane, policy, "mx.y.test").policy == "dane");
    TlsDemand refused = may;
    refused.refusal = "its TLSA records could not be looked up";
    CHECK(with_sts(refused, policy, "mx.x.test").refusal == refused.refusal);
}
