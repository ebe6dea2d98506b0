// read_documents: YAML files → Nodes that know where they stand (YAML 1.2, by yaml-cpp).
//
// Marks, quoting and duplicate keys are kept; nothing is interpreted. Anchors, aliases and tags are refused,
// so a small file cannot stand for a large tree; files, nesting and nodes are bounded. A file with a syntax
// error gives one problem and no document; the other files are read all the same.
//
// Threads: thread-safe; blocks on the file system. Errors: problems with file, line and column.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "postfleet/base/document.hpp"
#include "postfleet/base/result.hpp"

namespace postfleet::yaml {

inline constexpr std::size_t kMaxFileOctets = 16 << 20;
inline constexpr std::size_t kMaxFiles = 1'000;
inline constexpr std::size_t kMaxDepth = 32;
inline constexpr std::size_t kMaxNodes = 2'000'000;  // per file

struct Problem {
    Origin origin;
    std::string text;
};

struct Documents {
    std::vector<Node> documents;  // empty ones (only comments) are left out
    std::vector<Problem> problems;
};

// `file_name` is what origins say.
Documents parse_text(std::string_view text, const std::string& file_name);

// The files that read_documents() would read, in its order. Errors: what is wrong with the path as a whole.
Result<std::vector<std::string>> list_documents(const std::string& path);

// A directory: every *.yaml and *.yml in it, in the order of their names, hidden ones left out. Or one file.
// Origins have the file's name without the directory.
Documents read_documents(const std::string& path);

}  // namespace postfleet::yaml
