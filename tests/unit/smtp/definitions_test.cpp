#include "postfleet/smtp/definitions.hpp"

#include <catch2/catch.hpp>

namespace postfleet::smtp {
namespace {

std::string defined(std::string_view argument) {
    MergeVariables variables;
    const DefinitionError error = parse_definitions(argument, variables);
    if (error != DefinitionError::None) return "error " + std::to_string(static_cast<int>(error));
    std::string all;
    for (const auto& [name, value] : variables.entries()) all.append(name).append("=").append(value).append(";");
    return all;
}

}  // namespace

TEST_CASE("definitions are names and values, quoted where they have spaces") {
    CHECK(defined(R"(name="Bob Example" Airport=BWI)") == "name=Bob Example;airport=BWI;");
    CHECK(defined("\t a=1 \t b=2  ") == "a=1;b=2;");
    CHECK(defined(R"(*parts=1-3 *jobID="Travel")") == "*parts=1-3;*jobid=Travel;");
    CHECK(defined(R"(a= b="")") == "a=;b=;");
    CHECK(defined("url=https://x.example/?a=b&c=\"d\"") == "url=https://x.example/?a=b&c=\"d\";");
    CHECK(defined("name=J\xc3\xb6rg") == "name=J\xc3\xb6rg;");
}

TEST_CASE("a backslash makes quotes, backslashes and line breaks, and else is itself") {
    CHECK(defined(R"(a="say \"hi\"" b=\\ c="test \ 1")") == "a=say \"hi\";b=\\;c=test \\ 1;");
    CHECK(defined(R"(a="1\r\n2\n3\r4")") == "a=1\r\n2\r\n3\r\n4;");
    CHECK(defined(R"(a=A\\r\\nB)") == "a=A\\r\\nB;");
    CHECK(defined(R"(a=x\)") == "a=x\\;");
    CHECK(defined(R"(a="\n\n")") == "a=\r\n\r\n;");
}

TEST_CASE("what is no definition is an error") {
    const std::string syntax = "error " + std::to_string(static_cast<int>(DefinitionError::Syntax));
    for (const char* text : {"", "  ", "a", "=b", "1a=b", "a b=c", "a=\"b", "a=\"b\"c", "a=\"b\\\"", "a-b=c", "*=x"}) {
        INFO(text);
        CHECK(defined(text) == syntax);
    }
    CHECK(defined("a=1 A=2") == "error " + std::to_string(static_cast<int>(DefinitionError::Twice)));
    const std::string reserved = "error " + std::to_string(static_cast<int>(DefinitionError::Reserved));
    for (const char* text : {"*to=a", "*date=b", "*unknown=c"}) CHECK(defined(text) == reserved);
}

TEST_CASE("variables of a recipient are bounded, in number and size") {
    MergeVariables variables;
    for (std::size_t i = 0; i < kMaxMergeVariables; ++i) {
        REQUIRE(parse_definitions("a" + std::to_string(i) + "=x", variables) == DefinitionError::None);
    }
    CHECK(parse_definitions("one_more=x", variables) == DefinitionError::TooMuch);
    MergeVariables large;
    CHECK(parse_definitions("a=" + std::string(kMaxMergeOctets - 6, 'x'), large) == DefinitionError::None);
    CHECK(parse_definitions("b=", large) == DefinitionError::TooMuch);
}

}  // namespace postfleet::smtp
