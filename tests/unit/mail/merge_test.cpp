#include "postfleet/mail/merge.hpp"

#include <catch2/catch.hpp>

namespace postfleet {

TEST_CASE("variables are found by name, and come back in their order") {
    MergeVariables variables;
    CHECK(variables.empty());
    variables.add("a", "one");
    variables.add("*jobid", "");
    variables.add("b", std::string(70'000, 'x'));
    CHECK(variables.size() == 3);
    CHECK(variables.find("a") == "one");
    CHECK(variables.find("*jobid") == "");
    CHECK(variables.find("b")->size() == 70'000);
    CHECK_FALSE(variables.find("c"));
    CHECK(variables.entries()[1] == MergeVariables::Entry{"*jobid", ""});
}

TEST_CASE("packed variables are read back, and what is cut or made up is not") {
    MergeVariables variables;
    variables.add("city", "Cologne");
    variables.add("x", "y");
    const std::string octets = variables.octets();
    CHECK(MergeVariables::from_octets(octets) == variables);
    CHECK(MergeVariables::from_octets("")->empty());
    const std::size_t border = 5 + 4 + 7;
    for (std::size_t cut = 1; cut < octets.size(); ++cut) {
        INFO(cut);
        CHECK(MergeVariables::from_octets(octets.substr(0, cut)).has_value() == (cut == border));
    }
    CHECK_FALSE(MergeVariables::from_octets(std::string("\x01\xff\xff\xff\xff", 5) + "abc"));
}

TEST_CASE("a name of a variable begins with a letter, and a reserved one with an asterisk") {
    CHECK(merge_name_length("City=Cologne") == 4);
    CHECK(merge_name_length("*jobID]") == 6);
    CHECK(merge_name_length("a1_b") == 4);
    for (const char* text : {"", "*", "1a", "_a", "**a", "\xc3\xa4"}) CHECK(merge_name_length(text) == 0);
    CHECK(merge_name_length(std::string(kMaxMergeName, 'a')) == kMaxMergeName);
    CHECK(merge_name_length(std::string(kMaxMergeName + 1, 'a')) == 0);
}

}  // namespace postfleet
