// Suppression: a recipient, or a whole domain, that gets nothing: of one tenant, or of all.
//
// Threads: value types.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>

#include "postfleet/base/time.hpp"

namespace postfleet {

struct SuppressionKey {
    std::string tenant;  // empty: everybody's mail
    std::string target;  // "ann@example.com" or "example.com", as suppression_target() writes it
    friend auto operator<=>(const SuppressionKey&, const SuppressionKey&) = default;
};

struct Suppression {
    SuppressionKey key;
    std::string reason;  // for people: "unsubscribed"
    std::string source;  // who or what added it: "api", "complaint", "root"
    WallTime added_at{};
    std::optional<WallTime> expires_at;  // none: until it is removed
    friend bool operator==(const Suppression&, const Suppression&) = default;
};

struct SuppressionQuestion {
    std::string tenant;
    std::string address;
};

// The form in which targets are compared: ASCII letters are small, in the local part, too, because whoever does not
// want mail must not get it for a capital letter.
std::string suppression_target(std::string_view address_or_domain);
// "example.com" of "ann@example.com"; empty when there is none.
std::string_view domain_of_target(std::string_view target);

}  // namespace postfleet
