// A configuration file: YAML, keys, values, references. What loads can be shown, loads again as the same and compiles;
// what does not load says why.
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "postfleet/base/require.hpp"
#include "postfleet/config/diff.hpp"
#include "postfleet/config/load.hpp"
#include "postfleet/config/render.hpp"
#include "postfleet/routing/snapshot.hpp"
#include "postfleet/shaping/settings.hpp"
#include "postfleet/yaml/documents.hpp"

using namespace postfleet;

namespace {

config::LoadResult load(std::string_view text) {
    const auto read = yaml::parse_text(text, "fuzz.yaml");
    if (!read.problems.empty()) require(read.documents.empty());
    config::Environment environment;
    environment.variable = [](std::string_view name) -> std::optional<std::string> {
        return name.starts_with("N") ? std::nullopt : std::optional<std::string>("127.0.0.1");
    };
    environment.incomplete = !read.problems.empty();
    auto result = config::load_config(read.documents, environment);
    require(static_cast<bool>(result.config) == result.problems.empty());
    for (const auto& problem : result.problems) require(!problem.text.empty() && !problem.to_string().empty());
    if (environment.incomplete) result.config = nullptr;
    return result;
}

}  // namespace

void fuzz_config(std::span<const std::byte> input) {
    const auto loaded = load({reinterpret_cast<const char*>(input.data()), input.size()});
    if (!loaded.config) return;
    const auto& config = *loaded.config;
    const auto again = load(config::render(config));
    require(again.config != nullptr && again.config->version == config.version);
    require(config::diff(config, *again.config).empty());

    const auto snapshot = routing::Snapshot::compile(config);
    const auto bound = snapshot->bind({.mail_from = "a@b.test", .rcpt_domain = "gmail.com", .job = "j"}, 7);
    require(bound && snapshot->has_virtual_mta(bound.virtual_mta));
    const routing::Hop host{10, "aspmx.l.google.com"};
    const auto site = snapshot->site_of("gmail.com", std::span(&host, 1));
    require(!site.empty());
    require(!shaping::explain(config, {.site = site, .virtual_mta = bound.virtual_mta}).empty());
}
