#include "kept.hpp"

#include <catch2/catch.hpp>

#include <fstream>

#include "postfleet/support/temporary_directory.hpp"

using namespace postfleet;
using postfleet::rpc::KeptFile;

TEST_CASE("what is kept comes back octet by octet, and only the last of it") {
    support::TemporaryDirectory directory;
    const KeptFile file(directory.file("snapshot"));
    CHECK(file.read().error().kind == ErrorKind::NotFound);
    const std::string octets("a\0b\n\xff", 5);
    REQUIRE(file.write("before").has_value());
    REQUIRE(file.write(octets).has_value());
    CHECK(file.read().value() == octets);
    REQUIRE(file.write("").has_value());
    CHECK(file.read().value().empty());
}

TEST_CASE("a kept file that was changed or cut is noticed") {
    support::TemporaryDirectory directory;
    const std::string path = directory.file("snapshot");
    const KeptFile file(path);
    REQUIRE(file.write("the active configuration").has_value());
    std::string all;
    std::getline(std::ifstream(path, std::ios::binary), all, '\0');
    for (std::size_t at = 0; at < all.size(); at += 7) {
        std::string changed = all;
        changed[at] ^= 1;
        std::ofstream(path, std::ios::binary) << changed;
        CHECK(file.read().error().kind == ErrorKind::Corruption);
        std::ofstream(path, std::ios::binary) << all.substr(0, at);
        CHECK(file.read().error().kind == ErrorKind::Corruption);
    }
}
