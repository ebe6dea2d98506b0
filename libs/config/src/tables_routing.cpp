// The sections about which way mail goes: identities, the rules that pick them, sites and next hops.
#include <fmt/format.h>

#include "tables.hpp"
#include "tables_flow.hpp"

namespace postfleet::config {

namespace {

// A route as a mapping, before it is dealt out to its hops.
struct RouteForm {
    std::vector<RouteHop> hosts{};
    RouteAccess access{};
};

void give_access(std::vector<RouteHop>& hops, const RouteAccess& written) {
    constexpr std::uint16_t kSubmissionsPort = 465;  // TLS from the first octet, and nothing else
    auto implicit = std::make_shared<RouteAccess>(written);
    implicit->is_implicit_tls = true;
    const auto usual = written.is_verified() ? std::make_shared<const RouteAccess>(written) : nullptr;
    for (RouteHop& hop : hops) {
        const bool is_implicit = written.tls == RouteTls::Implicit || hop.port == kSubmissionsPort;
        hop.access = is_implicit ? implicit : usual;
    }
}

std::optional<std::string> check_login_user(std::string& text) {
    const bool is_good = !text.empty() && text.size() <= 255 && text.find('\0') == std::string::npos;
    if (is_good) return std::nullopt;
    return "is no user to log in as: 1 to 255 octets";
}

std::optional<std::string> check_socks_user(std::string& text) {
    if (!text.empty() && text.size() <= 255) return std::nullopt;
    return "is no user for a SOCKS5 proxy: 1 to 255 octets";
}

// {192.0.2.10: mx10.example.org}.
struct EhloNamesCodec {
    using Names = std::vector<std::pair<IpAddress, std::string>>;
    std::optional<Names> read(Reader& reader, const Node& node, const std::string& path) const {
        if (node.kind != Node::Kind::Mapping) {
            reader.report(node.origin, path, "must be a mapping of address to name: {192.0.2.10: mx10.example.org}");
            return std::nullopt;
        }
        Names out;
        bool good = true;
        for (const auto& member : node.members) {
            const auto address = IpAddress::parse(member.name);
            if (!address) reader.report(member.origin, path, fmt::format("'{}' is not an IP address", member.name));
            auto name = ehlo_codec().read(reader, member.value, path + "." + member.name);
            good = good && address && name;
            if (good) out.emplace_back(*address, std::move(*name));
        }
        return good ? std::optional(std::move(out)) : std::nullopt;
    }
    std::string show(const Names& value) const {
        std::vector<std::string> texts;
        for (const auto& [address, name] : value) texts.push_back(fmt::format("\"{}\": {}", address.to_string(), name));
        return fmt::format("{{{}}}", fmt::join(texts, ", "));
    }
    std::string type() const { return "mapping of address to name"; }
    std::string json() const { return R"({"type":"object","additionalProperties":{"type":"string"}})"; }
};

}  // namespace

const Section& virtual_mta_section() {
    using V = VirtualMta;
    static const Section section = with_flow_limits<V>(
        {"virtual_mtas.<name>",
         "A sending identity. The limits hold over all its queues; those of each queue are in `shaping`.",
         {
             value_key<V>(
                 "source", &V::sources, ListCodec<AddressCodec, IpAddress>{},
                 "The address or addresses that connections come from. Another one is never used instead. Without "
                 "it the system chooses."),
             value_key<V>("ehlo", &V::ehlo, ehlo_codec(), "The name in EHLO.", {.default_text = "(hostname)"}),
             value_key<V>("ehlo_names", &V::ehlo_names, EhloNamesCodec{},
                          "Other names in EHLO for single addresses of `source`: each should be the name that the "
                          "address has in DNS (PTR), and have the address in turn."),
             value_key<V>("proxy", &V::proxy, ProxyCodec{},
                          "The proxy that its connections go through; `source` is an address of the proxy's then. "
                          "socks5://, haproxy:// (PROXY version 2) or haproxy-v1://. Nothing goes past it.",
                          {.default_text = "(none)"}),
             value_key<V>("proxy_user", &V::proxy_user, TextCodec{"name of a user", check_socks_user},
                          "Who we are to a SOCKS5 proxy.", {.default_text = "(no login)"}),
             value_key<V>("proxy_password_file", &V::proxy_password_file, PathCodec{},
                          "File with the password of proxy_user: its first line. Read again at every reload."),
             value_key<V>("sender", &V::sender, name_codec("name of a sender"),
                          "The sender that delivers its mail in a cluster: what `postfleet-sender --name` says. The "
                          "standalone process delivers for all."),
         },
         {"tls", "dkim"}});
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
            value_key<Pool>(
                "rechoose", &Pool::rechoose,
                ChoiceCodec<Rechoose>{{"never", "on_backoff", "every_attempt"},
                                      {Rechoose::Never, Rechoose::OnBackoff, Rechoose::EveryAttempt}},
                "When mail that was deferred gets another virtual MTA of the pool: never, because greylisting "
                "and reputation are per address; when its queue is in backoff; after every attempt."),
        },
        {}};
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
    static const Section section = with_flow_limits<Provider>(
        {"providers.<name>",
         "A named group of sites: all domains whose MX hosts fit share its queues. The limits hold over the queues of "
         "all virtual MTAs; those of each queue are in `shaping`. With nothing but limits it is the shipped provider "
         "of "
         "that name.",
         {
             value_key<Provider>("mx", &Provider::mx, ListCodec<TextCodec, std::string>{wildcard_codec()},
                                 "Wildcards over the names of the most preferred MX hosts. The longest that fits "
                                 "decides."),
             value_key<Provider>(
                 "match", &Provider::match,
                 ChoiceCodec<ProviderMatch>{{"any", "all"}, {ProviderMatch::Any, ProviderMatch::All}},
                 "any: one MX host that fits is enough. all: every entry of `mx` must be among the most preferred MX "
                 "hosts, and mail goes to those only, as PowerMTA's rollups do it."),
             value_key<Provider>("domains", &Provider::domains, ListCodec<TextCodec, std::string>{domain_codec()},
                                 "Recipient domains that belong to it, whatever their MX hosts are."),
             value_key<Provider>("addresses", &Provider::addresses, ListCodec<NetworkCodec, Network>{},
                                 "Networks: a domain belongs to it when a most preferred MX host has an address in "
                                 "one of them, and no name decides."),
         },
         {}});
    return section;
}

