// BounceCategory: what kind of refusal ended a recipient, in PowerMTA's 17 words, which the tools behind it know.
//
// Threads: pure functions over constants.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace postfleet {

enum class BounceCategory : std::uint8_t {
    BadConfiguration,
    BadConnection,
    BadDomain,
    BadMailbox,
    ContentRelated,
    InactiveMailbox,
    InvalidSender,
    MessageExpired,
    NoAnswerFromHost,
    Other,
    PolicyRelated,
    ProtocolErrors,
    QuotaIssues,
    RelayingIssues,
    RoutingErrors,
    SpamRelated,
    VirusRelated,
};

// In the order of the enum.
inline constexpr std::array kBounceCategoryNames{
    "bad-configuration", "bad-connection",  "bad-domain",      "bad-mailbox",         "content-related",
    "inactive-mailbox",  "invalid-sender",  "message-expired", "no-answer-from-host", "other",
    "policy-related",    "protocol-errors", "quota-issues",    "relaying-issues",     "routing-errors",
    "spam-related",      "virus-related"};

constexpr const char* to_string(BounceCategory category) {
    return kBounceCategoryNames[static_cast<std::size_t>(category)];
}

constexpr std::optional<BounceCategory> parse_bounce_category(std::string_view name) {
    for (std::size_t i = 0; i < kBounceCategoryNames.size(); ++i) {
        if (name == kBounceCategoryNames[i]) return static_cast<BounceCategory>(i);
    }
    return std::nullopt;
}

}  // namespace postfleet
