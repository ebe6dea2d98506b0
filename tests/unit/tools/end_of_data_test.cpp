#include "tools/end_of_data.hpp"

#include <catch2/catch.hpp>

#include <random>
#include <string>

namespace postfleet::tools {
namespace {

TEST_CASE("the end of content is found wherever the pieces are cut") {
    const std::string content = "Subject: x\r\n\r\n..stuffed\r\n.\rnot\r\n.\nnot\r\r\n.\r\nMAIL FROM";
    const std::size_t end = content.find("\r\n.\r\nMAIL") + 5;
    for (std::size_t first = 0; first <= end; ++first) {
        for (std::size_t second = first; second <= end; ++second) {
            EndOfDataScanner scanner;
            scanner.reset();
            std::size_t at = 0;
            std::size_t found = EndOfDataScanner::npos;
            for (const std::size_t cut : {first, second, content.size()}) {
                const std::size_t local = scanner.find_end(std::string_view(content).substr(at, cut - at));
                if (local != EndOfDataScanner::npos) {
                    found = at + local;
                    break;
                }
                at = cut;
            }
            REQUIRE(found == end);
        }
    }
}

TEST_CASE("empty content ends with the dot alone") {
    EndOfDataScanner scanner;
    scanner.reset();
    CHECK(scanner.find_end(".\r\n") == 3);
}

TEST_CASE("random octets agree with a search for the whole text") {
    std::mt19937 random(7);
    for (int round = 0; round < 2000; ++round) {
        std::string content;
        for (int i = 0; i < 40; ++i) content += "\r\n.x"[random() % 4];
        const std::size_t at = ("\r\n" + content).find("\r\n.\r\n");
        EndOfDataScanner scanner;
        scanner.reset();
        std::size_t found = EndOfDataScanner::npos;
        for (std::size_t i = 0; i < content.size() && found == EndOfDataScanner::npos; ++i) {
            if (scanner.find_end(std::string_view(content).substr(i, 1)) == 1) found = i + 1;
        }
        REQUIRE(found == (at == std::string::npos ? at : at + 3));
    }
}

}  // namespace
}  // namespace postfleet::tools
