#include "crc32c.hpp"

#include <catch2/catch.hpp>

#include <random>
#include <string>

namespace postfleet::spool {

TEST_CASE("crc32c gives the values of the standard", "[rfc3720-B.4]") {
    CHECK(crc32c(std::string(32, '\0')) == 0x8A9136AA);
    CHECK(crc32c(std::string(32, '\xFF')) == 0x62A8AB43);
    CHECK(crc32c("123456789") == 0xE3069283);
    CHECK(crc32c("") == 0);
}

TEST_CASE("crc32c is the same with and without the processor's instruction, for every length") {
    std::mt19937 random(7);
    std::string octets(20'000, '\0');
    for (auto& c : octets) c = static_cast<char>(random());
    for (std::size_t size : {1, 2, 7, 8, 9, 63, 1023, 1024, 3071, 3072, 3073, 6144, 10'240, 19'999}) {
        auto part = std::string_view(octets).substr(1, size);  // unaligned on purpose
        CHECK(crc32c(part) == crc32c_portable(part));
    }
}

TEST_CASE("crc32c of two parts is that of the whole") {
    std::string octets(9000, 'x');
    for (std::size_t cut : {0, 1, 100, 4096, 9000}) {
        auto whole = std::string_view(octets);
        CHECK(crc32c(whole.substr(cut), crc32c(whole.substr(0, cut))) == crc32c(whole));
    }
}

}  // namespace postfleet::spool
