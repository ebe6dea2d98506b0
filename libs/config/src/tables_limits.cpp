#include "tables_limits.hpp"

#include <string>

#include <utility>

#include "tables_flow.hpp"

namespace postfleet::config {
namespace {

constexpr std::uint32_t kMany = 10'000'000;
const CountCodec kCountOrUnlimited{1, kMany, true, {}};

template <class O, class Access>
Key rate_key(std::string name, Access access, std::string summary) {
    return value_key<O>(std::move(name), access, RateCodec{}, std::move(summary));
}

template <class O>
Section with_account_limits(Section section) {
    section.keys.push_back(value_key<O>(
        "max_connections", [](auto& o) -> auto& { return o.limits.max_connections; }, kCountOrUnlimited,
        "Connections that are logged in at the same time; more get 421."));
    section.keys.push_back(rate_key<O>(
        "max_message_rate", [](auto& o) -> auto& { return o.limits.max_message_rate; },
        "Transactions (MAIL) per period, after login; more get 450."));
    section.keys.push_back(rate_key<O>(
        "max_recipient_rate", [](auto& o) -> auto& { return o.limits.max_recipient_rate; },
        "Recipients (RCPT) per period, after login; more get 450."));
    return section;
}

template <class O>
Section with_schedule_rights(Section section, const std::string& otherwise) {
    const KeyOptions inherited{.default_text = otherwise};
    section.keys.push_back(value_key<O>(
        "max_future_release", [](auto& o) -> auto& { return o.schedule.max_future_release; },
        DurationCodec{.lowest = Duration{}}, "How far ahead they may schedule mail (FUTURERELEASE). 0: they may not.",
        inherited));
    section.keys.push_back(value_key<O>(
        "deliver_by", [](auto& o) -> auto& { return o.schedule.deliver_by; }, FlagCodec{},
        "Whether they may say by when their mail must have come (DELIVERBY).", inherited));
    section.keys.push_back(value_key<O>(
        "mt_priority", [](auto& o) -> auto& { return o.schedule.mt_priority; }, FlagCodec{},
        "Whether they may give their mail a priority (MT-PRIORITY).", inherited));
    return section;
}

// The rates of what arrives; `scope` says whose, as "_per_client" and " and client".
template <class O>
void add_arrival_rates(std::vector<Key>& keys, ArrivalRates O::*rates, const std::string& suffix,
                       const std::string& scope) {
    keys.push_back(rate_key<O>(
        "max_connection_rate" + suffix, [rates](auto& o) -> auto& { return (o.*rates).connections; },
        "Connections per period" + scope + "; more get 421."));
    keys.push_back(rate_key<O>(
        "max_message_rate" + suffix, [rates](auto& o) -> auto& { return (o.*rates).messages; },
        "Transactions (MAIL) per period" + scope + "; more get 450."));
    keys.push_back(rate_key<O>(
        "max_recipient_rate" + suffix, [rates](auto& o) -> auto& { return (o.*rates).recipients; },
        "Recipients (RCPT) per period" + scope + "; more get 450."));
}

}  // namespace

const Section& limits_section() {
    using L = Limits;
    static const Section section = [] {
        Section made{
            "limits",
            "Limits over all listeners: what the process spends on mail that comes in.",
            {
                value_key<L>(
                    "max_connections", &L::max_connections, CountCodec{0, kMany, false, {}},
                    "Connections open at the same time; more get 421. 0: three quarters of the file descriptors."),
                value_key<L>("max_handshakes", &L::max_handshakes, CountCodec{1, kMany, false, {}},
                             "TLS handshakes under way at the same time; more get 454, or are closed where TLS is "
                             "implicit."),
                value_key<L>("memory_for_incoming", &L::memory_for_incoming, SizeCodec{16 << 20},
                             "Memory for the content of messages that are being received; beyond it they get 451."),
            },
            {}};
        add_arrival_rates(made.keys, &L::rates, "", "");
        return made;
    }();
    return section;
}

Section with_listener_limits(Section section) {
    using L = Listener;
    const std::vector<Key> keys{
        value_key<L>("max_unknown_commands", &L::max_unknown_commands, kCountOrUnlimited,
                     "Commands that do not exist, in one connection; then 421."),
        value_key<L>("max_idle_commands", &L::max_idle_commands, kCountOrUnlimited,
                     "NOOP, RSET, EHLO, VRFY and HELP without a message in between; then 421."),
        value_key<L>("error_delay", &L::error_delay, DurationCodec{.lowest = {}, .highest = std::chrono::minutes(1)},
                     "After the nth refused command of a connection the next one is read n times this later, at most "
                     "30 seconds. 0: at once."),
        value_key<L>("max_session_time", &L::max_session_time, DurationCodec{.lowest = std::chrono::seconds(1)},
                     "How long a connection may last; then 421 at its next command."),
        value_key<L>("client_prefix_v4", &L::client_prefix_v4, CountCodec{8, 32, false, {}},
                     "IPv4 clients whose first bits are the same, this many, count as one."),
        value_key<L>("client_prefix_v6", &L::client_prefix_v6, CountCodec{16, 128, false, {}},
                     "IPv6 clients whose first bits are the same, this many, count as one."),
        value_key<L>("limit_relay_clients", &L::limit_relay_clients, FlagCodec{},
                     "Whether the rates per client, `error_delay`, `max_unknown_commands` and `max_idle_commands` hold "
                     "for clients in `relay_from`, too."),
    };
    section.keys.insert(section.keys.end(), keys.begin(), keys.end());
    add_arrival_rates(section.keys, &L::rates, "", "");
    add_arrival_rates(section.keys, &L::rates_per_client, "_per_client", " and client");
    section.keys.push_back(rate_key<L>(
        "max_error_rate_per_client", [](auto& l) -> auto& { return l.max_error_rate_per_client; },
        "Refused commands per period and client; beyond them its connections get 421."));
    return section;
}

namespace {

const Section& per_source_section() {
    static const Section section = with_flow_limits<FlowLimits>(
        {"outbound.per_source",
         "Limits of each source address over all sites and all virtual MTAs that have it. Those at one site are in "
         "`shaping`.",
         {},
         {}},
        [](auto& o) -> auto& { return o; });
    return section;
}

}  // namespace

const Section& outbound_section() {
    static const Section section = with_flow_limits<Outbound>(
        {"outbound",
         "Limits over all delivery of this process.",
         {object_key("per_source", &Outbound::per_source, per_source_section(), "Limits of each source address.")},
         {}},
        [](auto& o) -> auto& { return o.total; });
    return section;
}

Section with_tenant_limits(Section section) {
    return with_schedule_rights<Tenant>(with_account_limits<Tenant>(std::move(section)), "(as the listener's)");
}

Section with_user_limits(Section section) {
    return with_schedule_rights<User>(with_account_limits<User>(std::move(section)), "(as its tenant's)");
}

}  // namespace postfleet::config
