// The codecs of addresses, and of values that are made of several.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "codec.hpp"
#include "postfleet/base/pattern.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/mail/address.hpp"

namespace postfleet::config {

namespace {

// The reading every address-like value shares: text → parse → problem with an example.
template <class Parse>
auto read_parsed(Reader& reader, const Node& node, const std::string& path, std::string_view expected,
                 std::string_view advice, Parse parse)
    -> std::optional<std::decay_t<decltype(*parse(std::string_view{}))>> {
    const auto text = reader.scalar(node, path, expected);
    if (!text) return std::nullopt;
    auto value = parse(std::string_view(*text));
    if (value) return *value;
    reader.report_value(node, path, fmt::format("is not {}; {}", expected, advice));
    return std::nullopt;
}

Result<std::uint16_t> parse_port(std::string_view text) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc{} || end != text.data() + text.size() || port == 0) {
        return Error{ErrorKind::InvalidArgument, "not a port"};
    }
    return port;
}

Result<RouteHop> parse_hop(std::string_view text) {
    if (const auto address = IpAddress::parse(text)) return RouteHop{address->to_string(), 25};
    if (const auto endpoint = Endpoint::parse(text)) {
        if (endpoint->port == 0) return Error{ErrorKind::InvalidArgument, "not a port"};
        return RouteHop{endpoint->address.to_string(), endpoint->port};
    }
    std::uint16_t number = 25;
    if (const auto colon = text.rfind(':'); colon != std::string_view::npos) {
        const auto port = parse_port(text.substr(colon + 1));
        if (!port) return port.error();
        number = *port;
        text = text.substr(0, colon);
    }
    auto host = normalize_domain(text);
    if (!host) return host.error();
    return RouteHop{*host, number};
}

bool is_header_name(std::string_view name) {
    return !name.empty() && name.size() <= 76 &&
           std::all_of(name.begin(), name.end(), [](char c) { return c > 32 && c < 127 && c != ':'; });
}

}  // namespace

std::optional<Endpoint> EndpointCodec::read(Reader& reader, const Node& node, const std::string& path) const {
    return read_parsed(reader, node, path, "an address with a port",
                       "write 127.0.0.1:2525, 0.0.0.0:25 for all of IPv4, or [::]:25 for all addresses",
                       &Endpoint::parse);
}

namespace {

struct ProxyScheme {
    std::string_view text;
    EgressProxy::Kind kind;
};
constexpr ProxyScheme kProxySchemes[] = {{"socks5://", EgressProxy::Kind::Socks5},
                                         {"haproxy://", EgressProxy::Kind::HaproxyV2},
                                         {"haproxy-v1://", EgressProxy::Kind::HaproxyV1}};

}  // namespace

Result<EgressProxy> EgressProxy::parse(std::string_view text) {
    for (const ProxyScheme& scheme : kProxySchemes) {
        if (!text.starts_with(scheme.text)) continue;
        auto address = Endpoint::parse(text.substr(scheme.text.size()));
        if (!address || address->port == 0 || address->address.is_unspecified()) break;
        return EgressProxy{scheme.kind, *address};
    }
    return Error{ErrorKind::InvalidArgument, "not a proxy"};
}

std::string EgressProxy::to_string() const {
    for (const ProxyScheme& scheme : kProxySchemes) {
        if (scheme.kind == kind) return std::string(scheme.text) + address.to_string();
    }
    return {};
}

std::optional<EgressProxy> ProxyCodec::read(Reader& reader, const Node& node, const std::string& path) const {
    return read_parsed(reader, node, path, "a proxy",
                       "write socks5://127.0.0.1:1080, haproxy://127.0.0.1:2526 (PROXY version 2) or haproxy-v1://…, "
                       "with an address and a port",
                       &EgressProxy::parse);
}

std::optional<Network> NetworkCodec::read(Reader& reader, const Node& node, const std::string& path) const {
    return read_parsed(reader, node, path, "a network", "write 10.0.0.0/8, 2001:db8::/32 or one address",
                       &Network::parse);
}

