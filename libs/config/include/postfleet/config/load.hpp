// load_config: parsed documents → Config, or everything that is wrong with them (DESIGN section 8).
//
// Strict: an unknown key, a key that is defined twice, a reference to something that does not exist and a
// value out of its range are problems. All problems are found in one go, in the order of the files; there
// is a Config only when there are none.
//
// Several documents are one configuration: names under one mapping (virtual_mtas, routes, spool …) are put
// together, lists (bindings, shaping, reports) are joined in the order of the documents; the same name or
// key in two places is a problem that names both. `${NAME}` in a value is replaced by the variable,
// `$${` stands for a plain "${". Relative paths are relative to the directory of the configuration.
//
// Pure: variables, host name and directory come in as arguments. Threads: thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/base/document.hpp"
#include "postfleet/config/config.hpp"

namespace postfleet::config {

struct Environment {
    std::function<std::optional<std::string>(std::string_view name)> variable;
    std::string hostname = "localhost";  // of the machine, fully qualified where it is known
    std::string directory = ".";         // where the configuration files are
    // Some documents could not be read: what may stand in them is not missed.
    bool incomplete = false;
};

// One thing that is wrong: where, which key, what, and how to mend it.
struct Problem {
    Origin origin;
    std::string key;  // "listeners.relay.max_connections"; empty: the file as a whole
    std::string text;
    // "mta.yaml:3:5: listeners.relay.max_conections: unknown key; did you mean 'max_connections'?"
    std::string to_string() const;
    friend bool operator==(const Problem&, const Problem&) = default;
};

struct LoadResult {
    std::shared_ptr<const Config> config;  // shared: every part of a running process holds it; null: problems
    std::vector<Problem> problems;
};

LoadResult load_config(std::span<const Node> documents, const Environment& environment);

}  // namespace postfleet::config
