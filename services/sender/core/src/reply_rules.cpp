#include "reply_rules.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace postfleet::sender {

namespace {

Reaction reaction_of(const config::ReplyRule& rule) {
    Reaction out;
    for (const config::ReplyAction action : rule.actions) {
        switch (action) {
            case config::ReplyAction::Backoff: out.mode = QueueMode::Backoff; break;
            case config::ReplyAction::Normal: out.mode = QueueMode::Normal; break;
            case config::ReplyAction::SkipMx: out.skip_host = true; break;
            case config::ReplyAction::BounceQueue: out.bounce_queue = true; break;
            case config::ReplyAction::BounceRecipient: out.bounce_recipient = true; break;
            case config::ReplyAction::DisableSource: out.disable_source = true; break;
            case config::ReplyAction::DeferQueue: out.defer_queue = true; break;
            case config::ReplyAction::DeferRecipient: out.defer_recipient = true; break;
        }
    }
    out.reenable_after = rule.reenable_after;
    out.retry_after = rule.retry_after;
    out.rule = rule.origin.file + ":" + std::to_string(rule.origin.line) + " (" + rule.reply + ")";
    return out;
}

bool is_one_of(std::string_view name, const config::Config& config, const std::string& pool) {
    const auto found = config.pools.find(pool);
    if (found == config.pools.end()) return false;
    const auto& members = found->second.members;
    return std::any_of(members.begin(), members.end(), [&](const auto& member) { return member.first == name; });
}

}  // namespace

void Reaction::add(const Reaction& other) {
    if (other.is_nothing()) return;
    if (is_nothing()) rule = other.rule;
    if (!mode) mode = other.mode;
    if (!bounce_queue) skip_host = skip_host || other.skip_host;
    if (!skip_host) bounce_queue = bounce_queue || other.bounce_queue;
    if (!defer_recipient) bounce_recipient = bounce_recipient || other.bounce_recipient;
    if (!bounce_recipient) defer_recipient = defer_recipient || other.defer_recipient;
    defer_queue = defer_queue || other.defer_queue;
    if (!std::exchange(disable_source, disable_source || other.disable_source)) reenable_after = other.reenable_after;
    if (!retry_after) retry_after = other.retry_after;
}

ReplyRules::ReplyRules(std::shared_ptr<const config::Config> config) : config_(std::move(config)) {
    std::vector<std::string> texts;
    for (const config::ReplyRule& rule : config_->reply_patterns) texts.push_back(rule.reply);
    patterns_ = PatternSet::compile(texts).value();  // compiled before, when the configuration was loaded
}

bool ReplyRules::fits(const config::ReplyRule& rule, SmtpPhase phase, const ReplyScope& scope) const {
    // Mail in a queue of its own domain needs no domain given.
    const std::string_view domain = scope.domain.empty() ? scope.site : scope.domain;
    return (rule.phases.empty() || std::find(rule.phases.begin(), rule.phases.end(), phase) != rule.phases.end()) &&
           (rule.site.empty() || rule.site == scope.site) && (rule.domain.empty() || rule.domain == domain) &&
           (rule.virtual_mta.empty() || rule.virtual_mta == scope.virtual_mta) &&
           (rule.tenant.empty() || rule.tenant == scope.tenant) &&
           (rule.pool.empty() || is_one_of(scope.virtual_mta, *config_, rule.pool));
}

Reaction ReplyRules::react(const Reply& reply, SmtpPhase phase, const ReplyScope& scope) const {
    Reaction out;
    if (reply.code == 0) return out;  // our own words: no server said anything
    patterns_.visit_matches(reply.to_string(), [&](std::size_t number) {
        const config::ReplyRule& rule = config_->reply_patterns[number];
        if (fits(rule, phase, scope)) out.add(reaction_of(rule));
        return true;
    });
    return out;
}

}  // namespace postfleet::sender
