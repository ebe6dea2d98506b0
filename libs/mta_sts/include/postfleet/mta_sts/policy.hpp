// Policy: the MTA-STS policy of a domain (RFC 8461 §3.2), and the TXT record that announces it (§3.1).
//
// Strict, as the grammar has it; of a key that may stand once and stands twice the first counts, and unknown keys are
// skipped. Line ends are CRLF or LF. Threads: value types and pure functions.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/base/result.hpp"

namespace postfleet::mta_sts {

enum class Mode : std::uint8_t {
    None,     // as if there were no policy
    Testing,  // failures are reported, and mail goes all the same
    Enforce,  // only to the hosts named, over verified TLS
};

struct Policy {
    Mode mode = Mode::None;
    std::vector<std::string> mx{};  // lower case, A-labels; "mail.example.com" or "*.example.com"
    std::chrono::seconds max_age{};
    friend bool operator==(const Policy&, const Policy&) = default;
};

inline constexpr std::size_t kMaxPolicyOctets = 64 * 1024;
inline constexpr std::size_t kMaxPatterns = 256;
inline constexpr std::chrono::seconds kLongestAge{31'557'600};  // a year; more counts as that

Result<Policy> parse_policy(std::string_view text);
// One that parse_policy() takes, for storing.
std::string to_text(const Policy& policy);

std::string_view to_string(Mode mode);

// Whether a host, in lower case, is among those of the policy (§4.1).
bool covers(const Policy& policy, std::string_view host);

// The id of the one good record among the TXT records; nothing: there is no policy.
std::optional<std::string> record_id(const std::vector<std::string>& records);

}  // namespace postfleet::mta_sts