std::optional<IpAddress> AddressCodec::read(Reader& reader, const Node& node, const std::string& path) const {
    const auto address = read_parsed(reader, node, path, "an address",
                                     "write 192.0.2.10 or 2001:db8::10, without a port", &IpAddress::parse);
    if (address && address->is_unspecified()) {
        reader.report_value(node, path, "is no address of its own; leave the key out to let the system choose");
        return std::nullopt;
    }
    return address;
}

std::optional<RouteHop> HopCodec::read(Reader& reader, const Node& node, const std::string& path) const {
    return read_parsed(reader, node, path, "a next hop",
                       "write relay.example.net, relay.example.net:2525 or 192.0.2.1:25", parse_hop);
}

std::string HopCodec::show(const RouteHop& value) const {
    if (value.port == 25) return yaml_text(value.host);
    const bool v6 = value.host.find(':') != std::string::npos;
    return yaml_text(fmt::format("{}{}{}:{}", v6 ? "[" : "", value.host, v6 ? "]" : "", value.port));
}

const std::vector<EventType>& all_event_types() {
    static const std::vector<EventType> all{EventType::Accepted,
                                            EventType::Delivered,
                                            EventType::Deferred,
                                            EventType::Bounced,
                                            EventType::Expired,
                                            EventType::Suppressed,
                                            EventType::Rejected,
                                            EventType::RenderingFailed,
                                            EventType::Cancelled,
                                            EventType::Opened,
                                            EventType::Clicked,
                                            EventType::Unsubscribed,
                                            EventType::Complained,
                                            EventType::AutoReplied,
                                            EventType::QueueBackoffEntered,
                                            EventType::QueueBackoffLeft,
                                            EventType::VirtualMtaDisabled,
                                            EventType::VirtualMtaEnabled,
                                            EventType::QueueConnectFailed,
                                            EventType::QueueLoginRefused};
    return all;
}

static std::vector<std::string> event_names() {
    std::vector<std::string> names;
    for (const auto type : all_event_types()) names.emplace_back(to_string(type));
    return names;
}

namespace {

struct EventTypeCodec {
    std::optional<EventType> read(Reader& reader, const Node& node, const std::string& path) const {
        const auto text = reader.scalar(node, path, "an event type, such as email.delivered");
        if (!text) return std::nullopt;
        if (const auto type = parse_event_type(*text)) return type;
        reader.report_value(node, path, fmt::format("is not an event type{}", suggestion(*text, event_names())));
        return std::nullopt;
    }
    std::string show(EventType value) const { return to_string(value); }
    std::string type() const { return "event type"; }
    std::string json() const { return words_json(event_names()); }
};

constexpr ListCodec<EventTypeCodec, EventType> kEventTypeList{};

}  // namespace

std::optional<std::vector<EventType>> EventTypesCodec::read(Reader& reader, const Node& node,
                                                            const std::string& path) const {
    if (node.kind == Node::Kind::Scalar && node.scalar == "all") return all_event_types();
    return kEventTypeList.read(reader, node, path);
}

std::string EventTypesCodec::show(const std::vector<EventType>& value) const {
    return value == all_event_types() ? "all" : kEventTypeList.show(value);
}

std::string EventTypesCodec::json() const {
    return fmt::format(R"({{"anyOf":[{{"const":"all"}},{}]}})", kEventTypeList.json());
}

std::string list_json(const std::string& item) {
    return fmt::format(R"({{"anyOf":[{0},{{"type":"array","items":{0},"uniqueItems":true}}]}})", item);
}

std::string join_list(const std::vector<std::string>& texts) { return fmt::format("[{}]", fmt::join(texts, ", ")); }

std::optional<std::vector<Duration>> DurationListCodec::read(Reader& reader, const Node& node,
                                                             const std::string& path) const {
    constexpr std::size_t kMaxSteps = 100;
    std::vector<Duration> out;
    bool good = true;
    for (const auto& item : Reader::items(node)) {
        if (const auto value = each.read(reader, item, path)) out.push_back(*value);
        else good = false;
    }
    if (good && (out.empty() || out.size() > kMaxSteps)) {
        reader.report(node.origin, path, fmt::format("must have 1 to {} durations", kMaxSteps));
        good = false;
    }
    return good ? std::optional(std::move(out)) : std::nullopt;
}

std::string DurationListCodec::show(const std::vector<Duration>& value) const {
    std::vector<std::string> texts;
    for (const auto item : value) texts.push_back(each.show(item));
    return join_list(texts);
}

