// The generated pages are what the code says, and the examples in the documents load.
#include "postfleet/config/reference.hpp"

#include <boost/json.hpp>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "postfleet/config_files/load.hpp"

using namespace postfleet;

namespace {

const std::filesystem::path kRoot = POSTFLEET_SOURCE_DIR;

std::string read(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

std::vector<std::string> yaml_blocks(const std::string& page) {
    std::vector<std::string> blocks;
    const std::string begin = "```yaml\n";
    for (auto at = page.find(begin); at != std::string::npos; at = page.find(begin, at)) {
        at += begin.size();
        blocks.push_back(page.substr(at, page.find("```", at) - at));
    }
    return blocks;
}

}  // namespace

TEST_CASE("docs/CONFIGURATION.md and docs/postfleet.schema.json are what `make docs` writes") {
    CHECK(read(kRoot / "docs/CONFIGURATION.md") == config::reference_page());
    CHECK(read(kRoot / "docs/postfleet.schema.json") == config::json_schema());
}

TEST_CASE("the schema is JSON, refuses unknown keys and knows every section") {
    const auto schema = boost::json::parse(config::json_schema()).as_object();
    CHECK(schema.at("additionalProperties") == false);
    const auto& properties = schema.at("properties").as_object();
    for (const auto* name :
         {"listeners", "virtual_mtas", "pools", "bindings", "providers", "routes", "shaping", "reports"}) {
        CHECK(properties.contains(name));
    }
    const auto& shaping = properties.at("shaping").at("items").at("properties").as_object();
    CHECK(shaping.at("max_connections").at("default") == 20);
    CHECK(shaping.at("retry_after").at("default").as_array().size() == 5);
}

// A block is a whole configuration when it has listeners; others are put beside one.
TEST_CASE("every YAML example in the documents loads") {
    ::setenv("BROKER_PASSWORD", "secret", 1);  // what examples name
    std::size_t examples = 0;
    std::vector<std::filesystem::path> pages{kRoot / "README.md"};
    for (const auto& entry : std::filesystem::recursive_directory_iterator(kRoot / "docs")) {
        if (entry.path().extension() == ".md") pages.push_back(entry.path());
    }
    for (const auto& page : pages) {
        for (auto block : yaml_blocks(read(page))) {
            if (("\n" + block).find("\nlisteners:") == std::string::npos)
                block += "\nlisteners: {relay: {address: \"127.0.0.1:2525\"}}\n";
            const auto result = config_files::load_text(block, page.filename().string());
            INFO(block << config_files::to_string(result.problems));
            CHECK(result.config);
            ++examples;
        }
    }
    CHECK(examples >= 3);
}

TEST_CASE("the configuration that `make run` starts with loads") {
    ::setenv("POSTFLEET_DEMO_DIR", "/tmp/demo", 1);
    ::setenv("POSTFLEET_DEMO_SINK", "127.0.0.1:2600", 1);
    const auto result = config_files::load_path(kRoot / "deploy/run/postfleet.yaml");
    INFO(config_files::to_string(result.problems));
    CHECK(result.config);
}
