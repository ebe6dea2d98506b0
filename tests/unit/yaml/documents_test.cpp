#include "postfleet/yaml/documents.hpp"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

using namespace postfleet;
using yaml::parse_text;

namespace {

Node only(const yaml::Documents& read) {
    REQUIRE(read.problems.empty());
    REQUIRE(read.documents.size() == 1);
    return read.documents.front();
}

// The place and text of the one problem, and no documents.
std::string problem_of(const std::string& text) {
    const auto read = parse_text(text, "a.yaml");
    REQUIRE(read.problems.size() == 1);
    CHECK(read.documents.empty());
    return read.problems[0].origin.to_string() + ": " + read.problems[0].text;
}

struct Folder {
    Folder() {
        char name[] = "/tmp/postfleet-yaml-XXXXXX";
        path = ::mkdtemp(name);
    }
    ~Folder() { std::filesystem::remove_all(path); }
    void write(const std::string& name, const std::string& text) const { std::ofstream(path / name) << text; }
    std::filesystem::path path;
};

}  // namespace

TEST_CASE("every node and every key knows its file, line and column") {
    const auto root =
        only(parse_text("hostname: a.example\nlisteners:\n  relay: {address: \"127.0.0.1:25\"}\n", "x.yaml"));
    REQUIRE(root.kind == Node::Kind::Mapping);
    REQUIRE(root.members.size() == 2);
    CHECK(root.members[0].name == "hostname");
    CHECK(root.members[0].value.origin == Origin{"x.yaml", 1, 11});
    const auto& relay = root.members[1].value.members[0];
    CHECK(relay.origin == Origin{"x.yaml", 3, 3});
    CHECK(relay.value.members[0].value.origin == Origin{"x.yaml", 3, 20});
    CHECK(relay.value.members[0].value.scalar == "127.0.0.1:25");
}

TEST_CASE("quoting is kept, and null is told from the text null") {
    const auto root = only(parse_text("a: 25\nb: \"25\"\nc: null\nd: \"null\"\ne:\nf: ~\n", "x.yaml"));
    CHECK_FALSE(root.members[0].value.quoted);
    CHECK(root.members[1].value.quoted);
    CHECK(root.members[2].value.kind == Node::Kind::Null);
    CHECK(root.members[3].value.kind == Node::Kind::Scalar);
    CHECK(root.members[4].value.kind == Node::Kind::Null);
    CHECK(root.members[5].value.kind == Node::Kind::Null);
}

TEST_CASE("a key that comes twice is kept twice, with both places") {
    const auto root = only(parse_text("a: 1\nb: 2\na: 3\n", "x.yaml"));
    REQUIRE(root.members.size() == 3);
    CHECK(root.members[0].origin.line == 1);
    CHECK(root.members[2].origin.line == 3);
}

TEST_CASE("sequences and mappings nest in both styles") {
    const auto root =
        only(parse_text("l:\n  - {match: {site: google}, x: [a, b]}\n  - match: {site: b}\n    x: c\n", "x"));
    const auto& list = root.members[0].value;
    REQUIRE(list.items.size() == 2);
    CHECK(list.items[0].members[1].value.items[1].scalar == "b");
    CHECK(list.items[1].members[0].value.members[0].value.scalar == "b");
}

TEST_CASE("several documents in a file are several documents, and empty ones are left out") {
    CHECK(parse_text("a: 1\n---\nb: 2\n", "x").documents.size() == 2);
    CHECK(parse_text("", "x").documents.empty());
    CHECK(parse_text("# nothing\n", "x").documents.empty());
}

TEST_CASE("syntax errors say where") {
    CHECK(problem_of("a: [1, 2\nb: 3\n").starts_with("a.yaml:"));
    CHECK(problem_of("a: \"x\n").starts_with("a.yaml:"));
    CHECK(problem_of("a: \"x\nb: 1\n# end\n").starts_with("a.yaml:"));
    CHECK(problem_of("a: b: c\n").starts_with("a.yaml:1:"));
    CHECK(problem_of("a:\n\t- b\n").starts_with("a.yaml:2:"));
}

TEST_CASE("an unquoted wildcard is explained") {
    CHECK(problem_of("mx: [*.google.com]\n").find("put the value in quotes") != std::string::npos);
}

TEST_CASE("anchors, aliases and tags are refused, so that nothing grows") {
    CHECK(problem_of("a: &x [1]\nb: [*x, *x]\n").find("a.yaml:1:") == 0);
    CHECK(problem_of("a: !!binary aGk=\n").find("tags such as") != std::string::npos);
    CHECK(problem_of("? [a, b]\n: c\n").find("a key must be a word") != std::string::npos);
}

TEST_CASE("nesting is bounded") {
    const std::string deep = "a: " + std::string(yaml::kMaxDepth + 1, '[') + std::string(yaml::kMaxDepth + 1, ']');
    CHECK(problem_of(deep).find("nested more than") != std::string::npos);
    CHECK(problem_of("a: " + std::string(100'000, '[')).starts_with("a.yaml:1"));
}

TEST_CASE("a directory is read in the order of its names, without hidden files and other kinds") {
    const Folder folder;
    folder.write("20-b.yml", "b: 1\n");
    folder.write("10-a.yaml", "a: 1\n");
    folder.write(".hidden.yaml", "c: 1\n");
    folder.write("notes.txt", "{{{");
    const auto read = yaml::read_documents(folder.path);
    CHECK(read.problems.empty());
    REQUIRE(read.documents.size() == 2);
    CHECK(read.documents[0].origin.file == "10-a.yaml");
    CHECK(read.documents[1].origin.file == "20-b.yml");
}

TEST_CASE("one broken file does not hide the others") {
    const Folder folder;
    folder.write("a.yaml", "a: [\n");
    folder.write("b.yaml", "b: 1\n");
    folder.write("c.yaml", "c: ]\n");
    const auto read = yaml::read_documents(folder.path);
    CHECK(read.documents.size() == 1);
    CHECK(read.problems.size() == 2);
}

TEST_CASE("what cannot be read is a problem that names it") {
    const Folder folder;
    const auto missing = yaml::read_documents(folder.path / "none");
    REQUIRE(missing.problems.size() == 1);
    CHECK(missing.problems[0].text.find("does not exist") != std::string::npos);
    const auto empty = yaml::read_documents(folder.path);
    REQUIRE(empty.problems.size() == 1);
    CHECK(empty.problems[0].text == "has no *.yaml files");
}
