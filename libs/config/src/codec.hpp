// Codecs: the kinds of values of the configuration. Each one reads a node, writes a value as it would be
// written in YAML, and describes itself for the reference page and for JSON Schema.
//
//   read(reader, node, path)  the value, or nothing after it has reported a problem
//   show(value)               the YAML text on one line; empty: there is nothing to show
//   type(), json()            for people; a JSON Schema object
//
// Threads: immutable values.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "postfleet/config/config.hpp"
#include "reader.hpp"

namespace postfleet::config {

// One line of text that is not checked any further, or by `check`, which completes "'x' …" when it refuses.
struct TextCodec {
    std::string type_name = "text";
    // Takes the text and puts it into its normal form; answers what is wrong with it, or nothing.
    std::optional<std::string> (*check)(std::string& text) = nullptr;
    std::optional<std::string> read(Reader& reader, const Node& node, const std::string& path) const;
    std::string show(const std::string& value) const { return value.empty() ? "" : yaml_text(value); }
    std::string type() const { return type_name; }
    std::string json() const { return R"({"type":"string"})"; }
};

TextCodec domain_codec();                // "mta1.example.net"
TextCodec domain_pattern_codec();        // "acme.example", ".acme.example" for everything below it, "*" for any
TextCodec ehlo_codec();                  // a domain or an address literal
TextCodec pattern_codec();               // PCRE
TextCodec name_codec(std::string what);  // "name of a virtual MTA or pool"

// A file or directory; relative ones are relative to the directory of the configuration.
struct PathCodec {
    std::optional<std::string> read(Reader& reader, const Node& node, const std::string& path) const;
    std::string show(const std::string& value) const { return value.empty() ? "" : yaml_text(value); }
    std::string type() const { return "path"; }
    std::string json() const { return R"({"type":"string","minLength":1})"; }
};

struct CountCodec {
    std::uint32_t lowest = 1;
    std::uint32_t highest = 1'000'000;
    bool may_be_unlimited = false;
    std::string_view zero_advice = {};  // what to do instead of 0
    std::optional<std::uint32_t> read(Reader& reader, const Node& node, const std::string& path) const;
    std::string show(std::uint32_t value) const;
    std::string type() const;
    std::string json() const;
};

struct SizeCodec {
    std::uint64_t lowest = 0;
    std::uint64_t highest = UINT64_MAX;
    std::optional<std::uint64_t> read(Reader& reader, const Node& node, const std::string& path) const;
    std::string show(std::uint64_t value) const;
    std::string type() const { return "size"; }
    std::string json() const;
};

struct DurationCodec {
    Duration lowest = std::chrono::milliseconds(1);
    Duration highest = std::chrono::hours(24 * 365);
    std::optional<Duration> read(Reader& reader, const Node& node, const std::string& path) const;
    std::string show(Duration value) const;
    std::string type() const { return "duration"; }
    std::string json() const;
};

// A duration, or `never`.
struct DurationOrNeverCodec {
    DurationCodec each;
    std::optional<DurationOrNever> read(Reader& reader, const Node& node, const std::string& path) const;
    std::string show(const DurationOrNever& value) const;
    std::string type() const { return "duration or `never`"; }
    std::string json() const;
};

// The reply of a server that refuses: "550 5.7.1 not from here".
TextCodec refusal_codec();

// One duration or a list of them.
struct DurationListCodec {
    DurationCodec each;
    std::optional<std::vector<Duration>> read(Reader& reader, const Node& node, const std::string& path) const;
    std::string show(const std::vector<Duration>& value) const;
    std::string type() const { return "list of durations"; }
    std::string json() const;
};

struct RateCodec {
    std::optional<Rate> read(Reader& reader, const Node& node, const std::string& path) const;
    std::string show(const Rate& value) const { return value.to_string(); }
    std::string type() const { return "rate or `unlimited`"; }
    std::string json() const;
};

struct DataRateCodec {
    std::optional<DataRate> read(Reader& reader, const Node& node, const std::string& path) const;
    std::string show(const DataRate& value) const { return value.to_string(); }
    std::string type() const { return "size per period or `unlimited`"; }
    std::string json() const;
};

struct FlagCodec {
    std::optional<bool> read(Reader& reader, const Node& node, const std::string& path) const;
    std::string show(bool value) const { return value ? "true" : "false"; }
    std::string type() const { return "`true` or `false`"; }
    std::string json() const { return R"({"type":"boolean"})"; }
};

// One word of a few, each standing for a value.
std::optional<std::size_t> read_word(Reader& reader, const Node& node, const std::string& path,
                                     const std::vector<std::string>& words);
std::string words_type(const std::vector<std::string>& words);
std::string words_json(const std::vector<std::string>& words);

template <class E>
struct ChoiceCodec {
    std::vector<std::string> words;
    std::vector<E> values;
    std::optional<E> read(Reader& reader, const Node& node, const std::string& path) const {
        const auto index = read_word(reader, node, path, words);
        return index ? std::optional<E>(values[*index]) : std::nullopt;
    }
    std::string show(E value) const {
        for (std::size_t i = 0; i < values.size(); ++i) {
            if (values[i] == value) return words[i];
        }
        return {};
    }
    std::string type() const { return words_type(words); }
    std::string json() const { return words_json(words); }
};

struct EndpointCodec {
    std::optional<Endpoint> read(Reader& reader, const Node& node, const std::string& path) const;
    std::string show(const Endpoint& value) const { return yaml_text(value.to_string()); }
    std::string type() const { return "address:port"; }
    std::string json() const { return R"({"type":"string","examples":["127.0.0.1:2525"]})"; }
};

struct ProxyCodec {
    std::optional<EgressProxy> read(Reader& reader, const Node& node, const std::string& path) const;
    std::string show(const std::optional<EgressProxy>& value) const {
        return value ? yaml_text(value->to_string()) : "";
    }
    std::string type() const { return "kind://address:port"; }
    std::string json() const { return R"({"type":"string","examples":["socks5://127.0.0.1:1080"]})"; }
};

struct NetworkCodec {
    std::optional<Network> read(Reader& reader, const Node& node, const std::string& path) const;
    std::string show(const Network& value) const { return yaml_text(value.to_string()); }
    std::string show(const std::optional<Network>& value) const { return value ? show(*value) : ""; }
    std::string type() const { return "network"; }
    std::string json() const { return R"({"type":"string","examples":["10.0.0.0/8"]})"; }
};

struct AddressCodec {
    std::optional<IpAddress> read(Reader& reader, const Node& node, const std::string& path) const;
    std::string show(const IpAddress& value) const { return yaml_text(value.to_string()); }
    std::string type() const { return "address"; }
    std::string json() const { return R"({"type":"string","examples":["192.0.2.10"]})"; }
};

// A next hop: host or address, with a port if it is not 25.
struct HopCodec {
    std::optional<RouteHop> read(Reader& reader, const Node& node, const std::string& path) const;
    std::string show(const RouteHop& value) const;
    std::string type() const { return "host:port"; }
    std::string json() const { return R"({"type":"string","examples":["127.0.0.1:2526","relay.example.net"]})"; }
};

// A message broker. Its password is never shown, not even in a problem.
struct BrokerUrlCodec {
    std::optional<BrokerUrl> read(Reader& reader, const Node& node, const std::string& path) const;
    std::string show(const BrokerUrl& value) const { return value.hosts.empty() ? "" : yaml_text(value.to_string()); }
    std::string type() const { return "amqp://user:password@host:port,…/virtual-host"; }
    std::string json() const { return R"({"type":"string","examples":["amqp://shop:${SHOP_PASSWORD}@127.0.0.1"]})"; }
};

// A wildcard over host names: "*.google.com".
TextCodec wildcard_codec();

const std::vector<EventType>& all_event_types();

std::string list_json(const std::string& item);
std::string join_list(const std::vector<std::string>& texts);

// Several values, or one without brackets; none of them twice.
template <class C, class T>
struct ListCodec {
    C each;
    bool may_be_empty = false;
    std::optional<std::vector<T>> read(Reader& reader, const Node& node, const std::string& path) const {
        if (node.kind != Node::Kind::Sequence && node.kind != Node::Kind::Scalar) {
            reader.report(node.origin, path, "must be a list: [a, b]");
            return std::nullopt;
        }
        std::vector<T> out;
        bool good = true;
        for (const auto& item : Reader::items(node)) {
            auto value = each.read(reader, item, path);
            if (!value) {
                good = false;
            } else if (std::find(out.begin(), out.end(), *value) != out.end()) {
                reader.report_value(item, path, "is in the list twice");
                good = false;
            } else {
                out.push_back(std::move(*value));
            }
        }
        if (good && out.empty() && !may_be_empty) {
            reader.report(node.origin, path, "is an empty list; give at least one");
            good = false;
        }
        return good ? std::optional(std::move(out)) : std::nullopt;
    }
    std::string show(const std::vector<T>& value) const {
        std::vector<std::string> texts;
        for (const auto& item : value) texts.push_back(each.show(item));
        return value.empty() && !may_be_empty ? "" : join_list(texts);
    }
    std::string type() const { return "list of: " + each.type(); }
    std::string json() const { return list_json(each.json()); }
};

// A list of event types, or `all`.
struct EventTypesCodec {
    std::optional<std::vector<EventType>> read(Reader& reader, const Node& node, const std::string& path) const;
    std::string show(const std::vector<EventType>& value) const;
    std::string type() const { return "list of event types, or `all`"; }
    std::string json() const;
};

// [a, b] or {a: 3, b: 1}.
struct WeightsCodec {
    using Members = std::vector<std::pair<std::string, std::uint32_t>>;
    std::optional<Members> read(Reader& reader, const Node& node, const std::string& path) const;
    std::string show(const Members& value) const;
    std::string type() const { return "list of names, or mapping of name to weight"; }
    std::string json() const;
};

// {X-Campaign: "^promo"}.
struct HeaderPatternsCodec {
    using Patterns = std::vector<std::pair<std::string, std::string>>;
    std::optional<Patterns> read(Reader& reader, const Node& node, const std::string& path) const;
    std::string show(const Patterns& value) const;
    std::string type() const { return "mapping of header name to pattern"; }
    std::string json() const {
        return R"({"type":"object","additionalProperties":{"type":"string"},"minProperties":1})";
    }
};

}  // namespace postfleet::config
