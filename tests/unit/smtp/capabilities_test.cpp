#include "postfleet/smtp/capabilities.hpp"

#include <catch2/catch.hpp>
#include <string>

using postfleet::smtp::Capabilities;
using postfleet::smtp::parse_capabilities;

TEST_CASE("the EHLO reply tells what a server offers", "[rfc5321-4.1.1.1]") {
    const Capabilities c =
        parse_capabilities("mx.example.net\npipelining\nSIZE 1000\n8BITMIME\nSMTPUTF8\nLIMITS RCPTMAX=50 MAILMAX=7");
    const auto offered = postfleet::extension_bit("PIPELINING") | postfleet::extension_bit("SIZE") |
                         postfleet::extension_bit("8BITMIME") | postfleet::extension_bit("SMTPUTF8") |
                         postfleet::extension_bit("LIMITS");
    CHECK(c == Capabilities{.offered = offered,
                            .pipelining = true,
                            .eight_bit_mime = true,
                            .smtputf8 = true,
                            .size = true,
                            .max_message_octets = 1000,
                            .max_recipients = 50,
                            .max_transactions = 7});
}

TEST_CASE("the first line is a greeting, whatever it says") {
    CHECK(parse_capabilities("PIPELINING") == Capabilities{});
    CHECK(parse_capabilities("") == Capabilities{});
}

TEST_CASE("malformed and absurd values set no limit", "[rfc1870][rfc9422]") {
    CHECK(parse_capabilities("x\nSIZE").max_message_octets == UINT64_MAX);
    CHECK(parse_capabilities("x\nSIZE 0").max_message_octets == UINT64_MAX);
    CHECK(parse_capabilities("x\nSIZE 12k").max_message_octets == UINT64_MAX);
    CHECK(parse_capabilities("x\nSIZE 99999999999999999999999").max_message_octets == UINT64_MAX);
    CHECK(parse_capabilities("x\nLIMITS RCPTMAX=0 MAILMAX=18446744073709551616 X RCPTMAX=").max_recipients ==
          UINT32_MAX);
    CHECK(parse_capabilities("x\nSIZE 5\nSIZE 9").max_message_octets == 5);
}

TEST_CASE("a hundred thousand keywords are passed over") {
    std::string lines = "x";
    for (int i = 0; i < 100'000; ++i) lines += "\nX-NOISE 1";
    CHECK(parse_capabilities(lines + "\nPIPELINING").pipelining);
}
