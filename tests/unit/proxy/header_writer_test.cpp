#include "postfleet/proxy/header_writer.hpp"

#include <catch2/catch.hpp>

using namespace postfleet;
using namespace postfleet::proxy;

namespace {
Endpoint at(std::string_view text) { return Endpoint::parse(text).value(); }
}  // namespace

TEST_CASE("PROXY version 1 names both ends in one line", "[egress]") {
    CHECK(write_header(HeaderVersion::Text, at("192.0.2.10:0"), at("198.51.100.1:25")) ==
          "PROXY TCP4 192.0.2.10 198.51.100.1 0 25\r\n");
    CHECK(write_header(HeaderVersion::Text, at("[2001:db8::10]:0"), at("[2001:db8::1]:25")) ==
          "PROXY TCP6 2001:db8::10 2001:db8::1 0 25\r\n");
}

TEST_CASE("PROXY version 2 is a signature, lengths and addresses", "[egress]") {
    using namespace std::string_literals;
    const std::string signature = "\r\n\r\n\0\r\nQUIT\n"s;
    CHECK(write_header(HeaderVersion::Binary, at("192.0.2.10:0"), at("198.51.100.1:25")) ==
          signature + "\x21\x11\0\x0c\xc0\0\x02\x0a\xc6\x33\x64\x01\0\0\0\x19"s);
    const std::string v6 = write_header(HeaderVersion::Binary, at("[2001:db8::10]:0"), at("[2001:db8::1]:25"));
    CHECK(v6.size() == 16 + 36);
    CHECK(v6.substr(12, 4) == "\x21\x21\0\x24"s);
    CHECK(v6.substr(16, 4) == "\x20\x01\x0d\xb8"s);
    CHECK(v6.substr(48) == "\0\0\0\x19"s);
}
