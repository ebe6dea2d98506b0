#include "postfleet/mail/suppression.hpp"

#include "postfleet/base/text.hpp"

namespace postfleet {

std::string suppression_target(std::string_view address_or_domain) { return to_ascii_lower(address_or_domain); }

std::string_view domain_of_target(std::string_view target) {
    const std::size_t at = target.rfind('@');
    return at == std::string_view::npos ? std::string_view() : target.substr(at + 1);
}

}  // namespace postfleet
