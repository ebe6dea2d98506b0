#include "postfleet/mime/address_domains.hpp"

#include <catch2/catch.hpp>

namespace postfleet::mime {
namespace {

using Domains = std::vector<std::string>;

Domains domains(std::string_view value) {
    INFO(value);
    const auto found = address_domains(value);
    REQUIRE(found);
    return *found;
}

}  // namespace

TEST_CASE("every mailbox of an address field is seen, however it is written [SEC-8]", "[mime]") {
    CHECK(domains(" a@One.Example") == Domains{"one.example"});
    CHECK(domains(" A Name <a@one.example>") == Domains{"one.example"});
    CHECK(domains(" \"x@victim.example\" <a@one.example>") == Domains{"one.example"});
    CHECK(domains(" =?utf-8?q?x=40victim.example?= <a@one.example>") == Domains{"one.example"});
    CHECK(domains(" (b@two.example (nested)) a (c) @ (d) one (e) . example") == Domains{"one.example"});
    CHECK(domains(" a@one.example, b@two.example,, C <c@three.example>") ==
          Domains{"one.example", "two.example", "three.example"});
    CHECK(domains(" friends: a@one.example, <b@two.example>;, c@three.example") ==
          Domains{"one.example", "two.example", "three.example"});
    CHECK(domains(" undisclosed:;").empty());
    CHECK(domains(" <@relay.example,@other.example:a@one.example>") == Domains{"one.example"});
    CHECK(domains(" \"a\\\"b@victim.example\"@one.example") == Domains{"one.example"});
    CHECK(domains(" a\r\n\t@one.example.\r\n ") == Domains{"one.example"});
    CHECK(domains(" a@[192.0.2.1]") == Domains{"[192.0.2.1]"});
    CHECK(domains(" J. Doe <j@one.example>") == Domains{"one.example"});
    CHECK(domains(" M\xc3\xbcller <m@m\xc3\xbcller.example>") == Domains{"xn--mller-kva.example"});
}

TEST_CASE("what another parser might read differently is no address [SEC-8] [SEC-7]", "[mime]") {
    for (const std::string_view value :
         {" a", " a@", " @one.example", " <>", " <a@one.example", " a@one.example>", " a@one.example b@two.example",
          " a@one.example <b@two.example>", " <a@one.example> <b@two.example>", " \"a@one.example", " (a@one.example",
          " a@one.example)", " a@one@two.example", " x: y: a@one.example;;", " x: a@one.example", " a@one.example;",
          " :a@one.example;", " a@one example", " a\\@one.example", " a@one..example", " a@one.example\x01",
          " a@=?c?q?one.example?=", " a@one.example:", " <a@one.example,b@two.example>"}) {
        INFO(value);
        CHECK_FALSE(address_domains(value));
    }
    CHECK_FALSE(address_domains(" " + std::string(kMaxCommentDepth + 1, '(') + "a@one.example"));
    CHECK_FALSE(address_domains(std::string(100'000, '(')));
    CHECK_FALSE(address_domains(std::string(100'000, '"')));
}

}  // namespace postfleet::mime
