// ReplyRules: what the operator's `reply_patterns` make of a reply (DESIGN section 8), as one Reaction.
//
// Every pattern that fits counts, in the order of the configuration; where two contradict each other the first one
// decides, so that actions of several rules combine (PowerMTA's rule). What follows for a recipient is decided in
// failure_policy (refine), what follows for the queue is carried out by Engine::carry_out.
//
// Threads: immutable; thread-safe. Costs a few microseconds, and only replies that refuse are asked about.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "postfleet/base/pattern_set.hpp"
#include "postfleet/config/config.hpp"

namespace postfleet::sender {

enum class QueueMode : std::uint8_t { Normal, Backoff };

// The mail that the reply was about. Empty domain or tenant: all of the queue's.
struct ReplyScope {
    std::string_view site, virtual_mta, domain, tenant;
};

struct Reaction {
    std::optional<QueueMode> mode;
    bool skip_host = false;
    bool bounce_queue = false;
    bool bounce_recipient = false;
    bool defer_recipient = false;
    bool defer_queue = false;
    bool disable_source = false;
    std::optional<Duration> reenable_after;  // none: after a day
    std::optional<Duration> retry_after;     // of the recipients that are deferred
    std::string rule;                        // "mta.yaml:12 (4\.7\.28)": the first that said something

    bool is_nothing() const { return rule.empty(); }
    // Both are about one transaction: what the other says counts where this one says nothing.
    void add(const Reaction& other);
};

class ReplyRules final {
public:
    explicit ReplyRules(std::shared_ptr<const config::Config> config);

    bool is_empty() const { return config_->reply_patterns.empty(); }
    Reaction react(const Reply& reply, SmtpPhase phase, const ReplyScope& scope) const;

private:
    bool fits(const config::ReplyRule& rule, SmtpPhase phase, const ReplyScope& scope) const;

    std::shared_ptr<const config::Config> config_;
    PatternSet patterns_;
};

}  // namespace postfleet::sender
