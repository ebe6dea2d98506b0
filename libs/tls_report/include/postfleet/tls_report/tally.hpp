// DomainTally: the SMTP sessions with one domain on one day, by the policy that applied and by how TLS failed (RFC 8460
// §4.2, §4.3).
//
// Bounded: kMaxPolicies, and kMaxFailures kinds of failure for each; what is beyond still counts in the sums. Texts are
// capped, and hold no control characters. Threads: value types.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postfleet::tls_report {

enum class PolicyType : std::uint8_t { NotFound, Sts, Tlsa };
std::string_view to_string(PolicyType type);  // "no-policy-found"

struct AppliedPolicy {
    PolicyType type = PolicyType::NotFound;
    std::vector<std::string> lines{};     // the policy as it was published
    std::vector<std::string> mx_hosts{};  // Sts: its patterns
    friend bool operator==(const AppliedPolicy&, const AppliedPolicy&) = default;
};

struct Failure {
    std::string result;        // "starttls-not-supported" … (§4.3)
    std::string sending_ip{};  // this and the next may be empty: not known
    std::string mx_host{}, mx_ip{};
    std::string reason{};  // our words
    std::uint64_t sessions = 1;
};

struct PolicyTally {
    AppliedPolicy policy;
    std::uint64_t successes = 0, failures = 0;
    std::vector<Failure> details{};
};

class DomainTally {
public:
    static constexpr std::size_t kMaxPolicies = 10;
    static constexpr std::size_t kMaxFailures = 100;
    static constexpr std::size_t kMaxText = 512;
    static constexpr std::size_t kMaxLines = 64;  // of a policy

    void add(const AppliedPolicy& policy, const std::optional<Failure>& failure);
    const std::vector<PolicyTally>& policies() const { return policies_; }

    // Lines; parse() takes those of one tally, and passes over what is none.
    std::string to_text() const;
    static DomainTally parse(std::string_view text);

private:
    PolicyTally* of(const AppliedPolicy& policy);
    std::vector<PolicyTally> policies_;
};

}  // namespace postfleet::tls_report
