#include "tls_policy.hpp"

namespace postfleet::sender {

TlsDemand demand_of(const config::ShapingValues& settings) {
    switch (settings.tls) {
        case config::DeliveryTls::None: return {};
        case config::DeliveryTls::May: return {.level = TlsLevel::Opportunistic, .policy = "may"};
        case config::DeliveryTls::Require: return {.level = TlsLevel::Encrypted, .policy = "require"};
        case config::DeliveryTls::Verify:
            return {.level = TlsLevel::Verified,
                    .authentication = TlsAuthentication::Verified,
                    .names = settings.tls_names,
                    .policy = "verify"};
    }
    return {};
}

TlsStep on_greeting(const TlsDemand& demand, const TlsOffer& offer) {
    const bool can_have_tls = offer.offers_starttls && offer.can_secure;
    switch (demand.level) {
        case TlsLevel::None: return TlsStep::GoOnInClear;
        case TlsLevel::Opportunistic:
            return can_have_tls && !offer.is_known_broken ? TlsStep::Secure : TlsStep::GoOnInClear;
        case TlsLevel::Encrypted:
        case TlsLevel::Verified: return can_have_tls ? TlsStep::Secure : TlsStep::PassOver;
    }
    return TlsStep::PassOver;
}

TlsStep on_trouble(const TlsDemand& demand) {
    return demand.level == TlsLevel::Opportunistic ? TlsStep::TryInClear : TlsStep::PassOver;
}

TlsRules tls_rules_of(const config::ShapingValues& settings) {
    return {.ca_file = settings.tls_ca_file.text,
            .certificate_file = settings.tls_certificate.text,
            .private_key_file = settings.tls_private_key.text,
            .tls12_ciphers = settings.tls_ciphers.text,
            .lowest_version =
                settings.tls_min_version == config::TlsMinVersion::Tls13 ? TlsVersion::Tls13 : TlsVersion::Tls12};
}

}  // namespace postfleet::sender
