#include "postfleet/merge/insert.hpp"

#include <catch2/catch.hpp>

#include <string>

namespace postfleet::merge {
namespace {

// What a text has, as "name|[|name".
std::string inserts(std::string_view text) {
    std::string found;
    for (Insert insert = find_insert(text, 0); insert.begin != std::string_view::npos;
         insert = find_insert(text, insert.begin + insert.size)) {
        if (!found.empty()) found += '|';
        found += insert.name.empty() ? "[" : std::string(insert.name);
    }
    return found;
}

}  // namespace

TEST_CASE("a name in brackets is a variable, and two brackets are one") {
    CHECK(inserts("Dear [First_Name],\r\n") == "First_Name");
    CHECK(inserts("[a][B2][*to]") == "a|B2|*to");
    CHECK(inserts("[[]") == "[");
    CHECK(inserts("[[a] [a]") == "[|a");
    CHECK(inserts("[[[a]") == "[|a");
    CHECK(inserts("no such thing ]]") == "");
}

TEST_CASE("a bracket that begins no variable is text") {
    for (const char* text :
         {"[]", "[1]", "[a b]", "[_a]", "[a", "[", "[*]", "[*1]", "[**a]", "<!--[if mso]>", "[a-b]", "[\xc3\xa4]"}) {
        INFO(text);
        CHECK(inserts(text) == "");
    }
    CHECK(inserts("[x [a]") == "a");
}

TEST_CASE("a name has at most 64 octets") {
    CHECK(inserts("[" + std::string(64, 'a') + "]") == std::string(64, 'a'));
    CHECK(inserts("[" + std::string(65, 'a') + "]") == "");
}

TEST_CASE("what may be cut off is known, so that a text can come in pieces") {
    for (const char* text : {"[", "[*", "[a", "[*abc9_"}) CHECK(may_be_cut_off(text));
    for (const char* text : {"[[", "[1", "[a]", "[a ", "[ "}) CHECK_FALSE(may_be_cut_off(text));
    CHECK_FALSE(may_be_cut_off("[" + std::string(65, 'a')));
}

}  // namespace postfleet::merge
