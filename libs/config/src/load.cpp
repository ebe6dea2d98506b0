#include "postfleet/config/load.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "check.hpp"
#include "postfleet/base/id.hpp"
#include "schema.hpp"
#include "tree.hpp"

namespace postfleet::config {

namespace {

// Puts one document's members behind what earlier documents had. What cannot be put together stays twice, and
// is reported as a duplicate when it is read.
void merge_document(Node& into, const Node& document) {
    if (into.members.empty()) into.origin = document.origin;
    for (const auto& member : document.members) {
        const auto earlier = std::find_if(into.members.begin(), into.members.end(), [&](const Node::Member& known) {
            return known.name == member.name && known.origin.file != member.origin.file &&
                   known.value.kind == member.value.kind;
        });
        if (earlier != into.members.end() && member.value.kind == Node::Kind::Mapping) {
            auto& members = earlier->value.members;
            members.insert(members.end(), member.value.members.begin(), member.value.members.end());
        } else if (earlier != into.members.end() && member.value.kind == Node::Kind::Sequence) {
            auto& items = earlier->value.items;
            items.insert(items.end(), member.value.items.begin(), member.value.items.end());
        } else {
            into.members.push_back(member);
        }
    }
}

Node merge_documents(Reader& reader, std::span<const Node> documents) {
    Node merged;
    merged.kind = Node::Kind::Mapping;
    for (const auto& document : documents) {
        if (document.kind == Node::Kind::Mapping) merge_document(merged, document);
        else if (document.kind != Node::Kind::Null) {
            reader.report(document.origin, "", "must be a mapping: 'key: value' lines");
        }
    }
    return merged;
}

// What depends on other values, for everything that was left out.
// A value that is made from one that came from the environment is shown as that is.
void derive_reference(Config& config, const std::string& from, const std::string& to, const std::string& suffix = {}) {
    const auto found = config.references.find(from);
    if (found != config.references.end()) config.references[to] = found->second + suffix;
}

void fill_defaults(Config& config, const Environment& environment) {
    if (config.hostname.empty()) config.hostname = environment.hostname;
    if (config.control_socket.empty()) {
        config.control_socket = config.data_dir + "/control.sock";
        derive_reference(config, "data_dir", "control_socket", "/control.sock");
    }
    config.tenants.try_emplace("default", Tenant{"default", {}});
    if (config.virtual_mtas.empty()) config.virtual_mtas["default"].name = "default";
    for (auto& [name, mta] : config.virtual_mtas) {
        if (!mta.ehlo.empty()) continue;
        mta.ehlo = config.hostname;
        derive_reference(config, "hostname", "virtual_mtas." + name + ".ehlo");
    }
    if (config.default_virtual_mta.empty()) {
        if (config.virtual_mtas.contains("default") || config.pools.contains("default")) {
            config.default_virtual_mta = "default";
        } else if (config.virtual_mtas.size() == 1) {
            config.default_virtual_mta = config.virtual_mtas.begin()->first;
        }
    }
    for (auto& [name, listener] : config.listeners) {
        if (!listener.private_key.empty() || listener.tls == ListenerTls::None) continue;
        listener.private_key = listener.certificate;
        derive_reference(config, "listeners." + name + ".certificate", "listeners." + name + ".private_key");
    }
    for (auto& report : config.reports) {
        if (report.type != ReportType::Accounting && report.types.empty()) report.types = all_event_types();
        if (report.name.empty())
            report.name = report.type == ReportType::Kafka  ? "kafka"
                          : report.type == ReportType::Amqp ? "amqp"
                                                            : "file";
    }
}

std::string version_of(const Config& config) {
    std::string text;
    const auto append = [&](const auto& self, const std::vector<Shown>& children) -> void {
        for (const auto& child : children) {
            text += fmt::format("{}={}\n", child.path, child.text);
            self(self, child.children);
        }
    };
    append(append, effective_tree(config));
    return hash_event_id(text).to_string().substr(0, 16);
}

}  // namespace

std::vector<Network> loopback_networks() {
    Network v4{.base = {}, .prefix_bits = 8};
    v4.base.octets[0] = 127;
    Network v6{.base = {}, .prefix_bits = 128};
    v6.base.v6 = true;
    v6.base.octets[15] = 1;
    return {v4, v6};
}

LoadResult load_config(std::span<const Node> documents, const Environment& environment) {
    LoadResult result;
    const auto config = std::make_shared<Config>();
    Reader reader(environment, *config, result.problems);
    const Node merged = merge_documents(reader, documents);
    read_section(reader, root_section(), merged, "", config.get());
    fill_defaults(*config, environment);
    if (!environment.incomplete) {
        check_missing(reader, root_section(), merged, "");
        check_references(reader, *config);
    }
    if (!result.problems.empty()) {
        std::stable_sort(result.problems.begin(), result.problems.end(), [](const Problem& a, const Problem& b) {
            return std::tie(a.origin.file, a.origin.line, a.origin.column) <
                   std::tie(b.origin.file, b.origin.line, b.origin.column);
        });
        return result;
    }
    config->version = version_of(*config);
    result.config = config;
    return result;
}

}  // namespace postfleet::config
