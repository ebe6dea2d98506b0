// Any address field: no crash, linear time, and every domain found is in its normal form.
#include <cstddef>
#include <span>
#include <string_view>

#include "postfleet/base/require.hpp"
#include "postfleet/mail/address.hpp"
#include "postfleet/mime/address_domains.hpp"

void fuzz_address_domains(std::span<const std::byte> input) {
    const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
    const auto domains = postfleet::mime::address_domains(text);
    if (!domains) return;
    for (const auto& domain : *domains) {
        if (domain.front() == '[') continue;
        const auto again = postfleet::normalize_domain(domain);
        postfleet::require(again && *again == domain);
    }
}
