// What goes out is not always what is stored: mail for servers without 8BITMIME (RFC 6152).
#include <catch2/catch.hpp>

#include "postfleet/mime/short_lines.hpp"
#include "postfleet/support/sender_world.hpp"

using namespace postfleet;
using namespace postfleet::support;
using namespace std::chrono_literals;

namespace {

constexpr const char* kMx = "192.0.2.1:2526";

Mail eight_bit_mail() {
    return {.content =
                "Subject: hi\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
                "Content-Transfer-Encoding: 8bit\r\n\r\nfrom K\xc3\xb6ln, with care\r\n.dot\r\n",
            .has_leading_dots = true,
            .body_type = BodyType::EightBitMime};
}

void take_seven_bit_only(SenderWorld& world) {
    world.route("x.test", kMx);
    world.route("y.test", kMx);
    world.host(kMx).ehlo = "250-mx.test\r\n250-SIZE 10000000\r\n250 PIPELINING\r\n";
    world.start();
}

}  // namespace

TEST_CASE("8-bit mail goes out as it is where the server offers 8BITMIME", "[X6152]") {
    SenderWorld world;
    world.route("x.test", kMx);
    world.start();
    world.accept(eight_bit_mail());
    REQUIRE(world.host(kMx).deliveries.size() == 1);
    CHECK(world.host(kMx).deliveries[0].content.find("K\xc3\xb6ln") != std::string::npos);
    CHECK(world.workers.priorities.empty());
}

TEST_CASE("8-bit mail is rewritten for a server without 8BITMIME, and announced with its new size", "[X6152][X1870]") {
    SenderWorld world;
    take_seven_bit_only(world);
    world.accept(eight_bit_mail());
    const FakeHost& host = world.host(kMx);
    REQUIRE(host.deliveries.size() == 1);
    const std::string& content = host.deliveries[0].content;
    CHECK(content ==
          "Received: from test\r\nSubject: hi\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
          "Content-Transfer-Encoding: quoted-printable\r\n\r\nfrom K=C3=B6ln, with care\r\n=2Edot\r\n");
    CHECK(host.peers[0]->commands.at(1) == "MAIL FROM:<sender@from.test> SIZE=" + std::to_string(content.size()));
    CHECK(world.spool.tasks().empty());
}

TEST_CASE("what cannot be rewritten bounces as 5.6.3 and the next message goes over the same connection", "[X6152]") {
    SenderWorld world;
    take_seven_bit_only(world);
    world.config.shaping.front().keys.max_connections = 1;
    world.reload();
    Mail signed_mail = eight_bit_mail();
    signed_mail.content =
        "Content-Type: multipart/signed; boundary=b; protocol=\"application/pgp-signature\"\r\n\r\n"
        "--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\nK\xc3\xb6ln\r\n--b--\r\n";
    world.hand_over(signed_mail);
    world.hand_over({});
    world.settle();
    REQUIRE(world.count(EventType::Bounced) == 1);
    const Event bounced = world.events(EventType::Bounced)[0];
    CHECK(bounced.delivery->reply.enhanced.to_string() == "5.6.3");
    CHECK(bounced.delivery->reply.text.find("multipart/signed") != std::string::npos);
    CHECK(world.host(kMx).deliveries.size() == 1);
    CHECK(world.host(kMx).connects == 1);
    CHECK(world.spool.tasks().empty());
}

TEST_CASE("a message is rewritten once, for a retry and for its recipients at other domains too") {
    SenderWorld world;
    take_seven_bit_only(world);
    int refused = 0;
    world.host(kMx).on_command = [&](Peer&, const std::string& line) -> std::optional<std::string> {
        if (line == "." && refused++ == 0) return "451 4.3.0 not now\r\n";
        return std::nullopt;
    };
    Mail mail = eight_bit_mail();
    mail.to = {"a@x.test", "b@y.test"};
    world.accept(mail);
    world.advance(15s);
    CHECK(world.count(EventType::Delivered) == 2);
    CHECK(world.workers.priorities.size() == 1);
}

