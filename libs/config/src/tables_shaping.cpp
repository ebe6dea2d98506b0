// The section about how queues deliver.
#include <fmt/format.h>

#include "postfleet/base/text.hpp"
#include "postfleet/config/shaping_keys.hpp"
#include "tables.hpp"

namespace postfleet::config {

namespace {

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

struct CountListCodec {
    CountCodec each = {1, 1'000'000'000, false, "to stop a queue use `postfleet pause`"};
    std::optional<CountList> read(Reader& reader, const Node& node, const std::string& path) const {
        CountList out;
        for (const auto& item : Reader::items(node)) {
            const auto value = each.read(reader, item, path);
            if (!value) return std::nullopt;
            out.values.push_back(*value);
        }
        if (!out.values.empty()) return out;
        reader.report(node.origin, path, "is an empty list; give at least one");
        return std::nullopt;
    }
    std::string show(const CountList& value) const {
        return value.values.empty() ? "" : fmt::format("[{}]", fmt::join(value.values, ", "));
    }
    std::string type() const { return "list of numbers"; }
    std::string json() const {
        return R"({"anyOf":[{"type":"integer","minimum":1},{"type":"array","items":{"type":"integer","minimum":1}}]})";
    }
};

// The codec of a shaping key follows from the type of its value.
template <class T>
auto shaping_codec() {
    if constexpr (std::is_same_v<T, std::uint32_t>) return count_or_unlimited();
    else if constexpr (std::is_same_v<T, Rate>) return RateCodec{};
    else if constexpr (std::is_same_v<T, DataRate>) return DataRateCodec{};
    else if constexpr (std::is_same_v<T, Duration>) return DurationCodec{};
    else if constexpr (std::is_same_v<T, DurationOrNever>) return DurationOrNeverCodec{};
    else if constexpr (std::is_same_v<T, std::string>) return refusal_codec();
    else if constexpr (std::is_same_v<T, CountList>) return CountListCodec{};
    else if constexpr (std::is_same_v<T, VirtualMtaName>)
        return KindCodec<T, TextCodec>{name_codec("name of a virtual MTA or pool")};
    else if constexpr (std::is_same_v<T, Priority>)
        return ChoiceCodec<T>{{"high", "normal", "low"}, {T::High, T::Normal, T::Low}};
    else if constexpr (std::is_same_v<T, bool>) return FlagCodec{};
    else if constexpr (std::is_same_v<T, AddressFamily>) {
        using A = AddressFamily;
        return ChoiceCodec<A>{{"ipv6_first", "ipv4_first", "ipv6", "ipv4"},
                              {A::Ipv6First, A::Ipv4First, A::Ipv6, A::Ipv4}};
    } else if constexpr (std::is_same_v<T, DeliveryTls>) return delivery_tls_codec();
    else if constexpr (std::is_same_v<T, TlsMinVersion>)
        return ChoiceCodec<T>{{"1.2", "1.3"}, {TlsMinVersion::Tls12, TlsMinVersion::Tls13}};
    else if constexpr (std::is_same_v<T, HostNames>) return ListCodec<TextCodec, std::string>{.each = domain_codec()};
    else if constexpr (std::is_same_v<T, CipherList>) return KindCodec<T, TextCodec>{{.type_name = "list of ciphers"}};
    else if constexpr (std::is_same_v<T, FilePath>) return KindCodec<T, PathCodec>{};
    else return DurationListCodec{.each = {.lowest = std::chrono::milliseconds(100)}};
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
                "only retry_after, expire_after and dsn apply to it alone."),
            value_key<M>("virtual_mta", &M::virtual_mta, name_codec("name of a virtual MTA"), "The virtual MTA."),
            value_key<M>("pool", &M::pool, name_codec("name of a pool"), "A pool that the virtual MTA is a member of."),
            value_key<M>(
                "tenant", &M::tenant, name_codec("name of a tenant"),
                "The tenant. Only for retry_after, expire_after and dsn: a queue carries the mail of all tenants."),
        },
        {}};
    return section;
}

template <class T>
Key shaping_key(const ShapingKey<T>& key, std::string_view name) {
    const auto codec = shaping_codec<T>();
    return value_key<ShapingRule>(std::string(name), [set = key.set](auto& rule) -> auto& { return rule.keys.*set; },
                                  codec, std::string(key.summary),
                                  {.default_text = codec.show(ShapingValues{}.*key.value)});
}

