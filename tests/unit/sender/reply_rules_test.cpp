#include "reply_rules.hpp"

#include <catch2/catch.hpp>

using namespace postfleet;
using namespace postfleet::sender;
using namespace std::chrono_literals;
using config::ReplyAction;

namespace {

const Reply kReply{421, {4, 7, 28}, "unusual rate"};

ReplyRules rules(std::vector<config::ReplyRule> list) {
    config::Config config;
    config.reply_patterns = std::move(list);
    config.pools["bulk"] = {.name = "bulk", .members = {{"promo-1", 1}}};
    return ReplyRules(std::make_shared<const config::Config>(std::move(config)));
}

config::ReplyRule rule(std::string reply, std::vector<ReplyAction> actions) {
    config::ReplyRule out;
    out.reply = std::move(reply);
    out.actions = std::move(actions);
    out.origin = {"mta.yaml", 3, 5};
    return out;
}

}  // namespace

TEST_CASE("the actions of several rules combine, and of contradictions the first counts") {
    const auto both = rules({rule("4\\.7\\.28", {ReplyAction::Backoff, ReplyAction::SkipMx}),
                             rule("rate", {ReplyAction::Normal, ReplyAction::BounceQueue, ReplyAction::DeferQueue})});
    const Reaction reaction = both.react(kReply, SmtpPhase::Mail, {"google", "promo-1", "", ""});
    CHECK(reaction.mode == QueueMode::Backoff);
    CHECK(reaction.skip_host);
    CHECK_FALSE(reaction.bounce_queue);
    CHECK(reaction.defer_queue);
    CHECK(reaction.rule == "mta.yaml:3 (4\\.7\\.28)");
}

TEST_CASE("each rule brings its own parameters, and the first source rule its own time") {
    auto first = rule("unusual", {ReplyAction::DeferRecipient});
    first.retry_after = 30min;
    auto second = rule("rate", {ReplyAction::DisableSource});
    second.reenable_after = 2h;
    auto third = rule("rate", {ReplyAction::DisableSource, ReplyAction::DeferRecipient});
    third.reenable_after = 9h;
    third.retry_after = 9h;
    const Reaction reaction = rules({first, second, third}).react(kReply, SmtpPhase::Mail, {});
    CHECK(reaction.retry_after == Duration(30min));
    CHECK(reaction.disable_source);
    CHECK(reaction.reenable_after == Duration(2h));
}

TEST_CASE("a rule counts only for the mail it names") {
    auto one = rule("rate", {ReplyAction::Backoff});
    one.pool = "bulk";
    one.domain = "gmail.com";
    const auto list = rules({one});
    CHECK_FALSE(list.react(kReply, SmtpPhase::Mail, {"google", "promo-1", "gmail.com", ""}).is_nothing());
    CHECK(list.react(kReply, SmtpPhase::Mail, {"google", "tx-1", "gmail.com", ""}).is_nothing());
    CHECK(list.react(kReply, SmtpPhase::Mail, {"google", "promo-1", "other.test", ""}).is_nothing());
    CHECK_FALSE(list.react(kReply, SmtpPhase::Mail, {"gmail.com", "promo-1", "", ""}).is_nothing());
    CHECK(list.react(Reply{0, {4, 4, 1}, "rate"}, SmtpPhase::Connect, {"gmail.com", "promo-1", "", ""}).is_nothing());
}