TEST_CASE("a large message is read whole for its rewriting") {
    SenderWorld world;
    take_seven_bit_only(world);
    Mail mail = eight_bit_mail();
    for (int line = 0; line < 20'000; ++line)
        mail.content += "line " + std::to_string(line) + " \xc3\xa4 of a long text\r\n";
    REQUIRE(mail.content.size() > 2 * kContentChunkOctets);
    mail.priority = Priority::High;
    world.accept(mail);
    REQUIRE(world.host(kMx).deliveries.size() == 1);
    const std::string& content = world.host(kMx).deliveries[0].content;
    CHECK(content.find("line 0 =C3=A4 of") != std::string::npos);
    CHECK(content.ends_with("line 19999 =C3=A4 of a long text\r\n"));
    CHECK(world.workers.priorities == std::vector(3, Priority::High));  // a chunk at a time
}

TEST_CASE("when the workers have too much to do the message waits, and no attempt is counted") {
    SenderWorld world;
    take_seven_bit_only(world);
    world.workers.is_full = true;
    world.accept(eight_bit_mail());
    world.advance(2s);
    CHECK(world.host(kMx).deliveries.empty());
    world.workers.is_full = false;
    world.advance(2s);
    REQUIRE(world.count(EventType::Delivered) == 1);
    CHECK(world.events(EventType::Delivered)[0].attempt == 1);
}

TEST_CASE("M5322-2: long lines that acceptance left are broken before mail is sent, and before it is signed",
          "[M5322-2]") {
    SenderWorld world;
    world.route("x.test", kMx);
    world.start();
    world.accept({.content = "Subject: hi\r\n\r\n" + std::string(1200, 'z') + "\r\n.dot\r\n",
                  .has_leading_dots = true,
                  .has_long_lines = true});
    REQUIRE(world.host(kMx).deliveries.size() == 1);
    const std::string& content = world.host(kMx).deliveries[0].content;
    CHECK(content.starts_with(
        "Received: from test\r\nSubject: hi\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\nzzz"));
    CHECK_FALSE(mime::has_long_line(content));
    CHECK(content.ends_with("\r\n=2Edot\r\n"));
    CHECK(world.spool.tasks().empty());
}

TEST_CASE("M5322-2: 8-bit mail with long lines goes to a server without 8BITMIME in 7 bits and short lines",
          "[M5322-2][X6152]") {
    SenderWorld world;
    take_seven_bit_only(world);
    Mail mail = eight_bit_mail();
    mail.content = "X: " + std::string(600, 'a') + " " + std::string(600, 'b') + "\r\n" + mail.content;
    mail.has_long_lines = true;
    world.accept(mail);
    REQUIRE(world.host(kMx).deliveries.size() == 1);
    const std::string& content = world.host(kMx).deliveries[0].content;
    CHECK(content.find("K=C3=B6ln") != std::string::npos);
    CHECK_FALSE(mime::has_long_line(content));
}

TEST_CASE("M5322-2: what cannot be repaired when it is to be sent bounces as 5.6.3 with the reason", "[M5322-2]") {
    SenderWorld world;
    world.route("x.test", kMx);
    world.start();
    world.accept({.content = "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n" + std::string(1200, 'z') +
                             "\r\n--b--\r\n",
                  .has_long_lines = true});
    CHECK(world.host(kMx).deliveries.empty());
    CHECK(world.spool.tasks().empty());
    REQUIRE(world.count(EventType::Bounced) == 1);
    const Reply reply = world.events(EventType::Bounced)[0].delivery->reply;
    CHECK(reply.enhanced.to_string() == "5.6.3");
    CHECK(reply.text ==
          "a line has more than 998 octets, and this cannot be repaired: it has long lines in multipart/signed, which "
          "must not change");
}

TEST_CASE("M5322-2: a line of any length that was taken as it is goes out as it is, by DATA and in a chunk",
          "[M5322-2][SEC-2]") {
    SenderWorld world;
    world.route("x.test", kMx);
    world.host(kMx).ehlo = "250-mx.test\r\n250-PIPELINING\r\n250 CHUNKING\r\n";
    world.start();
    for (const std::size_t length : {20'000, 20'000, 300'000}) {
        world.accept({.content = "Subject: hi\r\n\r\n." + std::string(length, 'z') + "\r\n", .has_leading_dots = true});
    }
    const auto& deliveries = world.host(kMx).deliveries;
    REQUIRE(deliveries.size() == 3);
    const std::string header = "Received: from test\r\nSubject: hi\r\n\r\n";
    CHECK(deliveries[0].content == header + ".." + std::string(20'000, 'z') + "\r\n");  // DATA, as on the wire
    CHECK(deliveries[1].content == header + "." + std::string(20'000, 'z') + "\r\n");   // BDAT
    CHECK(deliveries[2].content == header + ".." + std::string(300'000, 'z') + "\r\n");
}
