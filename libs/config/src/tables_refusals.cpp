// The sections about what remote servers answer.
#include "tables.hpp"

namespace postfleet::config {

namespace {

ChoiceCodec<BounceCategory> category_codec() {
    ChoiceCodec<BounceCategory> codec;
    for (std::size_t i = 0; i < kBounceCategoryNames.size(); ++i) {
        codec.words.emplace_back(kBounceCategoryNames[i]);
        codec.values.push_back(static_cast<BounceCategory>(i));
    }
    return codec;
}

ListCodec<ChoiceCodec<ReplyAction>, ReplyAction> actions_codec() {
    using A = ReplyAction;
    return {
        {{"backoff", "normal", "skip-mx", "bounce-queue", "bounce-rcpt", "disable-source", "defer-queue", "defer-rcpt"},
         {A::Backoff, A::Normal, A::SkipMx, A::BounceQueue, A::BounceRecipient, A::DisableSource, A::DeferQueue,
          A::DeferRecipient}}};
}

ListCodec<ChoiceCodec<SmtpPhase>, SmtpPhase> phases_codec() {
    ChoiceCodec<SmtpPhase> each;
    for (const SmtpPhase phase : {SmtpPhase::Greeting, SmtpPhase::Ehlo, SmtpPhase::StartTls, SmtpPhase::Auth,
                                  SmtpPhase::Mail, SmtpPhase::Rcpt, SmtpPhase::Data, SmtpPhase::EndOfData}) {
        each.words.emplace_back(to_string(phase));
        each.values.push_back(phase);
    }
    return {each, true};
}

}  // namespace

const Section& reply_pattern_section() {
    using R = ReplyRule;
    static const Section section{
        "reply_patterns[]",
        "What a reply does besides its usual effect. All patterns that fit count, in their order; where two contradict "
        "each other (backoff and normal, skip-mx and bounce-queue, bounce-rcpt and defer-rcpt), the first.",
        {
            value_key<R>("reply", &R::reply, pattern_codec(),
                         "Pattern for the reply as one line: `421 4.7.28 unusual rate`.", kRequired),
            value_key<R>(
                "action", &R::actions, actions_codec(),
                "backoff: the queue runs by the `backoff` keys of its shaping rules. normal: no longer. skip-mx: "
                "another host of the destination gets the mail, after a 5xx too. bounce-queue: all mail of the "
                "queue bounces. bounce-rcpt: a 4xx to RCPT bounces. disable-source: the queue stops using this "
                "source address. defer-queue: the queue waits for its first retry_after. defer-rcpt: a 5xx is "
                "tried again like a 4xx.",
                kRequired),
            value_key<R>("site", &R::site, TextCodec{"provider, domain or MX host"}, "Only at this site."),
            value_key<R>("domain", &R::domain, domain_codec(), "Only for recipients of this domain."),
            value_key<R>("virtual_mta", &R::virtual_mta, TextCodec{"name of a virtual MTA"},
                         "Only from this virtual MTA."),
            value_key<R>("pool", &R::pool, TextCodec{"name of a pool"}, "Only from the virtual MTAs of this pool."),
            value_key<R>("tenant", &R::tenant, TextCodec{"name of a tenant"}, "Only for mail of this tenant."),
            value_key<R>("phase", &R::phases, phases_codec(), "Only where it is said in these phases of the dialogue.",
                         {.default_text = "(any)"}),
            value_key<R>("reenable_after", &R::reenable_after, DurationCodec{},
                         "disable-source: the queue uses the address again after this long.", {.default_text = "24h"}),
            value_key<R>("retry_after", &R::retry_after, DurationCodec{},
                         "Recipients that this reply defers wait this long, instead of the queue's retry_after.",
                         {.default_text = "(the retry_after of the queue)"}),
        },
        {}};
    return section;
}

const Section& bounce_category_section() {
    using R = BounceCategoryRule;
    static const Section section{
        "bounce_categories[]",
        "What a refusal means. The first pattern that fits decides; after these come the ones that are shipped "
        "(`postfleet classify --list`), then the enhanced status.",
        {
            value_key<R>("reply", &R::reply, pattern_codec(),
                         "Pattern for the reply as one line: `550 5.1.1 no such user`.", kRequired),
            value_key<R>("category", &R::category, category_codec(), "The category it then has.", kRequired),
        },
        {}};
    return section;
}

}  // namespace postfleet::config
