// The configuration as a whole, and the sections of the process itself. The other sections: tables_*.cpp.
#include "tables.hpp"

#include <fmt/format.h>

#include "postfleet/config/shaping_keys.hpp"
#include "postfleet/mail/address.hpp"

namespace postfleet::config {

namespace {

const Section& http_section() {
    static const Section section{"http",
                                 "The HTTP server: /metrics, /healthz/live and /healthz/ready.",
                                 {value_key<Http>("address", &Http::address, EndpointCodec{}, "Where to listen.",
                                                  {.required = true, .needs_restart = true})},
                                 {"tls", "certificate", "private_key", "tokens"}};
    return section;
}

const Section& spool_section() {
    static const Section section{
        "spool",
        "The durable store of accepted mail, in data_dir.",
        {
            value_key<Spool>("min_free", &Spool::min_free, SizeCodec{},
                             "With less free disk space, new mail is refused with 452.", kRestart),
            value_key<Spool>("max_in_flight", &Spool::max_in_flight, SizeCodec{1 << 20},
                             "Octets that may wait to be synced; beyond them new mail gets 451.", kRestart),
            value_key<Spool>(
                "memory_for_content", &Spool::memory_for_content, SizeCodec{},
                "Memory for messages between acceptance and first attempt; others are read from disk again."),
            value_key<Spool>(
                "remember_taken", &Spool::remember_taken, DurationCodec{.lowest = {}},
                "How long, at least, the ids of mail are remembered that may be offered a second time: by a "
                "broker that gives it out again, or under one idempotency key. A copy that comes later is "
                "sent. 0: not at all.",
                kRestart),
        },
        {}};
    return section;
}

const Section& take_in_section() {
    using T = TakeIn;
    static const Section section{
        "take_in",
        "How a sender of a cluster takes in the mail that the broker holds for it; the standalone process has no use "
        "for "
        "it.",
        {
            value_key<T>("prefetch", &T::prefetch, SizeCodec{1 << 20},
                         "Octets that the broker may give before it hears that the first of them is in the spool.",
                         kRestart),
            value_key<T>(
                "max_messages", &T::max_messages, count(1, 1'000'000'000),
                "Messages in the spool; with as many, nothing more is taken in until a tenth of them has gone. "
                "What waits then is the broker's."),
            value_key<T>("max_octets", &T::max_octets, SizeCodec{1 << 20}, "The same for octets of content."),
            value_key<T>(
                "queue_quota", &T::queue_quota, count(1, 1'000'000'000),
                "Recipients that may wait in one queue (site/vmta). Mail for a queue with more goes to the broker's "
                "overflow queue, so that others have the room, and comes back when half of the quota is free."),
        },
        {}};
    return section;
}

const Section& local_buffer_section() {
    static const Section section{
        "local_buffer",
        "Where postfleet-ingest keeps mail that RabbitMQ does not take just now (docs/BROKER.md).",
        {value_key<LocalBuffer>("max_size", &LocalBuffer::max_size, SizeCodec{},
                                "Room in its data directory: content, and 1 KiB for each message. 0: none; while the "
                                "broker is away, mail is "
                                "answered with 451. `spool.min_free` holds here, too.",
                                {.default_text = "0 (off)"})},
        {}};
    return section;
}

const Section& rendering_section() {
    static const Section section{
        "rendering",
        "The making of the octets that go out, where they are not the stored ones: DKIM signatures, mail converted to "
        "7 "
        "bits.",
        {
            value_key<Rendering>("threads", &Rendering::threads, count(0, 256),
                                 "Threads that do this and nothing else. 0: as many as `shards`.", kRestart),
            value_key<Rendering>("memory", &Rendering::memory, SizeCodec{},
                                 "Memory for signatures and converted mail, so that further recipients and retries get "
                                 "what the first got. A signed message takes about 1.5 KiB; what does not fit is made "
                                 "again."),
        },
        {}};
    return section;
}

const Section& log_section() {
    using L = LogSettings;
    static const Section section{
        "log",
        "What the process says about itself, as logfmt.",
        {
            value_key<L>("path", &L::path, PathCodec{}, "The file.",
                         {.needs_restart = true, .default_text = "(standard error)"}),
            value_key<L>("level", &L::level,
                         ChoiceCodec<LogLevel>{{"debug", "info", "warning", "error"},
                                               {LogLevel::Debug, LogLevel::Info, LogLevel::Warning, LogLevel::Error}},
                         "The lowest level that is written.", kRestart),
            value_key<L>("attempts", &L::attempts, FlagCodec{}, "One line for every delivery attempt."),
            value_key<L>("accepted", &L::accepted, FlagCodec{}, "One line for every message that was accepted."),
            value_key<L>("rotate_size", &L::rotate_size, SizeCodec{4096}, "A file of this size is put aside.",
                         kRestart),
            value_key<L>("keep", &L::keep, count(), "How many files that were put aside are kept.", kRestart),
        },
        {}};
    return section;
}

const Section& dns_section() {
    static const Section section{
        "dns",
        "How names are resolved.",
        {
            value_key<Dns>("servers", &Dns::servers, ListCodec<EndpointCodec, Endpoint>{},
                           "Resolvers to ask. A caching, validating one on the same machine is best.",
                           {.needs_restart = true, .default_text = "(those of /etc/resolv.conf)"}),
            value_key<Dns>("timeout", &Dns::timeout, DurationCodec{}, "After this long a look-up has failed, for now.",
                           kRestart),
            value_key<Dns>("max_outstanding", &Dns::max_outstanding, count(1, 100'000),
                           "Look-ups under way at the same time.", kRestart),
            value_key<Dns>("trust_anchor_file", &Dns::trust_anchor_file, PathCodec{},
                           "The DNSSEC trust anchor; with it, answers are validated.",
                           {.needs_restart = true, .default_text = "(no validation)"}),
        },
        {}};
    return section;
}

const Section& https_client_section() {
    static const Section section{
        "https_client",
        "HTTPS requests to servers that recipient domains name: MTA-STS policies, TLS reports.",
        {value_key<HttpsClient>("ca_file", &HttpsClient::ca_file, PathCodec{},
                                "PEM file with the CAs that are trusted, instead of the system's.",
                                {.default_text = "(the system's)"})},
        {}};
    return section;
}

std::optional<std::string> check_report_sender(std::string& text) {
    const auto mailbox = Mailbox::parse(text);
    if (!mailbox) return "is no mail address";
    text = mailbox->to_string();
    return std::nullopt;
}

const Section& tls_reports_section() {
    using T = TlsReports;
    static const Section section{
        "tls_reports",
        "TLS reports (RFC 8460): to each domain that asks for them, once a day, how TLS with its hosts went.",
        {
            value_key<T>("from", &T::from, TextCodec{"mail address", check_report_sender}, "Whom they are from.",
                         kRequired),
            value_key<T>("organization", &T::organization, TextCodec{"name"}, "Our name in them.",
                         {.default_text = "(the domain of from)"}),
            value_key<T>("contact", &T::contact, TextCodec{"how to reach us"}, "Whom to ask about them.",
                         {.default_text = "(from)"}),
            value_key<T>("virtual_mta", &T::virtual_mta, name_codec("name of a virtual MTA or pool"),
                         "What they are sent by.", {.default_text = "(as other mail: bindings, default_virtual_mta)"}),
        },
        {}};
    return section;
}

std::string binding_label(const Binding& binding) {
    std::string out;
    for (const auto& shown : show_section(binding_section(), {}, &binding)) {
        out += fmt::format("{}{}: {}", out.empty() ? "" : ", ", shown.name, shown.text);
    }
    return out;
}

std::string shaping_label(const ShapingRule& rule) { return show_match(rule.match); }

Section make_root() {
    using C = Config;
    return {
        "",
        "",
        {
            value_key<C>("hostname", &C::hostname, domain_codec(),
                         "The name in the SMTP banner, in Received lines, and the default EHLO name.",
                         {.default_text = "(the machine's full name)"}),
            value_key<C>("data_dir", &C::data_dir, PathCodec{}, "Where the spool is. One process at a time can use it.",
                         kRestart),
            value_key<C>("control_socket", &C::control_socket, PathCodec{},
                         "The socket that the command line tool talks to.",
                         {.needs_restart = true, .default_text = "(data_dir/control.sock)"}),
            value_key<C>("shards", &C::shards, count(0, 256), "Event loops, one thread each. 0: one per core.",
                         kRestart),
            value_key<C>("shutdown_grace", &C::shutdown_grace, DurationCodec{.lowest = {}},
                         "How long transactions under way may take to end when the process is told to stop."),
            map_key("listeners", &C::listeners, listener_section(), "Where mail comes in.", kRequired),
            map_key("pickups", &C::pickups, pickup_section(), "Directories that take mail as files."),
            map_key("submission_queues", &C::submission_queues, submission_queue_section(),
                    "RabbitMQ queues that applications submit mail to."),
            map_key("grpc_listeners", &C::grpc_listeners, grpc_listener_section(),
                    "Where applications submit mail by gRPC."),
            object_key("intake", &C::intake, intake_section(),
                       "Mail for us: bounces, complaints, unsubscribe requests."),
            object_key("http", &C::http, http_section(), "Metrics and health; off unless it is given.", kRestart),
            map_key("tenants", &C::tenants, tenant_section(),
                    "The customers that mail can belong to, besides `default`."),
            map_key("users", &C::users, user_section(), "Who may log in."),
            map_key("virtual_mtas", &C::virtual_mtas, virtual_mta_section(), "The sending identities.",
                    {.default_text = "(one, `default`, without a source address)"}),
            map_key("pools", &C::pools, pool_section(), "Weighted sets of virtual MTAs."),
            list_key<C, Binding>("bindings", &C::bindings, binding_section(), "Which mail goes by which virtual MTA.",
                                 binding_label),
            value_key<C>("default_virtual_mta", &C::default_virtual_mta, name_codec("name of a virtual MTA or pool"),
                         "For mail that no binding takes.", {.default_text = "(`default`, or the only virtual MTA)"}),
            value_key<C>(
                "unknown_virtual_mta", &C::unknown_virtual_mta,
                ChoiceCodec<Unknown>{{"refuse", "default"}, {Unknown::Refuse, Unknown::Default}},
                "X-Virtual-MTA names something that does not exist: refuse the message, or bind it as if the header "
                "were not there."),
            value_key<C>("expiry_counts_from", &C::expiry_counts_from,
                         ChoiceCodec<ExpiryCountsFrom>{{"send_time", "acceptance"},
                                                       {ExpiryCountsFrom::SendTime, ExpiryCountsFrom::Acceptance}},
                         "What expire_after is counted from for mail that is to be sent later (FUTURERELEASE, "
                         "X-Schedule)."),
            map_key("providers", &C::providers, provider_section(), "Named groups of sites."),
            value_key<C>("shipped_providers", &C::shipped_providers, FlagCodec{},
                         "Also know the large mailbox providers by their MX hosts: google, outlook, microsoft365, "
                         "yahoo … (`postfleet show providers` lists them). One of `providers` with the same name "
                         "takes its place."),
            routes_key(),
            value_key<C>("allow_private_targets", &C::allow_private_targets, ListCodec<NetworkCodec, Network>{{}, true},
                         "Private and reserved networks that mail may go to by DNS or address literal. Without it, "
                         "addresses such as 127.0.0.1 or 10.0.0.1 in somebody's MX are never connected to. `routes` "
                         "may name any address."),
            list_key<C, ShapingRule>("shaping", &C::shaping, shaping_section(),
                                     "How queues deliver, from general to specific.", shaping_label),
            list_key<C, ReplyRule>("reply_patterns", &C::reply_patterns, reply_pattern_section(),
                                   "What replies of remote servers do besides their usual effect.",
                                   [](const ReplyRule& rule) { return rule.reply; }),
            list_key<C, BounceCategoryRule>("bounce_categories", &C::bounce_categories, bounce_category_section(),
                                            "What refusals mean, for bounce reports.",
                                            [](const BounceCategoryRule& rule) { return rule.reply; }),
            list_key<C, DkimRule>("dkim", &C::dkim, dkim_section(), "Which mail is signed with which DKIM key.",
                                  [](const DkimRule& rule) { return rule.label(); }),
            list_key<C, Report>("reports", &C::reports, report_section(), "Where delivery events go.",
                                [](const Report& report) { return report.name; }),
            object_key("limits", &C::limits, limits_section(), "Limits over all listeners."),
            object_key("outbound", &C::outbound, outbound_section(), "Limits over all delivery."),
            object_key("dsn", &C::dsn, dsn_section(), "Notifications that senders get by mail."),
            object_key("spool", &C::spool, spool_section(), "The durable store."),
            object_key("take_in", &C::take_in, take_in_section(), "What a sender of a cluster takes in."),
            object_key("local_buffer", &C::local_buffer, local_buffer_section(), "Mail that the broker does not take."),
            object_key("rendering", &C::rendering, rendering_section(), "DKIM signing and conversion to 7 bits."),
            object_key("log", &C::log, log_section(), "Logging."),
            object_key("dns", &C::dns, dns_section(), "Name resolution.", kRestart),
            object_key("https_client", &C::https_client, https_client_section(), "HTTPS requests of ours."),
            object_key("tls_reports", &C::tls_reports, tls_reports_section(),
                       "TLS reports to recipient domains; off unless it is given."),
        },
        {"templates", "suppression", "webhooks", "router", "senders", "tls", "amqp"}};
}

}  // namespace

const Section& root_section() {
    static const Section section = make_root();
    return section;
}

}  // namespace postfleet::config
