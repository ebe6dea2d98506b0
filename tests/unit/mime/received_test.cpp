#include <catch2/catch.hpp>

#include "postfleet/mime/header.hpp"
#include "postfleet/mime/received.hpp"

namespace postfleet::mime {

TEST_CASE("a Received field has every clause of RFC 5321 4.4 and stays below 78 columns", "[mime][S5321-9]") {
    ReceivedFacts facts{.hello_name = "client.example",
                        .client_literal = "[192.0.2.1]",
                        .by = "mta1.example.net",
                        .protocol = "ESMTP",
                        .id = "0193e5a0-0000-7000-8000-000000000001",
                        .only_recipient = "user@example.org",
                        .date = "Sun, 22 Nov 2026 10:11:12 +0000"};
    std::string one;
    append_received(one, facts);
    CHECK(one ==
          "Received: from client.example ([192.0.2.1])\r\n"
          "\tby mta1.example.net with ESMTP id 0193e5a0-0000-7000-8000-000000000001\r\n"
          "\tfor <user@example.org>; Sun, 22 Nov 2026 10:11:12 +0000\r\n");
    facts.only_recipient = {};
    std::string many;
    append_received(many, facts);
    CHECK(many ==
          "Received: from client.example ([192.0.2.1])\r\n"
          "\tby mta1.example.net with ESMTP id 0193e5a0-0000-7000-8000-000000000001;\r\n"
          "\tSun, 22 Nov 2026 10:11:12 +0000\r\n");
    facts.tls = "TLSv1.3 TLS_AES_128_GCM_SHA256";
    std::string secured;
    append_received(secured, facts);
    CHECK(secured ==
          "Received: from client.example ([192.0.2.1])\r\n"
          "\tby mta1.example.net with ESMTP\r\n"
          "\t(TLSv1.3 TLS_AES_128_GCM_SHA256) id 0193e5a0-0000-7000-8000-000000000001;\r\n"
          "\tSun, 22 Nov 2026 10:11:12 +0000\r\n");
    HeaderReader reader(one);
    CHECK(reader.next()->name == "Received");
    CHECK_FALSE(reader.next());
    CHECK(reader.is_cut_off());
}

}  // namespace postfleet::mime
