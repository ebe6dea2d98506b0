// What somebody sees who watches a queue's dialogues.

#include <catch2/catch.hpp>

#include "postfleet/support/sender_world.hpp"

using namespace postfleet;
using namespace postfleet::support;
using namespace std::chrono_literals;

namespace {

struct Watched {
    SenderWorld world;
    std::uint64_t trace = 0;
    TracePart last;

    Watched() {
        world.route("x.test", "192.0.2.1:25");
        world.route("y.test", "192.0.2.2:25");
        world.start();
    }
    Result<std::uint64_t> begin(TraceRequest request) {
        return world.ask<Result<std::uint64_t>>(
            [&](auto done) { world.sender->control().begin_trace(std::move(request), std::move(done)); });
    }
    void watch(TraceRequest request) { trace = begin(std::move(request)).value(); }
    // "> EHLO v1.test\n< 250 …": what has come since.
    std::string read() {
        last =
            world.ask<Result<TracePart>>([&](auto done) { world.sender->control().read_trace(trace, std::move(done)); })
                .value();
        std::string text;
        for (const TraceLine& line : last.lines) {
            const char* mark = line.direction == TraceLine::Direction::Sent       ? "> "
                               : line.direction == TraceLine::Direction::Received ? "< "
                                                                                  : "* ";
            text += mark + line.text + "\n";
        }
        return text;
    }
};

}  // namespace

TEST_CASE("a trace shows one dialogue, line by line, with content counted and not shown") {
    Watched w;
    w.watch({.queue = "x.test/v1"});
    w.world.accept({.to = {"a@y.test"}});
    CHECK(w.read().empty());
    w.world.accept({.content = "Subject: hi\r\n\r\nsecret words\r\n"});
    const std::string text = w.read();
    using Catch::Matchers::Contains;
    CHECK_THAT(text, Contains("* new connection of x.test/v1\n* connected to ") &&
                         Contains("< 220 mx.test ESMTP\n> EHLO v1.test\n< 250-mx.test\n") &&
                         Contains("> RCPT TO:<a@x.test>\n") && Contains("> DATA\n") &&
                         Contains(" octets of content\n> .\n< 250 "));
    CHECK_THAT(text, !Contains("secret words"));
    CHECK_FALSE(w.last.is_over);
    w.world.advance(10s);  // idle: it says QUIT
    CHECK_THAT(w.read(), Contains("> QUIT\n< 221 ") && Contains("* closed\n"));
    CHECK(w.last.is_over);
    const auto after = w.world.ask<Result<TracePart>>(
        [&](auto done) { w.world.sender->control().read_trace(w.trace, std::move(done)); });
    CHECK(after.error().kind == ErrorKind::NotFound);
}

TEST_CASE("content is shown to those who ask, and a connection that is open already is joined") {
    Watched w;
    w.world.accept({});
    w.watch({.queue = "*/v1", .with_content = true});
    w.world.accept({.content = "Subject: hi\r\n\r\nsecret words\r\n"});
    const std::string text = w.read();
    using Catch::Matchers::Contains;
    CHECK_THAT(text, Contains("* next message on a connection of x.test/v1\n") && Contains("> secret words\n"));
    CHECK_THAT(text, !Contains("EHLO"));
}

TEST_CASE("a trace shows that a login went out, and nothing of the password", "[X4954]") {
    const bool plain = GENERATE(true, false);
    Watched w;
    auto access =
        std::make_shared<const config::RouteAccess>(config::RouteAccess{.user = "u", .password_file = "/secret"});
    for (auto& hop : w.world.config.routes.at("x.test")) hop.access = access;
    w.world.secret_files["/secret"] = "p";
    w.world.reload();
    w.world.host("192.0.2.1:25").on_command = [&](Peer& peer,
                                                  const std::string& command) -> std::optional<std::string> {
        if (command.starts_with("EHLO")) {
            if (!peer.is_secured) return "250-mx.test\r\n250 STARTTLS\r\n";
            return plain ? "250-mx.test\r\n250 AUTH PLAIN\r\n" : "250-mx.test\r\n250 AUTH LOGIN\r\n";
        }
        if (command == "AUTH LOGIN") return "334 VXNlcm5hbWU6\r\n";
        if (command == "dQ==") return "334 UGFzc3dvcmQ6\r\n";
        if (command.starts_with("AUTH ") || command == "cA==") return "235 2.7.0 ok\r\n";
        return std::nullopt;
    };
    w.watch({.queue = "*/v1", .with_content = true});
    w.world.accept({});
    REQUIRE(w.world.host("192.0.2.1:25").deliveries.size() == 1);
    const std::string text = w.read();
    using Catch::Matchers::Contains;
    CHECK_THAT(text, Contains(plain ? "> AUTH PLAIN ****\n< 235 2.7.0 ok\n"
                                    : "> AUTH LOGIN\n< 334 VXNlcm5hbWU6\n> ****\n< 334 UGFzc3dvcmQ6\n> ****\n< 235 "));
    CHECK_THAT(text, !Contains("AHUAcA==") && !Contains("dQ==") && !Contains("cA=="));
}

TEST_CASE("a connection that does not come about is shown with the reason") {
    Watched w;
    w.world.host("192.0.2.1:25").refuses = CloseReason{CloseReason::Kind::ConnectRefused, "refused"};
    w.watch({.queue = "x.test/v1"});
    w.world.accept({});
    CHECK_THAT(w.read(), Catch::Matchers::Contains("* no connection: 192.0.2.1:25"));
    CHECK(w.last.is_over);
}

TEST_CASE("traces are bounded: in number, in lines that nobody reads, and in patience") {
    Watched w;
    for (int i = 0; i < 16; ++i) REQUIRE(w.begin({.queue = "x.test/v1"}));
    CHECK(w.begin({.queue = "x.test/v1"}).error().kind == ErrorKind::ResourceExhausted);
    CHECK(w.begin({.queue = "x"}).error().kind == ErrorKind::InvalidArgument);
    w.world.advance(1min);  // they are forgotten
    w.watch({.queue = "x.test/v1", .with_content = true});
    std::string lines;
    for (int i = 0; i < 12'000; ++i) lines += "line\r\n";
    w.world.accept({.content = "Subject: hi\r\n\r\n" + lines});
    w.read();
    CHECK(w.last.lines.size() == 10'000);
    CHECK(w.last.left_out > 2'000);
}
