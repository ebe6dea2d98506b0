// Reader: what every part of loading shares: the list of problems, the origins, `${NAME}` references.
//
// Threads: confined to one load_config() call.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/config/load.hpp"

namespace postfleet::config {

class Reader {
public:
    Reader(const Environment& environment, Config& config, std::vector<Problem>& problems)
        : environment_(environment), config_(config), problems_(problems) {}

    void report(const Origin& origin, const std::string& path, std::string text);
    // "'5x' is not a duration …"; a value that came from the environment is not shown.
    void report_value(const Node& node, const std::string& path, const std::string& what);

    // Whether something at or below this path was reported.
    bool has_problem(const std::string& path) const;

    // The text of a scalar with its references replaced, or nothing and a problem. `expected` completes
    // "must be …".
    std::optional<std::string> scalar(const Node& node, const std::string& path, std::string_view expected);
    // A sequence as its items; anything else as the one item it is.
    static std::span<const Node> items(const Node& node);

    void note_origin(const std::string& path, const Origin& origin) { config_.origins[path] = origin; }
    // The first place of a key or name that comes twice.
    void report_duplicate(const Node::Member& again, const Origin& first, const std::string& path);
    std::string absolute_path(const std::string& path) const;

private:
    std::optional<std::string> expand(const Node& node, const std::string& path);

    const Environment& environment_;
    Config& config_;
    std::vector<Problem>& problems_;
};

// The word that `word` was probably meant to be; empty if none is near.
std::string nearest(std::string_view word, std::span<const std::string> words);
// "; did you mean 'x'?", or nothing.
std::string suggestion(std::string_view word, std::span<const std::string> words);
// How a value stands in YAML: plain where that is safe, else in double quotes; a "${" in it is no reference.
std::string yaml_text(std::string_view text);
// The same for a key, or for text that has references.
std::string yaml_verbatim(std::string_view text);

}  // namespace postfleet::config
