// The sections of the configuration: every key, once, with its kind of value and its description.
#include <fmt/format.h>

#include "postfleet/config/shaping_keys.hpp"
#include "postfleet/base/text.hpp"
#include "pickup_table.hpp"
#include "schema.hpp"
#include "tables_limits.hpp"
#include "tables.hpp"

namespace postfleet::config {

namespace {

constexpr std::string_view kZeroConnections = "to stop a queue use `postfleet pause`";
const KeyOptions kRequired{.required = true};
const KeyOptions kRestart{.needs_restart = true};

CountCodec count(std::uint32_t lowest = 1, std::uint32_t highest = 1'000'000) { return {lowest, highest, false, {}}; }
CountCodec count_or_unlimited() { return {1, 10'000'000, true, kZeroConnections}; }

// Host and domain names are compared in lower case; names of providers are kept as they are.
std::optional<std::string> lower_site(std::string& text) {
    if (text.find('.') != std::string::npos) text = to_ascii_lower(text);
    return std::nullopt;
}

// A kind of text, with the codec of its text.
template <class T, class C>
struct KindCodec {
    C of_text;
    std::optional<T> read(Reader& reader, const Node& node, const std::string& path) const {
        auto text = of_text.read(reader, node, path);
        return text ? std::optional(T{std::move(*text)}) : std::nullopt;
    }
    std::string show(const T& value) const { return of_text.show(value.text); }
    std::string type() const { return of_text.type(); }
    std::string json() const { return of_text.json(); }
};

ChoiceCodec<DeliveryTls> delivery_tls_codec() {
    using T = DeliveryTls;
    return {{"none", "may", "require", "verify"}, {T::None, T::May, T::Require, T::Verify}};
}

// The codec of a shaping key follows from the type of its value.
template <class T>
auto shaping_codec() {
    if constexpr (std::is_same_v<T, std::uint32_t>) return count_or_unlimited();
    else if constexpr (std::is_same_v<T, Rate>) return RateCodec{};
    else if constexpr (std::is_same_v<T, Duration>) return DurationCodec{};
    else if constexpr (std::is_same_v<T, DurationOrNever>) return DurationOrNeverCodec{};
    else if constexpr (std::is_same_v<T, std::string>) return refusal_codec();
    else if constexpr (std::is_same_v<T, bool>) return FlagCodec{};
    else if constexpr (std::is_same_v<T, AddressFamily>) {
        using A = AddressFamily;
        return ChoiceCodec<A>{{"ipv6_first", "ipv4_first", "ipv6", "ipv4"},
                              {A::Ipv6First, A::Ipv4First, A::Ipv6, A::Ipv4}};
    }
    else if constexpr (std::is_same_v<T, DeliveryTls>) return delivery_tls_codec();
    else if constexpr (std::is_same_v<T, TlsMinVersion>)
        return ChoiceCodec<T>{{"1.2", "1.3"}, {TlsMinVersion::Tls12, TlsMinVersion::Tls13}};
    else if constexpr (std::is_same_v<T, HostNames>) return ListCodec<TextCodec, std::string>{.each = domain_codec()};
    else if constexpr (std::is_same_v<T, CipherList>) return KindCodec<T, TextCodec>{{.type_name = "list of ciphers"}};
    else if constexpr (std::is_same_v<T, FilePath>) return KindCodec<T, PathCodec>{};
    else return DurationListCodec{.each = {.lowest = std::chrono::milliseconds(100)}};
}

const Section& listener_section() {
    using L = Listener;
    static const Section section{
        "listeners.<name>",
        "An address that takes mail by SMTP.",
        {
            value_key<L>("address", &L::address, EndpointCodec{}, "Where to listen. Port 0 takes any free port.",
                         kRequired),
            value_key<L>("relay_from", &L::relay_from, ListCodec<NetworkCodec, Network>{{}, true},
                         "Networks whose clients may send to any recipient. Everybody else is refused."),
            value_key<L>("proxy_from", &L::proxy_from, ListCodec<NetworkCodec, Network>{},
                         "Networks of load balancers that announce their clients with the PROXY protocol (version 1 or "
                         "2). With it every connection must come from there and begin with such a header, and the "
                         "client it announces is the client.",
                         {.default_text = "(no load balancer)"}),
            value_key<L>("headers", &L::headers,
                         ChoiceCodec<HeaderTrust>{{"ignore", "honour"}, {HeaderTrust::Ignore, HeaderTrust::Honour}},
                         "Whether X-Virtual-MTA, X-Job and X-EnvID are obeyed and taken out of the message."),
            value_key<L>("tls", &L::tls,
                         ChoiceCodec<ListenerTls>{{"none", "starttls", "implicit"},
                                                  {ListenerTls::None, ListenerTls::Starttls, ListenerTls::Implicit}},
                         "TLS 1.2 and 1.3: none, offered by STARTTLS (port 587 or 25), or from the first octet on "
                         "(port 465)."),
            value_key<L>("certificate", &L::certificate, PathCodec{},
                         "PEM file: the certificate, then its chain. Read again at every reload."),
            value_key<L>("private_key", &L::private_key, PathCodec{},
                         "PEM file with the key of the certificate, not encrypted.",
                         {.default_text = "(in the certificate's file)"}),
            value_key<L>("client_ca", &L::client_ca, PathCodec{},
                         "PEM file with the CAs whose client certificates are verified. With it, clients are asked "
                         "for a certificate; they need not have one.",
                         {.default_text = "(clients are not asked)"}),
            value_key<L>(
                "auth", &L::auth,
                ChoiceCodec<ListenerAuth>{{"none", "optional", "required"},
                                          {ListenerAuth::None, ListenerAuth::Optional, ListenerAuth::Required}},
                "Whether `users` may log in here, or must before they send. Who has logged in may send to "
                "any recipient, as the domains of its tenant."),
            value_key<L>("auth_without_tls", &L::auth_without_tls, FlagCodec{},
                         "Offers AUTH in plain text too: only for networks that nobody else can listen to."),
            value_key<L>("tenant", &L::tenant, name_codec("name of a tenant"),
                         "The tenant of mail that comes in here without authentication."),
            value_key<L>("line_ends", &L::line_ends,
                         ChoiceCodec<LineEnds>{{"strict", "normalize"}, {LineEnds::Strict, LineEnds::Normalize}},
                         "A bare CR or LF in a message: refuse it, or make it CRLF."),
            value_key<L>(
                "message_checks", &L::message_checks,
                ChoiceCodec<MessageChecks>{{"allow", "repair", "refuse"},
                                           {MessageChecks::Allow, MessageChecks::Repair, MessageChecks::Refuse}},
                "A message without From, Date or Message-ID, with a field twice that may occur once, or with a "
                "line of more than 998 octets (RFC 5322): take it as it is; add Date and Message-ID and refuse "
                "what cannot be repaired; refuse it."),
            value_key<L>(
                "received", &L::received,
                ChoiceCodec<ReceivedField>{{"full", "hide_client", "none"},
                                           {ReceivedField::Full, ReceivedField::HideClient, ReceivedField::None}},
                "The Received field that is added: full, without name and address of the client, or none. "
                "Without it mail loops are not seen."),
            value_key<L>("remove_bcc", &L::remove_bcc, FlagCodec{}, "Whether Bcc fields are taken out of the message."),
            value_key<L>("max_future_release", &L::max_future_release, DurationCodec{.lowest = Duration{}},
                         "How far ahead a client may schedule its mail (FUTURERELEASE, RFC 4865). 0: it may not."),
            value_key<L>(
                "deliver_by", &L::deliver_by, FlagCodec{},
                "Whether a client may say by when its mail must have come (DELIVERBY, RFC 2852). In by-mode R it "
                "expires then; by-mode N stays with the message."),
            value_key<L>(
                "mt_priority", &L::mt_priority, FlagCodec{},
                "Whether a client may give its mail a priority (MT-PRIORITY, RFC 6710); it goes before the pool's."),
            value_key<L>("max_hops", &L::max_hops, count(1, 1000),
                         "A message with more Received fields is a loop and refused."),
            value_key<L>("max_header_size", &L::max_header_size, SizeCodec{1024, kContentChunkOctets},
                         "Messages with a larger header are refused with 552. At most 256KiB."),
            value_key<L>("max_message_size", &L::max_message_size, SizeCodec{1024},
                         "Larger messages are refused with 552."),
            value_key<L>("max_recipients", &L::max_recipients, count(1, 100'000),
                         "Recipients per transaction; more are refused with 452, to be sent in another one."),
            value_key<L>("max_connections", &L::max_connections, count(),
                         "Connections open at the same time; more get 421."),
            value_key<L>("max_connections_per_client", &L::max_connections_per_client, count(),
                         "The same, per client (see `client_prefix_v4`)."),
            value_key<L>("max_messages_per_connection", &L::max_messages_per_connection, count_or_unlimited(),
                         "Messages over one connection; then 421."),
            value_key<L>("max_errors", &L::max_errors, count(1, 10'000),
                         "Refused commands in one connection; then 421."),
            value_key<L>("command_timeout", &L::command_timeout, DurationCodec{},
                         "How long to wait for a command (RFC 5321 §4.5.3.2.7)."),
            value_key<L>("data_timeout", &L::data_timeout, DurationCodec{},
                         "How long to wait for each part of a message."),
            value_key<L>("min_data_rate", &L::min_data_rate, SizeCodec{1},
                         "Octets per second that a message must come with on average, once `data_timeout` is over; "
                         "slower connections are closed."),
        },
        {"ciphers"}};
    return section;
}

const Section& http_section() {
    static const Section section{"http",
                                 "The HTTP server: /metrics, /healthz/live and /healthz/ready.",
                                 {value_key<Http>("address", &Http::address, EndpointCodec{}, "Where to listen.",
                                                  {.required = true, .needs_restart = true})},
                                 {"tls", "certificate", "private_key", "tokens"}};
    return section;
}

std::optional<std::string> check_send_as(std::string& text) {
    if (text == "*") return std::nullopt;
    const bool below = text.size() > 1 && text.front() == '.';
    std::string domain = text.substr(below ? 1 : 0);
    if (auto wrong = domain_codec().check(domain)) return *wrong + ", or \"*\"";
    text = below ? "." + domain : domain;
    return std::nullopt;
}

std::optional<std::string> check_fingerprint(std::string& text) {
    std::string digits;
    for (const char c : text) {
        if (c != ':') digits.push_back(ascii_lower(c));
    }
    const bool good = digits.size() == 64 && digits.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (!good)
        return "is not a SHA-256 fingerprint: 64 hexadecimal digits, as `openssl x509 -fingerprint -sha256` writes it";
    text = digits;
    return std::nullopt;
}

const Section& user_section() {
    using U = User;
    static const Section section{
        "users.<name>",
        "Somebody who may log in on listeners with `auth`, by password or by a client certificate.",
        {
            value_key<U>("tenant", &U::tenant, name_codec("name of a tenant"),
                         "Its mail belongs to this tenant, whose `send_as` says what it may send as."),
            value_key<U>("password_file", &U::password_file, PathCodec{},
                         "File with what `postfleet hash-password` wrote. Read again at every reload.",
                         {.default_text = "(no password)"}),
            value_key<U>("certificate", &U::certificate, TextCodec{"SHA-256 fingerprint", check_fingerprint},
                         "Fingerprint of the client certificate that is as good as the password; the listener needs "
                         "`client_ca`.",
                         {.default_text = "(no certificate)"}),
            value_key<U>("virtual_mta", &U::virtual_mta, name_codec("name of a virtual MTA or pool"),
                         "Where its mail goes when no binding takes it.", {.default_text = "(default_virtual_mta)"}),
        },
        {}};
    return section;
}

const Section& tenant_section() {
    static const Section section{
        "tenants.<name>",
        "A customer; its name is on every message, task and event.",
        {value_key<Tenant>("send_as", &Tenant::send_as,
                           ListCodec<TextCodec, std::string>{TextCodec{"domain, `.domain` or `*`", check_send_as}},
                           "The domains that its users may name in MAIL FROM, From, Sender and Resent-From: "
                           "\"acme.example\", \".acme.example\" for everything below it, \"*\" for any.",
                           {.default_text = "(none)"})},
        {}};
    return section;
}

std::optional<std::string> check_socks_user(std::string& text) {
    if (!text.empty() && text.size() <= 255) return std::nullopt;
    return "is no user for a SOCKS5 proxy: 1 to 255 octets";
}

const Section& virtual_mta_section() {
    using V = VirtualMta;
    static const Section section{
        "virtual_mtas.<name>",
        "A sending identity. The limits hold over all its queues; those of each queue are in `shaping`.",
        {
            value_key<V>(
                "source", &V::sources, ListCodec<AddressCodec, IpAddress>{},
                "The address or addresses that connections come from. Another one is never used instead. Without "
                "it the system chooses."),
            value_key<V>("ehlo", &V::ehlo, ehlo_codec(), "The name in EHLO.", {.default_text = "(hostname)"}),
            value_key<V>("proxy", &V::proxy, ProxyCodec{},
                         "The proxy that its connections go through; `source` is an address of the proxy's then. "
                         "socks5://, haproxy:// (PROXY version 2) or haproxy-v1://. Nothing goes past it.",
                         {.default_text = "(none)"}),
            value_key<V>("proxy_user", &V::proxy_user, TextCodec{"name of a user", check_socks_user},
                         "Who we are to a SOCKS5 proxy.", {.default_text = "(no login)"}),
            value_key<V>("proxy_password_file", &V::proxy_password_file, PathCodec{},
                         "File with the password of proxy_user: its first line. Read again at every reload."),
            value_key<V>("max_connections", &V::max_connections, count_or_unlimited(),
                         "Connections open at the same time."),
            value_key<V>("max_message_rate", &V::max_message_rate, RateCodec{}, "Attempted recipients per period."),
            value_key<V>("max_connect_rate", &V::max_connect_rate, RateCodec{}, "Connection attempts per period."),
        },
        {"sender", "tls", "dkim"}};
    return section;
}

const Section& pool_section() {
    static const Section section{
        "pools.<name>",
        "A weighted set of virtual MTAs. Pools and virtual MTAs share one namespace.",
        {
            value_key<Pool>("members", &Pool::members, WeightsCodec{}, "Its virtual MTAs, evenly or with weights.",
                            kRequired),
            value_key<Pool>(
                "priority", &Pool::priority,
                ChoiceCodec<Priority>{{"high", "normal", "low"}, {Priority::High, Priority::Normal, Priority::Low}},
                "Which mail goes first when a virtual MTA has more than it may send."),
        },
        {"rechoose"}};
    return section;
}

const Section& binding_section() {
    using B = Binding;
    static const Section section{
        "bindings[]",
        "A rule that picks the virtual MTA or pool. The first rule whose conditions all hold decides; a rule without "
        "conditions takes everything. Patterns are Perl's, found anywhere, whatever the case.",
        {
            value_key<B>("header", &B::headers, HeaderPatternsCodec{},
                         "Headers and the patterns their values must match."),
            value_key<B>("mail_from", &B::mail_from, pattern_codec(), "Pattern for the address in MAIL FROM."),
            value_key<B>("rcpt_domain", &B::rcpt_domain, pattern_codec(), "Pattern for the recipient's domain."),
            value_key<B>("client", &B::client, NetworkCodec{}, "Network the client's address is in."),
            value_key<B>("user", &B::user, TextCodec{"name of a user"}, "The authenticated user."),
            value_key<B>("listener", &B::listener, name_codec("name of a listener"), "The listener it came in by."),
            value_key<B>("template", &B::template_name, TextCodec{"name of a template"},
                         "The template it was made from."),
            value_key<B>("tenant", &B::tenant, name_codec("name of a tenant"), "Its tenant."),
            value_key<B>("job", &B::job, TextCodec{"job"}, "Its job."),
            value_key<B>("virtual_mta", &B::target, name_codec("name of a virtual MTA or pool"), "Where it goes.",
                         kRequired),
        },
        {}};
    return section;
}

const Section& provider_section() {
    static const Section section{
        "providers.<name>",
        "A named group of sites: all domains whose MX hosts fit share its queues.",
        {value_key<Provider>("mx", &Provider::mx, ListCodec<TextCodec, std::string>{wildcard_codec()},
                             "Wildcards over the names of MX hosts. The longest that fits decides.", kRequired)},
        {}};
    return section;
}

const Section& match_section() {
    using M = ShapingMatch;
    static const Section section{
        "shaping[].match",
        "What a shaping rule applies to. All that is given must fit; nothing given: everything.",
        {
            value_key<M>("site", &M::site, TextCodec{"provider, domain or MX host", lower_site},
                         "The site: a provider, a domain, or the first MX host."),
            value_key<M>(
                "domain", &M::domain, domain_codec(),
                "The recipient's domain. Its mail gets a queue of its own, unless it belongs to a provider: then "
                "only retry_after and expire_after apply to it alone."),
            value_key<M>("virtual_mta", &M::virtual_mta, name_codec("name of a virtual MTA"), "The virtual MTA."),
            value_key<M>("pool", &M::pool, name_codec("name of a pool"), "A pool that the virtual MTA is a member of."),
            value_key<M>("tenant", &M::tenant, name_codec("name of a tenant"),
                         "The tenant. Only for retry_after and expire_after: a queue carries the mail of all tenants."),
        },
        {}};
    return section;
}

template <class T>
Key shaping_key(const ShapingKey<T>& key, std::string_view name) {
    const auto codec = shaping_codec<T>();
    return value_key<ShapingRule>(
        std::string(name), [set = key.set](auto& rule) -> auto& { return rule.keys.*set; }, codec,
        std::string(key.summary), {.default_text = codec.show(ShapingValues{}.*key.value)});
}

constexpr std::string_view kBackoff = "backoff.";

const Section& backoff_section() {
    static const Section section = [] {
        Section made{"shaping[].backoff",
                     "The careful rules of a queue: while it is in backoff, because a reply pattern or an operator said "
                     "so. Each is a key like the others: the most specific rule that sets it wins.",
                     {},
                     {}};
        for_each_shaping_key([&]<class T>(const ShapingKey<T>& key) {
            if (key.name.starts_with(kBackoff)) made.keys.push_back(shaping_key(key, key.name.substr(kBackoff.size())));
        });
        return made;
    }();
    return section;
}

// A mapping in the files; its keys belong to the rule itself.
Key backoff_key() {
    Key key;
    key.name = "backoff";
    key.summary = "What changes while the queue is in backoff.";
    key.shape = Key::Shape::Object;
    key.type = "mapping";
    key.section = &backoff_section();
    key.read = [](Reader& reader, const Node& node, const std::string& path, void* owner) {
        read_section(reader, backoff_section(), node, path, owner);
    };
    key.show = [](const void* owner, Shown& out) {
        out.children = show_section(backoff_section(), out.path, owner);
        if (!out.children.empty()) out.shape = Shown::Shape::Mapping;
    };
    return key;
}

const Section& shaping_section() {
    static const Section section = [] {
        Section made{
            "shaping[]",
            "A rule that sets how queues deliver. For each key the most specific matching rule that sets it wins; "
            "of equally specific ones, the later. More specific, in this order: domain over site over neither; "
            "virtual_mta over pool over neither; tenant over none.",
            {object_key("match", &ShapingRule::match, match_section(), "What it applies to.")},
            {"tls", "dkim", "rechoose", "max_data_rate", "warm_up"}};
        for_each_shaping_key([&]<class T>(const ShapingKey<T>& key) {
            if (!key.name.starts_with(kBackoff)) made.keys.push_back(shaping_key(key, key.name));
        });
        made.keys.push_back(backoff_key());
        return made;
    }();
    return section;
}

const std::vector<std::string> kRecordNames{"d", "b", "t", "tq", "r"};

// Columns are checked as a whole, in check.cpp.
const Section& accounting_columns_section() {
    using A = AccountingColumns;
    const ListCodec<TextCodec, std::string> names{TextCodec{"column, `*` for the default ones, or `!column`"}};
    static const Section section{
        "reports[].columns",
        "What an accounting file shows of each record; `header_X-Foo` shows a header of the message.",
        {
            value_key<A>("d", &A::d, names, "Of deliveries.", {.default_text = "\"*\""}),
            value_key<A>("b", &A::b, names, "Of mail that ended undelivered.", {.default_text = "\"*\""}),
            value_key<A>("t", &A::t, names, "Of attempts that failed for now.", {.default_text = "\"*\""}),
            value_key<A>("tq", &A::tq, names, "Of failed connections of a queue.", {.default_text = "\"*\""}),
            value_key<A>("r", &A::r, names, "Of receipts.", {.default_text = "\"*\""}),
        },
        {}};
    return section;
}

const Section& report_section() {
    using F = FileReport;
    static const Section section{
        "reports[]",
        "A place that delivery events go to, at least once each.",
        {
            value_key<F>("type", &F::form,
                         ChoiceCodec<ReportForm>{{"file", "accounting"}, {ReportForm::Events, ReportForm::Accounting}},
                         "`file`: CloudEvents JSON, one event per line. `accounting`: CSV with the columns of "
                         "PowerMTA's accounting file. Both are rotated.",
                         kRequired),
            value_key<F>("name", &F::name, name_codec("a name"),
                         "Names the position up to which events were written; a new name begins anew.",
                         {.default_text = "file"}),
            value_key<F>("path", &F::path, PathCodec{}, "The file.", kRequired),
            value_key<F>("types", &F::types, EventTypesCodec{}, "Which events a `file` takes.",
                         {.default_text = "all"}),
            value_key<F>("records", &F::records,
                         ListCodec<ChoiceCodec<std::string>, std::string>{{kRecordNames, kRecordNames}},
                         "Which records an `accounting` file has: d delivered, b bounced, t failed attempts, tq failed "
                         "connections, r received."),
            object_key<F>("columns", &F::columns, accounting_columns_section(),
                          "Which columns an `accounting` file has."),
            value_key<F>("times", &F::times,
                         ChoiceCodec<ReportTimes>{{"iso", "epoch"}, {ReportTimes::Iso, ReportTimes::Epoch}},
                         "Times of an `accounting` file: `2026-11-22 10:11:12+0000`, or seconds since 1970."),
            value_key<F>("user_string", &F::user_string, TextCodec{}, "What the column `userString` shows."),
            value_key<F>(
                "privacy", &F::privacy,
                ChoiceCodec<ReportPrivacy>{{"retain", "redact", "hmac-sha256"},
                                           {ReportPrivacy::Retain, ReportPrivacy::Redact, ReportPrivacy::HmacSha256}},
                "What an `accounting` file shows of the local parts of recipients."),
            value_key<F>("privacy_key_file", &F::privacy_key_file, PathCodec{}, "The key of `hmac-sha256`."),
            value_key<F>("rotate_size", &F::rotate_size, SizeCodec{4096}, "A file of this size is put aside."),
            value_key<F>("rotate_after", &F::rotate_after, DurationCodec{.lowest = std::chrono::seconds(1)},
                         "A file of this age is put aside."),
            value_key<F>("keep", &F::keep, count(), "How many files that were put aside are kept."),
            value_key<F>("move_to", &F::move_to, PathCodec{},
                         "Folder on the same volume that files are put aside to, for a reader that removes them; "
                         "`keep` does not count there."),
        },
        {"url", "exchange", "quota", "on_full", "brokers", "topic"}};
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

Key routes_key() {
    const ListCodec<HopCodec, RouteHop> codec;
    Key key;
    key.name = "routes";
    key.summary =
        "Next hops instead of MX look-up, tried in this order: \"example.test\", \".example.test\" for everything "
        "below it, \"*\" for everything. The nearest decides.";
    key.shape = Key::Shape::ValueMap;
    key.type = "mapping of domain to list of host:port";
    key.json = codec.json();
    key.item_name = "<domain>";
    key.read = [codec](Reader& reader, const Node& node, const std::string& path, void* owner) {
        for (const auto* entry : named_members(reader, node, path)) {
            const auto at = path + "." + entry->name;
            const bool below = entry->name.size() > 1 && entry->name.front() == '.';
            std::string domain = entry->name.substr(below ? 1 : 0);
            if (domain != "*") {
                if (const auto wrong = domain_codec().check(domain)) {
                    reader.report(entry->origin, at, fmt::format("'{}' {}, or \"*\"", entry->name, *wrong));
                    continue;
                }
            }
            domain = below ? "." + domain : domain;
            reader.note_origin(path + "." + domain, entry->origin);
            auto hops = codec.read(reader, entry->value, at);
            if (!hops) continue;
            const auto is_new = static_cast<Config*>(owner)->routes.emplace(domain, std::move(*hops)).second;
            if (!is_new) reader.report(entry->origin, at, "is in the routes already, written differently");
        }
    };
    key.show = [codec](const void* owner, Shown& out) {
        out.shape = Shown::Shape::Mapping;
        for (const auto& [domain, hops] : static_cast<const Config*>(owner)->routes) {
            out.children.push_back({.name = domain, .path = out.path + "." + domain, .text = codec.show(hops)});
        }
    };
    return key;
}

std::string binding_label(const Binding& binding) {
    std::string out;
    for (const auto& shown : show_section(binding_section(), {}, &binding)) {
        out += fmt::format("{}{}: {}", out.empty() ? "" : ", ", shown.name, shown.text);
    }
    return out;
}

std::string shaping_label(const ShapingRule& rule) { return show_match(rule.match); }

const Section& limited_listener_section() {
    static const Section section = with_listener_limits(listener_section());
    return section;
}

const Section& limited_tenant_section() {
    static const Section section = with_tenant_limits(tenant_section());
    return section;
}

const Section& limited_user_section() {
    static const Section section = with_user_limits(user_section());
    return section;
}

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
            map_key("listeners", &C::listeners, limited_listener_section(), "Where mail comes in.", kRequired),
            map_key("pickups", &C::pickups, pickup_section(), "Directories that take mail as files."),
            object_key("http", &C::http, http_section(), "Metrics and health; off unless it is given.", kRestart),
            map_key("tenants", &C::tenants, limited_tenant_section(),
                    "The customers that mail can belong to, besides `default`."),
            map_key("users", &C::users, limited_user_section(), "Who may log in."),
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
            map_key("providers", &C::providers, provider_section(), "Named groups of sites."),
            routes_key(),
            value_key<C>("allow_private_targets", &C::allow_private_targets,
                         ListCodec<NetworkCodec, Network>{{}, true},
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
            list_key<C, FileReport>("reports", &C::file_reports, report_section(), "Where delivery events go.",
                                    [](const FileReport& report) { return report.name; }),
            object_key("limits", &C::limits, limits_section(), "Limits over all listeners."),
            object_key("spool", &C::spool, spool_section(), "The durable store."),
            object_key("log", &C::log, log_section(), "Logging."),
            object_key("dns", &C::dns, dns_section(), "Name resolution.", kRestart),
        },
        {"dkim", "templates", "suppression", "webhooks", "router", "senders", "tls", "amqp"}};
}

}  // namespace

std::string show_match(const ShapingMatch& match) {
    std::string out;
    for (const auto& shown : show_section(match_section(), {}, &match)) {
        out += fmt::format("{}{}: {}", out.empty() ? "" : ", ", shown.name, shown.text);
    }
    return out;
}

std::string show_value(std::uint32_t value) { return count_or_unlimited().show(value); }
std::string show_value(const Rate& value) { return value.to_string(); }
std::string show_value(Duration value) { return shaping_codec<Duration>().show(value); }
std::string show_value(const std::vector<Duration>& value) {
    return shaping_codec<std::vector<Duration>>().show(value);
}
std::string show_value(bool value) { return FlagCodec{}.show(value); }
std::string show_value(AddressFamily value) { return shaping_codec<AddressFamily>().show(value); }
std::string show_value(DeliveryTls value) { return shaping_codec<DeliveryTls>().show(value); }
std::string show_value(TlsMinVersion value) { return shaping_codec<TlsMinVersion>().show(value); }
std::string show_value(const HostNames& value) { return shaping_codec<HostNames>().show(value); }
std::string show_value(const CipherList& value) { return shaping_codec<CipherList>().show(value); }
std::string show_value(const FilePath& value) { return shaping_codec<FilePath>().show(value); }
std::string show_value(const DurationOrNever& value) { return DurationOrNeverCodec{}.show(value); }
std::string show_value(const std::string& value) { return value.empty() ? "none" : value; }

const Section& root_section() {
    static const Section section = make_root();
    return section;
}

}  // namespace postfleet::config
