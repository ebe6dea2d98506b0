#include "postfleet/runtime/config_watch.hpp"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "postfleet/support/temporary_directory.hpp"

using postfleet::runtime::ConfigWatch;
namespace fs = std::filesystem;

TEST_CASE("a change is told once, when two looks have seen the same") {
    postfleet::support::TemporaryDirectory folder;
    std::ofstream(folder.path() / "mta.yaml") << "hostname: a\n";
    ConfigWatch watch(folder.path());
    CHECK_FALSE(watch.is_changed());
    std::ofstream(folder.path() / "mta.yaml") << "hostname: ab\n";
    CHECK_FALSE(watch.is_changed());  // it may still be being written
    std::ofstream(folder.path() / "mta.yaml") << "hostname: abc\n";
    CHECK_FALSE(watch.is_changed());
    CHECK(watch.is_changed());
    CHECK_FALSE(watch.is_changed());
}

TEST_CASE("new, removed and renamed files are changes; other files and hidden ones are not") {
    postfleet::support::TemporaryDirectory folder;
    std::ofstream(folder.path() / "mta.yaml") << "a\n";
    ConfigWatch watch(folder.path());
    const auto changed = [&] { return watch.is_changed() || watch.is_changed(); };
    std::ofstream(folder.path() / "notes.txt") << "x";
    std::ofstream(folder.path() / ".mta.yaml.swp.yaml") << "x";
    CHECK_FALSE(changed());
    std::ofstream(folder.path() / "more.yml") << "b\n";
    CHECK(changed());
    fs::remove(folder.path() / "more.yml");
    CHECK(changed());
    fs::rename(folder.path() / "mta.yaml", folder.path() / "other.yaml");
    CHECK(changed());
}

TEST_CASE("the switch of a link, as a mounted ConfigMap does it, is a change") {
    postfleet::support::TemporaryDirectory folder;
    for (const char* version : {"v1", "v2"}) {
        fs::create_directory(folder.path() / version);
        std::ofstream(folder.path() / version / "mta.yaml") << version << "\n";
    }
    fs::create_symlink("v1", folder.path() / "data");
    fs::create_symlink("data/mta.yaml", folder.path() / "mta.yaml");
    ConfigWatch watch(folder.path());
    fs::create_symlink("v2", folder.path() / "data.new");
    fs::rename(folder.path() / "data.new", folder.path() / "data");
    CHECK_FALSE(watch.is_changed());
    CHECK(watch.is_changed());
}

TEST_CASE("what was accepted is not told again; one file alone can be watched") {
    postfleet::support::TemporaryDirectory folder;
    std::ofstream(folder.path() / "mta.yaml") << "a\n";
    ConfigWatch watch(folder.path() / "mta.yaml");
    std::ofstream(folder.path() / "mta.yaml") << "ab\n";
    watch.accept();
    CHECK_FALSE(watch.is_changed());
    CHECK_FALSE(watch.is_changed());
    fs::remove(folder.path() / "mta.yaml");
    CHECK_FALSE(watch.is_changed());
    CHECK(watch.is_changed());
}