// Keys whose names begin alike stand in a mapping of their own in the files: "backoff.retry_after".
Section group_section(std::string_view prefix, std::string summary) {
    Section made{"shaping[]." + std::string(prefix.substr(0, prefix.size() - 1)), std::move(summary), {}, {}};
    for_each_shaping_key([&]<class T>(const ShapingKey<T>& key) {
        if (key.name.starts_with(prefix)) made.keys.push_back(shaping_key(key, key.name.substr(prefix.size())));
    });
    return made;
}

const Section& backoff_section() {
    static const Section section = group_section(
        "backoff.",
        "The careful rules of a queue: while it is in backoff, because a reply pattern or an operator said "
        "so. Each is a key like the others: the most specific rule that sets it wins.");
    return section;
}

const Section& per_source_section() {
    static const Section section =
        group_section("per_source.",
                      "Limits of each source address at a site, over all virtual MTAs that have the address. Those of "
                      "an address over all sites are in `outbound.per_source`.");
    return section;
}

const Section& per_destination_section() {
    static const Section section =
        group_section("per_destination.", "Limits of each address of a server, over all queues whose mail goes there.");
    return section;
}

const Section& dsn_notices_section() {
    static const Section section =
        group_section("dsn.",
                      "Which notifications the senders of mail get by mail (docs/DSN.md). Each is a key like the "
                      "others. Events tell everything in any case.");
    return section;
}

// A mapping in the files; its keys belong to the rule itself.
Key group_key(std::string name, std::string summary, const Section& section) {
    Key key;
    key.name = std::move(name);
    key.summary = std::move(summary);
    key.shape = Key::Shape::Object;
    key.type = "mapping";
    key.section = &section;
    key.read = [&section](Reader& reader, const Node& node, const std::string& path, void* owner) {
        read_section(reader, section, node, path, owner);
    };
    key.show = [&section](const void* owner, Shown& out) {
        out.children = show_section(section, out.path, owner);
        if (!out.children.empty()) out.shape = Shown::Shape::Mapping;
    };
    return key;
}

}  // namespace

const Section& shaping_section() {
    static const Section section = [] {
        Section made{
            "shaping[]",
            "A rule that sets how queues deliver. For each key the most specific matching rule that sets it wins; "
            "of equally specific ones, the later. More specific, in this order: domain over site over neither; "
            "virtual_mta over pool over neither; tenant over none.",
            {object_key("match", &ShapingRule::match, match_section(), "What it applies to.")},
            {"dkim"}};
        for_each_shaping_key([&]<class T>(const ShapingKey<T>& key) {
            if (key.name.find('.') == std::string_view::npos) made.keys.push_back(shaping_key(key, key.name));
        });
        made.keys.push_back(
            group_key("per_source", "Limits of each source address at the site.", per_source_section()));
        made.keys.push_back(
            group_key("per_destination", "Limits of each address of a server.", per_destination_section()));
        made.keys.push_back(group_key("backoff", "What changes while the queue is in backoff.", backoff_section()));
        made.keys.push_back(group_key("dsn", "Which notifications senders get by mail.", dsn_notices_section()));
        return made;
    }();
    return section;
}

std::string show_match(const ShapingMatch& match) {
    std::string out;
    for (const auto& shown : show_section(match_section(), {}, &match)) {
        out += fmt::format("{}{}: {}", out.empty() ? "" : ", ", shown.name, shown.text);
    }
    return out;
}

std::string show_value(std::uint32_t value) { return count_or_unlimited().show(value); }
std::string show_value(const Rate& value) { return value.to_string(); }
std::string show_value(const DataRate& value) { return value.to_string(); }
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
std::string show_value(const CountList& value) {
    return value.values.empty() ? "none" : shaping_codec<CountList>().show(value);
}
std::string show_value(const VirtualMtaName& value) { return value.text.empty() ? "none" : value.text; }
std::string show_value(Priority value) { return shaping_codec<Priority>().show(value); }
std::string show_value(const std::string& value) { return value.empty() ? "none" : value; }

}  // namespace postfleet::config