std::string DurationListCodec::json() const {
    return fmt::format(R"({{"anyOf":[{0},{{"type":"array","items":{0},"minItems":1}}]}})", each.json());
}

std::optional<WeightsCodec::Members> WeightsCodec::read(Reader& reader, const Node& node,
                                                        const std::string& path) const {
    const auto name = name_codec("the name of a virtual MTA");
    const CountCodec weight{.lowest = 1, .highest = 10'000, .zero_advice = "leave the member out instead"};
    Members out;
    bool good = true;
    const auto add = [&](const Node& where, const std::string& member, std::uint32_t share) {
        const bool twice =
            std::any_of(out.begin(), out.end(), [&](const auto& known) { return known.first == member; });
        if (twice) {
            reader.report(where.origin, path, fmt::format("'{}' is a member twice", member));
            good = false;
        }
        out.emplace_back(member, share);
    };
    if (node.kind == Node::Kind::Mapping) {
        for (const auto& member : node.members) {
            const auto share = weight.read(reader, member.value, path + "." + member.name);
            if (!share) good = false;
            Node where = member.value;
            where.origin = member.origin;
            add(where, member.name, share.value_or(1));
        }
    } else {
        for (const auto& item : Reader::items(node)) {
            const auto member = name.read(reader, item, path);
            if (member) add(item, *member, 1);
            else good = false;
        }
    }
    if (good && out.empty()) {
        reader.report(node.origin, path, "a pool needs at least one member");
        good = false;
    }
    return good ? std::optional(std::move(out)) : std::nullopt;
}

std::string WeightsCodec::show(const Members& value) const {
    std::vector<std::string> texts;
    const bool plain = std::all_of(value.begin(), value.end(), [](const auto& member) { return member.second == 1; });
    for (const auto& [name, weight] : value) {
        texts.push_back(plain ? yaml_text(name) : fmt::format("{}: {}", yaml_verbatim(name), weight));
    }
    return plain ? join_list(texts) : fmt::format("{{{}}}", fmt::join(texts, ", "));
}

std::string WeightsCodec::json() const {
    return R"({"anyOf":[{"type":"string"},{"type":"array","items":{"type":"string"},"minItems":1,"uniqueItems":true},)"
           R"({"type":"object","additionalProperties":{"type":"integer","minimum":1,"maximum":10000},"minProperties":1}]})";
}

std::optional<BrokerUrl> BrokerUrlCodec::read(Reader& reader, const Node& node, const std::string& path) const {
    const auto text = reader.scalar(node, path, "a broker's address");
    if (!text) return std::nullopt;
    auto url = BrokerUrl::parse(*text);
    if (url) return *std::move(url);
    reader.report(node.origin, path,
                  fmt::format("is not a broker's address: {}; write amqp://user:password@host, or amqps:// for TLS",
                              url.error().text));
    return std::nullopt;
}

std::optional<HeaderPatternsCodec::Patterns> HeaderPatternsCodec::read(Reader& reader, const Node& node,
                                                                       const std::string& path) const {
    if (node.kind != Node::Kind::Mapping || node.members.empty()) {
        reader.report(node.origin, path, "must be a mapping of header name to pattern: {X-Campaign: \"^promo\"}");
        return std::nullopt;
    }
    Patterns out;
    bool good = true;
    for (const auto& member : node.members) {
        const auto at = path + "." + member.name;
        if (!is_header_name(member.name)) {
            reader.report(member.origin, at, fmt::format("'{}' is not a header name", printable(member.name, 80)));
            good = false;
        }
        const auto pattern = pattern_codec().read(reader, member.value, at);
        if (pattern) out.emplace_back(member.name, *pattern);
        else good = false;
    }
    return good ? std::optional(std::move(out)) : std::nullopt;
}

std::string HeaderPatternsCodec::show(const Patterns& value) const {
    if (value.empty()) return {};
    std::vector<std::string> texts;
    for (const auto& [name, pattern] : value)
        texts.push_back(fmt::format("{}: {}", yaml_verbatim(name), yaml_text(pattern)));
    return fmt::format("{{{}}}", fmt::join(texts, ", "));
}

}  // namespace postfleet::config
