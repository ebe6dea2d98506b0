// The section about queues of a broker that applications submit mail to.
#include "tables.hpp"
#include "tables_broker.hpp"

namespace postfleet::config {
namespace {

const KeyOptions kFixed{.needs_restart = true};

std::optional<std::string> check_queue_name(std::string& text) {
    if (text.empty() || text.size() > 255) return "must have 1 to 255 octets";
    return std::nullopt;
}

Section own_keys() {
    using Q = SubmissionQueue;
    const TextCodec queue_name{"name of a queue", check_queue_name};
    return Section{
        "submission_queues.<name>",
        "A RabbitMQ queue that applications submit mail to (docs/SUBMITTING_BY_QUEUE.md). Its name stands in events "
        "and "
        "bindings like that of a listener.",
        {
            value_key<Q>("queue", &Q::queue, queue_name, "The queue that is read.", kFixed),
            value_key<Q>("rejected_queue", &Q::rejected_queue, queue_name,
                         "Where a submission goes that can never be sent, with the reason in a header.", kFixed),
            value_key<Q>("declare", &Q::declare, FlagCodec{},
                         "Whether the two queues, and exchanges of the same names, are made where they are missing.",
                         kFixed),
            value_key<Q>("tenant", &Q::tenant, name_codec("name of a tenant"), "Its mail belongs to this tenant."),
            value_key<Q>(
                "send_as", &Q::send_as, ListCodec<TextCodec, std::string>{domain_pattern_codec()},
                "The domains that its mail may name in MAIL FROM, From, Sender and Resent-From, as of a tenant.",
                {.default_text = "(its tenant's; any, where that has none)"}),
            value_key<Q>("virtual_mta", &Q::virtual_mta, name_codec("name of a virtual MTA or pool"),
                         "Where its mail goes when neither the submission nor a binding says so.",
                         {.default_text = "(default_virtual_mta)"}),
            value_key<Q>(
                "headers", &Q::headers,
                ChoiceCodec<HeaderTrust>{{"ignore", "honour"}, {HeaderTrust::Ignore, HeaderTrust::Honour}},
                "Whether X-Virtual-MTA, X-Job, X-EnvID and X-Schedule of a finished message are obeyed and taken out."),
            value_key<Q>("undefined_variables", &Q::undefined_variables,
                         ChoiceCodec<UndefinedVariable>{
                             {"empty", "keep", "refuse"},
                             {UndefinedVariable::Empty, UndefinedVariable::Keep, UndefinedVariable::Refuse}},
                         "As of a listener, for submissions with variables."),
            value_key<Q>(
                "message_checks", &Q::message_checks,
                ChoiceCodec<MessageChecks>{{"allow", "repair", "refuse"},
                                           {MessageChecks::Allow, MessageChecks::Repair, MessageChecks::Refuse}},
                "As of a listener."),
            value_key<Q>("remove_bcc", &Q::remove_bcc, FlagCodec{}, "Whether Bcc fields are taken out of the message."),
            value_key<Q>("max_header_size", &Q::max_header_size, SizeCodec{1024, kContentChunkOctets},
                         "Messages with a larger header are rejected. At most 256KiB."),
            value_key<Q>("max_header_field_size", &Q::max_header_field_size, SizeCodec{1024, kContentChunkOctets},
                         "The same for each field of it."),
            value_key<Q>("max_message_size", &Q::max_message_size, SizeCodec{1024},
                         "Larger messages are rejected. RabbitMQ 4 takes bodies of at most 16MiB by default."),
            value_key<Q>("max_recipients", &Q::max_recipients, CountCodec{1, 100'000, false, {}},
                         "Submissions with more recipients are rejected."),
            value_key<Q>("max_future_release", &Q::max_future_release,
                         DurationCodec{.highest = std::chrono::hours(24 * 365)}, "How far away send_at may be."),
            value_key<Q>("consumers", &Q::consumers, CountCodec{1, 64, false, {}},
                         "Connections that read the queue, each with a thread.", kFixed),
            value_key<Q>("max_in_flight", &Q::max_in_flight, CountCodec{1, 10'000, false, {}},
                         "Submissions of each consumer that are not acknowledged yet.", kFixed),
            value_key<Q>("max_octets_in_flight", &Q::max_octets_in_flight, SizeCodec{64 * 1024},
                         "About how many octets these may have together.", kFixed),
            value_key<Q>("idempotency_window", &Q::idempotency_window,
                         DurationCodec{.lowest = std::chrono::minutes(1), .highest = std::chrono::hours(24 * 7)},
                         "How long an idempotency key is known."),
        },
        {}};
}

}  // namespace

const Section& submission_queue_section() {
    static const Section section = with_broker_access<SubmissionQueue>(
        own_keys(), [](auto& q) -> auto& { return q.broker; }, {.required = true, .needs_restart = true});
    return section;
}

}  // namespace postfleet::config
