// Policies and TXT records from anybody: what is taken comes back the same from its text, and covers only host names.
#include <cstddef>
#include <span>
#include <string>

#include "postfleet/base/require.hpp"
#include "postfleet/mta_sts/policy.hpp"

using namespace postfleet;

void fuzz_mta_sts(std::span<const std::byte> input) {
    const std::string text(reinterpret_cast<const char*>(input.data()), input.size());
    if (const auto id = mta_sts::record_id({text})) require(!id->empty() && id->size() <= 32);
    const auto policy = mta_sts::parse_policy(text);
    if (!policy) return;
    require(policy->mx.size() <= mta_sts::kMaxPatterns && policy->max_age <= mta_sts::kLongestAge);
    require(!policy->mx.empty() || policy->mode == mta_sts::Mode::None);
    require(mta_sts::parse_policy(mta_sts::to_text(*policy)).value() == *policy);
    for (const std::string& pattern : policy->mx) {
        const bool is_wildcard = pattern.starts_with("*.");
        require(mta_sts::covers(*policy, is_wildcard ? "x" + pattern.substr(1) : pattern));
        require(!mta_sts::covers(*policy, ""));
    }
}
