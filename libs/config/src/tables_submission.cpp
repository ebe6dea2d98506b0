// The sections about applications that submit mail: queues of a broker, and gRPC.
#include <iterator>

#include "tables.hpp"
#include "tables_broker.hpp"

namespace postfleet::config {
namespace {

const KeyOptions kFixed{.needs_restart = true};

std::optional<std::string> check_queue_name(std::string& text) {
    if (text.empty() || text.size() > 255) return "must have 1 to 255 octets";
    return std::nullopt;
}

// What holds for the mail of a way in that is no SMTP.
template <class Q>
Section with_mail_keys(Section section, const char* size_text) {
    std::vector<Key> keys{
        value_key<Q>("tenant", &Q::tenant, name_codec("name of a tenant"), "Its mail belongs to this tenant."),
        value_key<Q>("send_as", &Q::send_as, ListCodec<TextCodec, std::string>{domain_pattern_codec()},
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
        value_key<Q>("message_checks", &Q::message_checks,
                     ChoiceCodec<MessageChecks>{{"allow", "repair", "refuse"},
                                                {MessageChecks::Allow, MessageChecks::Repair, MessageChecks::Refuse}},
                     "As of a listener."),
        value_key<Q>("remove_bcc", &Q::remove_bcc, FlagCodec{}, "Whether Bcc fields are taken out of the message."),
        value_key<Q>("max_header_size", &Q::max_header_size, SizeCodec{1024, kContentChunkOctets},
                     "Messages with a larger header are rejected. At most 256KiB."),
        value_key<Q>("max_header_field_size", &Q::max_header_field_size, SizeCodec{1024, kContentChunkOctets},
                     "The same for each field of it."),
        value_key<Q>("max_message_size", &Q::max_message_size, SizeCodec{1024}, size_text),
        value_key<Q>("max_recipients", &Q::max_recipients, CountCodec{1, 100'000, false, {}},
                     "Submissions with more recipients are rejected."),
        value_key<Q>("max_future_release", &Q::max_future_release,
                     DurationCodec{.highest = std::chrono::hours(24 * 365)}, "How far away send_at may be."),
        value_key<Q>("idempotency_window", &Q::idempotency_window,
                     DurationCodec{.lowest = std::chrono::minutes(1), .highest = std::chrono::hours(24 * 7)},
                     "How long an idempotency key is known."),
    };
    std::move(keys.begin(), keys.end(), std::back_inserter(section.keys));
    return section;
}

Section own_keys() {
    using Q = SubmissionQueue;
    const TextCodec queue_name{"name of a queue", check_queue_name};
    return Section{
        "submission_queues.<name>",
        "A RabbitMQ queue that applications submit mail to (docs/SUBMITTING_BY_QUEUE.md). Its name stands in events "
        "and bindings like that of a listener.",
        {
            value_key<Q>("queue", &Q::queue, queue_name, "The queue that is read.", kFixed),
            value_key<Q>("rejected_queue", &Q::rejected_queue, queue_name,
                         "Where a submission goes that can never be sent, with the reason in a header.", kFixed),
            value_key<Q>("declare", &Q::declare, FlagCodec{},
                         "Whether the two queues, and exchanges of the same names, are made where they are missing.",
                         kFixed),
            value_key<Q>("consumers", &Q::consumers, CountCodec{1, 64, false, {}},
                         "Connections that read the queue, each with a thread.", kFixed),
            value_key<Q>("max_in_flight", &Q::max_in_flight, CountCodec{1, 10'000, false, {}},
                         "Submissions of each consumer that are not acknowledged yet.", kFixed),
            value_key<Q>("max_octets_in_flight", &Q::max_octets_in_flight, SizeCodec{64 * 1024},
                         "About how many octets these may have together.", kFixed),
        },
        {}};
}

Section own_grpc_keys() {
    using G = GrpcListener;
    return Section{
        "grpc_listeners.<name>",
        "An address where applications submit mail by gRPC (docs/SUBMITTING_BY_GRPC.md). Its name stands in events and "
        "bindings like that of a listener.",
        {
            value_key<G>("address", &G::address, EndpointCodec{}, "Where to listen. Port 0 takes any free port.",
                         {.required = true, .needs_restart = true}),
            value_key<G>("relay_from", &G::relay_from, ListCodec<NetworkCodec, Network>{{}, true},
                         "Networks whose clients may submit without a login. Everybody else has to be one of `users`, "
                         "by password or by client certificate."),
            value_key<G>("certificate", &G::certificate, PathCodec{},
                         "PEM file: the certificate, then its chain. Read again when it changes.",
                         {.needs_restart = true, .default_text = "(no TLS)"}),
            value_key<G>("private_key", &G::private_key, PathCodec{},
                         "PEM file with the key of the certificate, not encrypted.",
                         {.needs_restart = true, .default_text = "(in the certificate's file)"}),
            value_key<G>("client_ca", &G::client_ca, PathCodec{},
                         "PEM file with the CAs that clients' certificates must be from.",
                         {.needs_restart = true, .default_text = "(clients are not asked)"}),
            value_key<G>("require_client_certificate", &G::require_client_certificate, FlagCodec{},
                         "With `client_ca`: whether a client needs such a certificate to connect at all.", kFixed),
            value_key<G>("unsafe_plaintext", &G::unsafe_plaintext, FlagCodec{},
                         "Takes mail and passwords without TLS also on other addresses than loopback's: only for "
                         "networks that nobody else can listen to.",
                         kFixed),
            value_key<G>("threads", &G::threads, CountCodec{1, 64, false, {}},
                         "Threads that make mail of what was submitted.", kFixed),
            value_key<G>("max_connections", &G::max_connections, CountCodec{1, 100'000, false, {}},
                         "Connections open at the same time; more are closed.", kFixed),
            value_key<G>("max_connections_per_client", &G::max_connections_per_client,
                         CountCodec{1, 100'000, false, {}},
                         "The same, per client: an IPv4 address, or the /64 of an IPv6 address.", kFixed),
            value_key<G>("max_calls", &G::max_calls, CountCodec{1, 100'000, false, {}},
                         "Calls under way at the same time; more get RESOURCE_EXHAUSTED.", kFixed),
            value_key<G>("max_calls_per_connection", &G::max_calls_per_connection, CountCodec{1, 100'000, false, {}},
                         "The same of one connection; a client library makes more wait.", kFixed),
            value_key<G>("max_in_flight", &G::max_in_flight, CountCodec{1, 10'000, false, {}},
                         "Submissions of one SendMany without a result; the next ones wait in the client.", kFixed),
            value_key<G>("max_octets_in_flight", &G::max_octets_in_flight, SizeCodec{1 << 20},
                         "Octets of all submissions without a result; beyond them new ones are told to try again.",
                         kFixed),
            value_key<G>("call_timeout", &G::call_timeout, DurationCodec{.lowest = std::chrono::seconds(1)},
                         "How long a call waits for its next submission; then DEADLINE_EXCEEDED.", kFixed),
        },
        {}};
}

}  // namespace

const Section& grpc_listener_section() {
    static const Section section =
        with_mail_keys<GrpcListener>(own_grpc_keys(), "Submissions whose message would be larger are refused.");
    return section;
}

const Section& submission_queue_section() {
    static const Section section = with_broker_access<SubmissionQueue>(
        with_mail_keys<SubmissionQueue>(
            own_keys(), "Larger messages are rejected. RabbitMQ 4 takes bodies of at most 16MiB by default."),
        [](auto& q) -> auto& { return q.broker; }, {.required = true, .needs_restart = true});
    return section;
}

}  // namespace postfleet::config
