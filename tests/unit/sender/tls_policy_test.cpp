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