namespace {

const Section& route_section() {
    using R = RouteForm;
    static const Section section{
        "routes.<domain>",
        "A route to a smart host, as a mapping instead of a list of hosts (docs/NEXT_HOP.md).",
        {
            value_key<R>("hosts", &R::hosts, ListCodec<HopCodec, RouteHop>{},
                         "The next hops, tried in this order. TLS is from the first octet on at port 465.", kRequired),
            value_key<R>("tls", [](auto& route) -> auto& { return route.access.tls; },
                         ChoiceCodec<RouteTls>{{"verify", "implicit"}, {RouteTls::Verify, RouteTls::Implicit}},
                         "STARTTLS, or TLS from the first octet on; either with a certificate that is trusted and for "
                         "the host or "
                         "one of `tls_names`, or no delivery.",
                         {.default_text = "(`verify` with a user, else as `shaping` says)"}),
            value_key<R>("user", [](auto& route) -> auto& { return route.access.user; },
                         TextCodec{"name of a user", check_login_user}, "Who we log in as, by AUTH PLAIN or LOGIN.",
                         {.default_text = "(no login)"}),
            value_key<R>(
                "password_file", [](auto& route) -> auto& { return route.access.password_file; }, PathCodec{},
                "File with the password of `user`: its first line. Read again at every reload."),
        },
        {}};
    return section;
}

void read_route(Reader& reader, const Node& node, const std::string& path, std::vector<RouteHop>& hops) {
    RouteForm route;
    if (node.kind == Node::Kind::Mapping) {
        read_section(reader, route_section(), node, path, &route);
        if (route.access.user.empty() != route.access.password_file.empty() && !reader.has_problem(path)) {
            reader.report(node.origin, path, "user and password_file belong together");
        }
    } else if (auto hosts = ListCodec<HopCodec, RouteHop>{}.read(reader, node, path)) {
        route.hosts = std::move(*hosts);
    }
    give_access(route.hosts, route.access);
    hops = std::move(route.hosts);
}

Shown show_route(const std::string& domain, const std::string& path, const std::vector<RouteHop>& hops) {
    Shown out{.name = domain, .path = path};
    const RouteAccess* const access = hops.empty() ? nullptr : hops.front().access.get();
    if (access == nullptr || !access->is_verified()) {
        out.text = ListCodec<HopCodec, RouteHop>{}.show(hops);
        return out;
    }
    const RouteForm route{hops, *access};
    out.shape = Shown::Shape::Mapping;
    out.children = show_section(route_section(), path, &route);
    return out;
}

}  // namespace

Key routes_key() {
    Key key;
    key.name = "routes";
    key.summary =
        "Next hops instead of MX look-up, tried in this order: \"example.test\", \".example.test\" for everything "
        "below it, \"*\" for everything. The nearest decides.";
    key.shape = Key::Shape::ValueMap;
    key.type = "mapping of domain to list of host:port, or to a mapping";
    key.json = ListCodec<HopCodec, RouteHop>{}.json();
    key.item_name = "<domain>";
    key.section = &route_section();
    key.read = [](Reader& reader, const Node& node, const std::string& path, void* owner) {
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
            std::vector<RouteHop> hops;
            read_route(reader, entry->value, at, hops);
            if (hops.empty()) continue;
            const auto is_new = static_cast<Config*>(owner)->routes.emplace(domain, std::move(hops)).second;
            if (!is_new) reader.report(entry->origin, at, "is in the routes already, written differently");
        }
    };
    key.show = [](const void* owner, Shown& out) {
        out.shape = Shown::Shape::Mapping;
        for (const auto& [domain, hops] : static_cast<const Config*>(owner)->routes) {
            out.children.push_back(show_route(domain, out.path + "." + domain, hops));
        }
    };
    return key;
}

}  // namespace postfleet::config
