// Section, Key: the configuration as tables. One table drives reading, showing, comparing, the reference
// page and the JSON Schema, so that they cannot differ.
//
// A Section lists the keys of one mapping; it knows its owner (Config, Listener …) only through the
// functions in its keys, which take a pointer to it. Built once, immutable, thread-safe.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "codec.hpp"
#include "reader.hpp"

namespace postfleet::config {

struct Section;

// The effective configuration as a tree of texts: what is rendered, compared and hashed.
struct Shown {
    enum class Shape { Value, Mapping, List };
    std::string name;  // key; in a list: what tells this element from the others
    std::string path;  // "virtual_mtas.tx-1.source", "shaping[2].max_connections"
    Shape shape = Shape::Value;
    std::string text;  // Value
    std::vector<Shown> children;
    bool needs_restart = false;
};

struct Key {
    enum class Shape { Value, Object, Map, ValueMap, List };

    std::string name;
    std::string summary;
    Shape shape = Shape::Value;
    std::string type;          // for people
    std::string json;          // JSON Schema of a Value, or of the values of a ValueMap
    std::string default_text;  // as written in YAML, or a phrase in parentheses; empty: none
    bool required = false;
    bool needs_restart = false;
    std::string since = "0.1";
    std::string item_name;             // Map, ValueMap: what the names stand for, "<name>"
    const Section* section = nullptr;  // Object, Map, List; ValueMap: what may stand instead of a value

