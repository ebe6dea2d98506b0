#include "postfleet/support/temporary_directory.hpp"

#include <catch2/catch.hpp>

#include "postfleet/support/await.hpp"

using postfleet::support::TemporaryDirectory;

TEST_CASE("a temporary directory keeps what is written and goes with everything in it") {
    std::filesystem::path path;
    {
        const TemporaryDirectory directory;
        path = directory.path();
        const std::string file = directory.write("a/b.txt", "text\n");
        CHECK(TemporaryDirectory::read(file) == "text\n");
        CHECK(directory.file("x") == (path / "x").string());
    }
    CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("eventually says no when patience ends") {
    int asked = 0;
    CHECK(postfleet::support::eventually([&] { return ++asked == 3; }));
    CHECK_FALSE(postfleet::support::eventually([] { return false; }, std::chrono::milliseconds(3)));
}
