#include "schema.hpp"

#include <fmt/format.h>

#include "postfleet/base/text.hpp"

namespace postfleet::config {

namespace {

// The other sections that have a key of this name, for "it belongs under …".
void find_key(const Section& section, std::string_view name, std::vector<std::string>& places) {
    for (const auto& key : section.keys) {
        if (key.section == nullptr) continue;
        for (const auto& below : key.section->keys) {
            if (below.name == name) places.push_back(key.section->path);
        }
        find_key(*key.section, name, places);
    }
}

std::vector<std::string> names_of(const Section& section) {
    std::vector<std::string> names;
    for (const auto& key : section.keys) names.push_back(key.name);
    return names;
}

void report_unknown(Reader& reader, const Section& section, const Node::Member& member, const std::string& path) {
    if (std::find(section.later.begin(), section.later.end(), member.name) != section.later.end()) {
        reader.report(member.origin, path, "is not supported by this version of Postfleet; take it out");
        return;
    }
    const auto names = names_of(section);
    if (const auto near = nearest(member.name, names); !near.empty()) {
        reader.report(member.origin, path,
                      fmt::format("unknown key '{}'; did you mean '{}'?", printable(member.name, 80), near));
        return;
    }
    std::vector<std::string> places;
    find_key(root_section(), member.name, places);
    for (const auto& key : root_section().keys) {
        if (key.name == member.name) places.insert(places.begin(), "the top of the file");
    }
    reader.report(member.origin, path,
                  places.empty() ? fmt::format("unknown key '{}'; known here: {}", printable(member.name, 80),
                                               fmt::join(names, ", "))
                                 : fmt::format("unknown key '{}' here; it belongs to {}", member.name, places.front()));
}

}  // namespace

std::string check_item_name(std::string_view name) {
    std::string copy(name);
    const auto codec = name_codec("a name");
    const auto wrong = codec.check(copy);
    return wrong ? fmt::format("'{}' {}", printable(name, 80), *wrong) : "";
}

std::vector<const Node::Member*> named_members(Reader& reader, const Node& node, const std::string& path) {
    std::vector<const Node::Member*> out;
    if (node.kind == Node::Kind::Null) return out;
    if (node.kind != Node::Kind::Mapping) {
        reader.report(node.origin, path, "must be a mapping: 'key: value' lines below it");
        return out;
    }
    std::map<std::string_view, const Node::Member*> first;
    for (const auto& member : node.members) {
        const auto [at, is_new] = first.emplace(member.name, &member);
        if (is_new) out.push_back(&member);
        else reader.report_duplicate(member, at->second->origin, path.empty() ? member.name : path + "." + member.name);
    }
    return out;
}

void check_missing(Reader& reader, const Section& section, const Node& node, const std::string& path) {
    if (node.kind != Node::Kind::Mapping && node.kind != Node::Kind::Null) return;
    const auto names = names_of(section);
    for (const auto& key : section.keys) {
        if (!key.required) continue;
        // A misspelt key was reported with this one as the suggestion.
        const bool given = std::any_of(node.members.begin(), node.members.end(), [&](const Node::Member& member) {
            return member.name == key.name || nearest(member.name, names) == key.name;
        });
        if (given) continue;
        reader.report(node.origin, path.empty() ? key.name : path + "." + key.name,
                      fmt::format("is missing; it is needed here ({})", key.type));
    }
}

void read_section(Reader& reader, const Section& section, const Node& node, const std::string& path, void* owner) {
    for (const auto* member : named_members(reader, node, path)) {
        const auto at = path.empty() ? member->name : path + "." + member->name;
        const auto key = std::find_if(section.keys.begin(), section.keys.end(),
                                      [&](const Key& candidate) { return candidate.name == member->name; });
        if (key == section.keys.end()) {
            report_unknown(reader, section, *member, at);
            continue;
        }
        reader.note_origin(at, key->shape == Key::Shape::Value && member->value.origin.line > 0 ? member->value.origin
                                                                                                : member->origin);
        key->read(reader, member->value, at, owner);
    }
    if (!path.empty()) check_missing(reader, section, node, path);
}

std::vector<Shown> show_section(const Section& section, const std::string& path, const void* owner) {
    std::vector<Shown> out;
    for (const auto& key : section.keys) {
        Shown shown;
        shown.name = key.name;
        shown.path = path.empty() ? key.name : path + "." + key.name;
        shown.needs_restart = key.needs_restart;
        key.show(owner, shown);
        if (!shown.text.empty() || !shown.children.empty()) out.push_back(std::move(shown));
    }
    return out;
}

}  // namespace postfleet::config
