#include "postfleet/tls_report/tally.hpp"

#include <algorithm>
#include <charconv>

#include "postfleet/base/text.hpp"

namespace postfleet::tls_report {

namespace {

// A line is a letter and fields with tabs before them: P policy, S line of a policy, M pattern, F failure.
constexpr char kTab = '\t';

std::uint64_t number_of(std::string_view text) {
    std::uint64_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

bool is_same(const Failure& a, const Failure& b) {
    return a.result == b.result && a.sending_ip == b.sending_ip && a.mx_host == b.mx_host && a.mx_ip == b.mx_ip &&
           a.reason == b.reason;
}

Failure cleaned(const Failure& failure) {
    Failure out = failure;
    for (std::string* text : {&out.result, &out.sending_ip, &out.mx_host, &out.mx_ip, &out.reason}) {
        *text = printable(*text, DomainTally::kMaxText);
    }
    return out;
}

}  // namespace

std::string_view to_string(PolicyType type) {
    switch (type) {
        case PolicyType::NotFound: return "no-policy-found";
        case PolicyType::Sts: return "sts";
        case PolicyType::Tlsa: return "tlsa";
    }
    return "";
}

PolicyTally* DomainTally::of(const AppliedPolicy& policy) {
    const auto found =
        std::find_if(policies_.begin(), policies_.end(), [&](const PolicyTally& t) { return t.policy == policy; });
    if (found != policies_.end()) return &*found;
    if (policies_.size() == kMaxPolicies) return nullptr;
    return &policies_.emplace_back(PolicyTally{policy});
}

void DomainTally::add(const AppliedPolicy& applied, const std::optional<Failure>& failure) {
    AppliedPolicy policy = applied;
    for (auto* texts : {&policy.lines, &policy.mx_hosts}) {
        if (texts->size() > kMaxLines) texts->resize(kMaxLines);
        for (std::string& text : *texts) text = printable(text, kMaxText);
    }
    PolicyTally* const tally = of(policy);
    if (tally == nullptr) return;
    if (!failure) {
        ++tally->successes;
        return;
    }
    tally->failures += failure->sessions;
    const Failure clean = cleaned(*failure);
    const auto known = std::find_if(tally->details.begin(), tally->details.end(),
                                    [&](const Failure& other) { return is_same(other, clean); });
    if (known != tally->details.end()) known->sessions += clean.sessions;
    else if (tally->details.size() < kMaxFailures) tally->details.push_back(clean);
}

std::string DomainTally::to_text() const {
    std::string out;
    const auto line = [&out](char letter, std::initializer_list<std::string_view> fields) {
        out += letter;
        for (const std::string_view field : fields) (out += kTab) += field;
        out += '\n';
    };
    for (const PolicyTally& tally : policies_) {
        line('P', {std::to_string(static_cast<int>(tally.policy.type)), std::to_string(tally.successes),
                   std::to_string(tally.failures)});
        for (const std::string& text : tally.policy.lines) line('S', {text});
        for (const std::string& mx : tally.policy.mx_hosts) line('M', {mx});
        for (const Failure& f : tally.details) {
            line('F', {std::to_string(f.sessions), f.result, f.sending_ip, f.mx_host, f.mx_ip, f.reason});
        }
    }
    return out;
}

DomainTally DomainTally::parse(std::string_view text) {
    DomainTally out;
    for (const std::string_view line : split(text, '\n')) {
        const auto fields = split(line, kTab);
        PolicyTally* const last = out.policies_.empty() ? nullptr : &out.policies_.back();
        if (fields[0] == "P" && fields.size() == 4 && out.policies_.size() < kMaxPolicies) {
            PolicyTally& tally = out.policies_.emplace_back();
            tally.policy.type = static_cast<PolicyType>(std::min<std::uint64_t>(number_of(fields[1]), 2));
            tally.successes = number_of(fields[2]);
            tally.failures = number_of(fields[3]);
        } else if (last != nullptr && fields[0] == "S" && fields.size() == 2 && last->policy.lines.size() < kMaxLines) {
            last->policy.lines.emplace_back(fields[1]);
        } else if (last != nullptr && fields[0] == "M" && fields.size() == 2 &&
                   last->policy.mx_hosts.size() < kMaxLines) {
            last->policy.mx_hosts.emplace_back(fields[1]);
        } else if (last != nullptr && fields[0] == "F" && fields.size() == 7 && last->details.size() < kMaxFailures) {
            Failure& f = last->details.emplace_back();
            f.sessions = number_of(fields[1]);
            f.result = fields[2];
            f.sending_ip = fields[3];
            f.mx_host = fields[4];
            f.mx_ip = fields[5];
            f.reason = fields[6];
        }
    }
    return out;
}

}  // namespace postfleet::tls_report
