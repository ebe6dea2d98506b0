#include "postfleet/smtp/xclient.hpp"

#include <catch2/catch.hpp>

namespace postfleet::smtp {

TEST_CASE("XCLIENT says who the client is, in attributes of any order and case", "[XCLIENT]") {
    const auto all = parse_xclient(
        "name=mail.example addr=192.0.2.1 Port=25611 HELO=[192.0.2.1] PROTO=ESMTP LOGIN=shop+40acme.example "
        "DESTADDR=IPV6:2001:db8::25 DESTPORT=587");
    REQUIRE(all);
    CHECK(**all->name == "mail.example");
    CHECK((**all->address).to_string() == "192.0.2.1");
    CHECK(**all->port == 25611);
    CHECK(**all->hello_name == "[192.0.2.1]");
    CHECK(*all->extended);
    CHECK(**all->login == "shop@acme.example");
    CHECK((**all->server_address).to_string() == "2001:db8::25");
    CHECK(**all->server_port == 587);
    CHECK((**parse_xclient("ADDR=IPV6:::ffff:192.0.2.1")->address).to_string() == "192.0.2.1");
    CHECK_FALSE(*parse_xclient("  PROTO=smtp  ")->extended);
    const auto one = parse_xclient("ADDR=192.0.2.1");
    CHECK_FALSE(one->name);
    CHECK_FALSE(one->login);
    CHECK_FALSE(one->extended);
}

TEST_CASE("an unavailable attribute is given, and has no value", "[XCLIENT]") {
    const auto request = parse_xclient("ADDR=[UNAVAILABLE] NAME=[TEMPUNAVAIL] LOGIN=[unavailable] PORT=[UNAVAILABLE]");
    REQUIRE(request);
    CHECK((request->address && !*request->address));
    CHECK((request->name && !*request->name));
    CHECK((request->login && !*request->login));
    CHECK((request->port && !*request->port));
}

TEST_CASE("what is not XCLIENT is refused as a whole", "[XCLIENT]") {
    for (const char* wrong : {"",
                              "ADDR",
                              "ADDR=",
                              "=x",
                              "FROM=x",
                              "ADDR=192.0.2.256",
                              "ADDR=IPV6:192.0.2.1",
                              "ADDR=mail.example",
                              "ADDR=192.0.2.1 ADDR=192.0.2.1",
                              "PORT=65536",
                              "PORT=-1",
                              "PORT=25x",
                              "PROTO=LMTP",
                              "PROTO=[UNAVAILABLE]",
                              "NAME=a+0D+0Ab",
                              "NAME=a+0",
                              "NAME=a+xx",
                              "HELO=a+20b",
                              "HELO=",
                              "LOGIN=",
                              "NAME=a\tb"}) {
        INFO(wrong);
        CHECK_FALSE(parse_xclient(wrong));
    }
    CHECK_FALSE(parse_xclient("NAME=" + std::string(256, 'a')));
    CHECK(parse_xclient("NAME=" + std::string(255, 'a')));
}

}  // namespace postfleet::smtp