    std::function<void(Reader&, const Node&, const std::string& path, void* owner)> read;
    std::function<void(const void* owner, Shown& out)> show;  // fills text or children; neither: not shown
};

struct Section {
    std::string path;  // "listeners.<name>"; empty: the top
    std::string summary;
    std::vector<Key> keys;
    std::vector<std::string> later;  // keys that other versions have: known, and refused with a reason
};

const Section& root_section();

// Reads a mapping into `owner`: unknown, duplicate and (except at the top) missing keys are reported.
void read_section(Reader& reader, const Section& section, const Node& node, const std::string& path, void* owner);
void check_missing(Reader& reader, const Section& section, const Node& node, const std::string& path);
std::vector<Shown> show_section(const Section& section, const std::string& path, const void* owner);
// Name → value mappings; answers the members that can be read, each name once.
std::vector<const Node::Member*> named_members(Reader& reader, const Node& node, const std::string& path);
std::string check_item_name(std::string_view name);  // what is wrong with it; empty: nothing

struct KeyOptions {
    bool required = false;
    bool needs_restart = false;
    std::string default_text = {};
};

// The builders of keys. `access` is a pointer to member, or a callable that takes the owner.

template <class Owner, class Access, class Codec>
Key value_key(std::string name, Access access, Codec codec, std::string summary, KeyOptions options = {}) {
    Key key;
    key.name = std::move(name);
    key.summary = std::move(summary);
    key.type = codec.type();
    key.json = codec.json();
    key.required = options.required;
    key.needs_restart = options.needs_restart;
    const auto text_of = [access, codec](const Owner& owner) -> std::string {
        const auto& member = std::invoke(access, owner);
        if constexpr (requires { codec.show(member); }) return codec.show(member);
        else return member ? codec.show(*member) : "";
    };
    key.default_text = options.default_text;
    if (key.default_text.empty() && !key.required) key.default_text = text_of(Owner{});
    key.read = [access, codec](Reader& reader, const Node& node, const std::string& path, void* owner) {
        if (auto value = codec.read(reader, node, path)) {
            std::invoke(access, *static_cast<Owner*>(owner)) = std::move(*value);
        }
    };
    key.show = [text_of](const void* owner, Shown& out) { out.text = text_of(*static_cast<const Owner*>(owner)); };
    return key;
}

template <class T>
struct OwnerOf {
    using type = T;
};
template <class T>
struct OwnerOf<std::optional<T>> {
    using type = T;
};

// A mapping with keys of its own; it may be an optional member.
template <class Owner, class T>
Key object_key(std::string name, T Owner::*member, const Section& section, std::string summary,
               KeyOptions options = {}) {
    Key key;
    key.name = std::move(name);
    key.summary = std::move(summary);
    key.shape = Key::Shape::Object;
    key.type = "mapping";
    key.needs_restart = options.needs_restart;
    key.section = &section;
    key.read = [member, &section](Reader& reader, const Node& node, const std::string& path, void* owner) {
        typename OwnerOf<T>::type object{};
        if constexpr (requires { object.origin; }) object.origin = node.origin;
        read_section(reader, section, node, path, &object);
        static_cast<Owner*>(owner)->*member = std::move(object);
    };
    key.show = [member, &section](const void* owner, Shown& out) {
        const T& object = static_cast<const Owner*>(owner)->*member;
        out.shape = Shown::Shape::Mapping;
        if constexpr (std::is_same_v<T, typename OwnerOf<T>::type>) {
            out.children = show_section(section, out.path, &object);
        } else if (object) {
            out.children = show_section(section, out.path, &*object);
        }
    };
    return key;
}

// Names, each with a mapping of its own. T has members `name` and `origin`.
template <class Owner, class T>
Key map_key(std::string name, std::map<std::string, T> Owner::*member, const Section& section, std::string summary,
            KeyOptions options = {}) {
    Key key;
    key.name = std::move(name);
    key.summary = std::move(summary);
    key.shape = Key::Shape::Map;
    key.type = "mapping of names";
    key.required = options.required;
    key.needs_restart = options.needs_restart;
    key.default_text = options.default_text;
    key.item_name = "<name>";
    key.section = &section;
    key.read = [member, &section](Reader& reader, const Node& node, const std::string& path, void* owner) {
        for (const auto* entry : named_members(reader, node, path)) {
            const auto at = path + "." + entry->name;
            if (const auto wrong = check_item_name(entry->name); !wrong.empty()) {
                reader.report(entry->origin, at, wrong);
            }
            T object{};
            object.name = entry->name;
            object.origin = entry->origin;
            reader.note_origin(at, entry->origin);
            read_section(reader, section, entry->value, at, &object);
            (static_cast<Owner*>(owner)->*member)[entry->name] = std::move(object);
        }
    };
    key.show = [member, &section](const void* owner, Shown& out) {
        out.shape = Shown::Shape::Mapping;
        for (const auto& [item, object] : static_cast<const Owner*>(owner)->*member) {
            Shown child{.name = item, .path = out.path + "." + item, .shape = Shown::Shape::Mapping};
            child.children = show_section(section, child.path, &object);
            out.children.push_back(std::move(child));
        }
    };
    return key;
}

// A list of mappings. `label` tells one element from the others for people who compare two versions.
template <class Owner, class T>
Key list_key(std::string name, std::vector<T> Owner::*member, const Section& section, std::string summary,
             std::function<std::string(const T&)> label) {
    Key key;
    key.name = std::move(name);
    key.summary = std::move(summary);
    key.shape = Key::Shape::List;
    key.type = "list of mappings";
    key.section = &section;
    key.read = [member, &section](Reader& reader, const Node& node, const std::string& path, void* owner) {
        if (node.kind == Node::Kind::Null) return;
        if (node.kind != Node::Kind::Sequence) {
            reader.report(node.origin, path, "must be a list: each element begins with '- '");
            return;
        }
        for (std::size_t i = 0; i < node.items.size(); ++i) {
            T object{};
            object.origin = node.items[i].origin;
            const auto at = path + "[" + std::to_string(i) + "]";
            reader.note_origin(at, object.origin);
            read_section(reader, section, node.items[i], at, &object);
            (static_cast<Owner*>(owner)->*member).push_back(std::move(object));
        }
    };
    key.show = [member, &section, label = std::move(label)](const void* owner, Shown& out) {
        out.shape = Shown::Shape::List;
        const auto& list = static_cast<const Owner*>(owner)->*member;
        for (std::size_t i = 0; i < list.size(); ++i) {
            Shown child{.name = label(list[i]),
                        .path = out.path + "[" + std::to_string(i) + "]",
                        .shape = Shown::Shape::Mapping};
            child.children = show_section(section, child.path, &list[i]);
            out.children.push_back(std::move(child));
        }
    };
    return key;
}

}  // namespace postfleet::config
