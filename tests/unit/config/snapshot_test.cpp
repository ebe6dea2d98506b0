#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>

#include "postfleet/config_files/load.hpp"
#include "postfleet/support/temporary_directory.hpp"

using namespace postfleet;
using config_files::load_files;
using config_files::read_files;
using config_files::version_of;

TEST_CASE("a configuration goes to another machine as its files, without those that it names") {
    support::TemporaryDirectory directory;
    const std::string yaml =
        "listeners: {tls: {address: \"127.0.0.1:465\", tls: implicit, certificate: c.pem, private_key: k.pem}}\n";
    std::ofstream(directory.file("b.yaml")) << yaml;
    std::ofstream(directory.file("a.yml")) << "hostname: mta.example.test\n";
    std::ofstream(directory.file("c.pem")) << "no certificate of this machine";
    std::ofstream(directory.file(".hidden.yaml")) << "x";
    const auto files = read_files(directory.path());
    REQUIRE(files.has_value());
    CHECK(*files == ConfigurationFiles{{"a.yml", "hostname: mta.example.test\n"}, {"b.yaml", yaml}});
    const config::LoadResult loaded = load_files(*files, "/etc/elsewhere");
    REQUIRE(loaded.config != nullptr);
    CHECK(loaded.config->hostname == "mta.example.test");
    CHECK(loaded.config->listeners.at("tls").certificate == "/etc/elsewhere/c.pem");
}

TEST_CASE("problems of files that came from elsewhere have their places [F63]") {
    const config::LoadResult loaded =
        load_files({{"a.yaml", "hostname: x\n"}, {"b.yaml", "listeners:\n  x: {adress: \"1.2.3.4:5\"}\n"}}, "/etc");
    REQUIRE(loaded.config == nullptr);
    CHECK(config_files::to_string(loaded.problems).find("b.yaml:2:7") != std::string::npos);
}

TEST_CASE("the version of files is theirs alone") {
    const ConfigurationFiles files{{"a", "b"}, {"c", "d"}};
    CHECK(version_of(files) == version_of({{"c", "d"}, {"a", "b"}}));
    CHECK(version_of(files) != version_of({{"a", "bc"}, {"", "d"}}));
    CHECK(version_of(files) != version_of({{"a", "b"}}));
    CHECK(version_of({}).size() == 32);
}

TEST_CASE("a directory that cannot be read says why") {
    support::TemporaryDirectory directory;
    CHECK(read_files(directory.path()).error().text.find("has no *.yaml files") != std::string::npos);
    CHECK(read_files("/no/such/place").error().text.find("does not exist") != std::string::npos);
}
