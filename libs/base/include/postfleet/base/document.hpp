// Node: a parsed configuration text as a tree in which every node knows where it stands.
//
// What a YAML adapter produces and libs/config checks. Scalars stay text, exactly as written, with a mark
// for quoting ("25" in quotes is a string, 25 is not). Mappings keep their order and their duplicate keys,
// so that a key that is defined twice can be reported with both places. Threads: a value type.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace postfleet {

// Line and column count from 1; 0 means unknown.
struct Origin {
    std::string file;
    int line = 0;
    int column = 0;
    std::string to_string() const;  // "shaping.yaml:12:5"
    friend bool operator==(const Origin&, const Origin&) = default;
};

struct Node {
    enum class Kind { Null, Scalar, Sequence, Mapping };
    struct Member;

    Kind kind = Kind::Null;
    Origin origin;
    std::string scalar;
    bool quoted = false;
    std::vector<Node> items;       // Sequence
    std::vector<Member> members;   // Mapping
};

struct Node::Member {
    std::string name;
    Origin origin;  // of the key
    Node value;
};

}  // namespace postfleet
