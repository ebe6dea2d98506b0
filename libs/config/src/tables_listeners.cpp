// The sections about who may bring mail, and where.
#include "postfleet/base/text.hpp"
#include "tables.hpp"
#include "tables_limits.hpp"

namespace postfleet::config {

namespace {

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

}  // namespace

const Section& listener_section() {
    using L = Listener;
    static const Section section = with_listener_limits(
        {"listeners.<name>",
         "An address that takes mail by SMTP.",
         {
             value_key<L>("address", &L::address, EndpointCodec{}, "Where to listen. Port 0 takes any free port.",
                          kRequired),
             value_key<L>("relay_from", &L::relay_from, ListCodec<NetworkCodec, Network>{{}, true},
                          "Networks whose clients may send to any recipient. Everybody else is refused."),
             value_key<L>(
                 "proxy_from", &L::proxy_from, ListCodec<NetworkCodec, Network>{},
                 "Networks of load balancers that announce their clients with the PROXY protocol (version 1 or "
                 "2). With it every connection must come from there and begin with such a header, and the "
                 "client it announces is the client.",
                 {.default_text = "(no load balancer)"}),
             value_key<L>(
                 "xclient_from", &L::xclient_from, ListCodec<NetworkCodec, Network>{},
                 "Networks whose clients may say, with Postfix's XCLIENT, whose connection it is that they pass "
                 "on: address, name, EHLO name, user.",
                 {.default_text = "(nobody)"}),
             value_key<L>(
                 "headers", &L::headers,
                 ChoiceCodec<HeaderTrust>{{"ignore", "honour"}, {HeaderTrust::Ignore, HeaderTrust::Honour}},
                 "Whether X-Virtual-MTA, X-Job, X-EnvID, X-DKIM-Options and X-Schedule are obeyed and taken out of the "
                 "message."),
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
                 "line of more than 998 octets (RFC 5322): take it as it is; add Date and Message-ID, re-encode or "
                 "fold what has long lines, and refuse what cannot be repaired; refuse it, and From with several "
                 "addresses and a Message-ID that is not <left@right>, too, as large receivers do. See "
                 "docs/SUBMISSION.md."),
             value_key<L>(
                 "received", &L::received,
                 ChoiceCodec<ReceivedField>{{"full", "hide_client", "none"},
                                            {ReceivedField::Full, ReceivedField::HideClient, ReceivedField::None}},
                 "The Received field that is added: full, without name and address of the client, or none. "
                 "Without it mail loops are not seen."),
             value_key<L>("remove_bcc", &L::remove_bcc, FlagCodec{},
                          "Whether Bcc fields are taken out of the message."),
             value_key<L>(
                 "max_future_release", &L::max_future_release, DurationCodec{.lowest = Duration{}},
                 "How far ahead a client may schedule its mail (FUTURERELEASE, RFC 4865). 0: it may not. This and the "
                 "next two hold unless `users` or `tenants` say otherwise of who has logged in."),
             value_key<L>(
                 "deliver_by", &L::deliver_by, FlagCodec{},
                 "Whether a client may say by when its mail must have come (DELIVERBY, RFC 2852). In by-mode R it "
                 "expires then; by-mode N stays with the message."),
             value_key<L>(
                 "mt_priority", &L::mt_priority, FlagCodec{},
                 "Whether a client may give its mail a priority (MT-PRIORITY, RFC 6710); it goes before the pool's."),
             value_key<L>("mail_merge", &L::mail_merge, FlagCodec{},
                          "Whether clients may send one text to many recipients with variables for each (PowerMTA's "
                          "XMRG, XDFN, XPRT and XACK), and ask for VERP. See docs/MAIL_MERGE.md."),
             value_key<L>("undefined_variables", &L::undefined_variables,
                          ChoiceCodec<UndefinedVariable>{
                              {"empty", "keep", "refuse"},
                              {UndefinedVariable::Empty, UndefinedVariable::Keep, UndefinedVariable::Refuse}},
                          "A variable of the text that a recipient does not have: nothing stands for it, it is sent as "
                          "it is written, or the submission is refused."),
             value_key<L>("max_hops", &L::max_hops, count(1, 1000),
                          "A message with more Received fields is a loop and refused."),
             value_key<L>("max_header_size", &L::max_header_size, SizeCodec{1024, kContentChunkOctets},
                          "Messages with a larger header are refused with 552. At most 256KiB."),
             value_key<L>("max_header_field_size", &L::max_header_field_size, SizeCodec{1024, kContentChunkOctets},
                          "The same for each field of it. Large receivers take no fields of more than some 100 kB."),
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
             value_key<L>("dsn", &L::dsn, FlagCodec{},
                          "Whether the senders of its mail get notifications by mail, as `dsn` in `shaping` says, or "
                          "never."),
         },
         {"ciphers"}});
    return section;
}

const Section& user_section() {
    using U = User;
    static const Section section = with_user_limits(
        {"users.<name>",
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
         {}});
    return section;
}

const Section& tenant_section() {
    static const Section section = with_tenant_limits(
        {"tenants.<name>",
         "A customer; its name is on every message, task and event.",
         {value_key<Tenant>("send_as", &Tenant::send_as, ListCodec<TextCodec, std::string>{domain_pattern_codec()},
                            "The domains that its users may name in MAIL FROM, From, Sender and Resent-From: "
                            "\"acme.example\", \".acme.example\" for everything below it, \"*\" for any.",
                            {.default_text = "(none)"})},
         {}});
    return section;
}

}  // namespace postfleet::config
