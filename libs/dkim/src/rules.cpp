#include "postfleet/dkim/rules.hpp"

#include <algorithm>
#include <optional>
#include <tuple>

#include "postfleet/base/text.hpp"

namespace postfleet::dkim {

namespace {

using config::DkimRule;

bool holds(const std::vector<std::string>& names, std::string_view name) {
    return names.empty() || std::find(names.begin(), names.end(), name) != names.end();
}

// How near: the longer the part of the domain that fits, the nearer; the domain itself is nearer than all above it.
std::size_t nearness(std::string_view pattern, std::string_view domain) {
    if (pattern == "*") return 1;
    if (domain.empty()) return 0;
    if (pattern.starts_with('.'))
        return domain.size() > pattern.size() && domain.ends_with(pattern) ? 1 + pattern.size() : 0;
    return domain == pattern ? 2 + domain.size() : 0;
}

std::size_t nearness(const DkimRule& rule, std::string_view domain) {
    if (!rule.match.empty()) {
        std::size_t best = 0;
        for (const std::string& pattern : rule.match) best = std::max(best, nearness(pattern, domain));
        return best;
    }
    if (rule.domain == "*") return domain.empty() ? 0 : 1;
    return std::max(nearness(rule.domain, domain), nearness("." + rule.domain, domain));
}

const std::string& author_domain(const DkimRule& rule, const Applicant& applicant) {
    const bool by_sender = rule.identity_from == config::IdentityField::Sender && !applicant.sender_domain.empty();
    return by_sender ? applicant.sender_domain : applicant.from_domain;
}

bool may_use(const DkimRule& rule, const Applicant& applicant, const Options& options) {
    const bool is_listed = rule.key_list == options.key_list || (rule.also && rule.key_list.empty());
    return is_listed && holds(rule.tenants, applicant.tenant) && holds(rule.users, applicant.user) &&
           (rule.when == config::SigningCall::Always || options.are_given);
}

// The options choose among the main rules; what signs beside them does so whatever they say.
std::size_t nearness(const DkimRule& rule, const Applicant& applicant, const Options& options) {
    if (!rule.also && !options.selector.empty() && rule.selector != options.selector) return 0;
    if (rule.also || options.domain.empty()) return nearness(rule, author_domain(rule, applicant));
    return rule.domain == options.domain ? 2 : rule.domain == "*" ? 1 : 0;
}

Error no_key(const Options& options) {
    std::string text = "no DKIM key is configured for what X-DKIM-Options asks for:";
    if (!options.selector.empty()) text += " s=" + printable(options.selector, 64);
    if (!options.domain.empty()) text += " d=" + printable(options.domain, 255);
    if (!options.key_list.empty()) text += " key-list=" + printable(options.key_list, 64);
    if (text.ends_with(':')) text += " a signature for this author";
    return {ErrorKind::NotFound, std::move(text)};
}

}  // namespace

bool is_within(std::string_view domain, std::string_view parent) {
    if (domain.size() == parent.size()) return domain == parent;
    return domain.size() > parent.size() && domain.ends_with(parent) &&
           domain[domain.size() - parent.size() - 1] == '.';
}

Result<std::vector<Choice>> choose_signatures(std::span<const DkimRule> rules, const Applicant& applicant,
                                              const Options& options) {
    using Rank = std::tuple<std::size_t, bool, bool>;  // nearness, names the user, names the tenant
    std::vector<std::optional<Rank>> ranks(rules.size());
    Rank best{};
    for (std::size_t i = 0; i < rules.size(); ++i) {
        const DkimRule& rule = rules[i];
        if (!may_use(rule, applicant, options)) continue;
        const std::size_t near = nearness(rule, applicant, options);
        if (near == 0) continue;
        ranks[i] = Rank{near, !rule.users.empty(), !rule.tenants.empty()};
        if (!rule.also) best = std::max(best, *ranks[i]);
    }
    std::vector<Choice> choices;
    bool has_main = false;
    for (std::size_t i = 0; i < rules.size(); ++i) {
        const DkimRule& rule = rules[i];
        if (!ranks[i] || (!rule.also && *ranks[i] != best)) continue;
        has_main |= !rule.also;
        Choice choice{i, rule.domain, rule.identity};
        if (rule.domain == "*") {
            choice.domain = options.domain.empty() || rule.also ? author_domain(rule, applicant) : options.domain;
        }
        if (!rule.also && !options.identity.empty()) choice.identity = options.identity;
        if (choice.domain.empty())
            return Error{ErrorKind::InvalidArgument, "no domain to sign as: From cannot be read"};
        const std::string_view identity = choice.identity;
        if (!identity.empty() && !is_within(to_ascii_lower(identity.substr(identity.rfind('@') + 1)), choice.domain)) {
            return Error{ErrorKind::InvalidArgument,
                         "i=" + printable(identity, 255) + " is not within d=" + choice.domain};
        }
        choices.push_back(std::move(choice));
    }
    if (options.are_given && !has_main) return no_key(options);
    return choices;
}

}  // namespace postfleet::dkim
