#include <catch2/catch.hpp>
#include <malloc.h>

#include "support.hpp"

namespace postfleet::tls {
namespace {

const ClientRequest kVerified{.server_name = "mx.example.test", .authentication = Authentication::Verified};

TEST_CASE("what one end writes the other reads, both ways, with TLS 1.3 and with 1.2") {
    const auto protocol = GENERATE(Protocol::Tls12, Protocol::Tls13);
    TlsServer server;
    ClientSettings settings = server.files.client_settings();
    settings.highest_protocol = protocol;
    const auto client_context = make_client(settings);
    TlsPeer client;
    TlsPeer& accepted = server.connect(client, kVerified, client_context.get());
    REQUIRE(client.is_connected);
    CHECK(client.facts->protocol == protocol);
    client.stream->write("EHLO client\r\n");
    server.run_until_received(accepted, 13);
    accepted.stream->write("250 mx.example.test\r\n");
    server.run_until_received(client, 21);
    CHECK(accepted.received == "EHLO client\r\n");
    CHECK(client.received == "250 mx.example.test\r\n");
    CHECK(client.writable == 0);
    CHECK(client.stream->unsent_octets() == 0);
    CHECK(client.stream->remote() == server.address());
    CHECK(accepted.stream->remote() == client.stream->local());
}

TEST_CASE("both ends know what was agreed on") {
    TlsServer server;
    TlsPeer client;
    TlsPeer& accepted = server.connect(client, kVerified);
    REQUIRE(client.facts);
    CHECK(client.facts->protocol == Protocol::Tls13);
    CHECK(client.facts->protocol_name == "TLSv1.3");
    CHECK(client.facts->cipher == "TLS_AES_128_GCM_SHA256");
    CHECK(client.facts->cipher_bits == 128);
    CHECK_FALSE(client.facts->is_resumed);
    CHECK(client.facts->is_verified);
    CHECK(client.facts->why_not_verified.empty());
    REQUIRE(client.facts->peer_certificate);
    const CertificateFacts& certificate = *client.facts->peer_certificate;
    CHECK(certificate.subject == "CN=mx.example.test");
    CHECK(certificate.issuer == "CN=Test CA");
    CHECK(certificate.common_name == "mx.example.test");
    CHECK(certificate.dns_names == std::vector<std::string>{"mx.example.test"});
    CHECK(certificate.fingerprint_sha256.size() == 64);
    CHECK(certificate.not_before < wall_clock_now());
    CHECK(certificate.not_after > wall_clock_now());
    CHECK(certificate.fingerprint_sha256 == server.context->report().certificate.fingerprint_sha256);
    CHECK(accepted.facts->server_name == "mx.example.test");
    CHECK_FALSE(accepted.facts->peer_certificate);
    CHECK(accepted.facts->why_not_verified == "no certificate");
}

TEST_CASE("two ends without a cipher in common say so") {
    TlsServer server([](Files&, ServerSettings& settings) { settings.tls13_ciphers = "TLS_AES_256_GCM_SHA384"; });
    ClientSettings settings = server.files.client_settings();
    settings.tls13_ciphers = "TLS_CHACHA20_POLY1305_SHA256";
    TlsPeer none;
    const auto nothing_in_common = make_client(settings);
    const TlsPeer& refused = server.connect(none, {}, nothing_in_common.get());
    CHECK(refused.failure == FailureKind::NothingInCommon);
    CHECK(none.failure == FailureKind::Refused);
}

TEST_CASE("TlsStream passes a large transfer to a slow reader without holding more than one round encrypted") {
    TlsServer server;
    TlsPeer client;
    TlsPeer& accepted = server.connect(client);
    accepted.stream->pause_reading();
    auto owner = std::make_shared<std::string>(32 << 20, 'x');
    for (std::size_t i = 0; i < owner->size(); i += 997) (*owner)[i] = static_cast<char>('a' + i % 26);
    const std::weak_ptr<std::string> watch = owner;
    const std::string expected = *owner + "tail";
    {
        const std::array pieces{WritePiece{*owner, owner}, WritePiece{"ta", nullptr}};
        client.stream->write(pieces);
        client.stream->write("il");
    }
    owner.reset();
    CHECK(client.stream->unsent_octets() > (16u << 20));
    CHECK_FALSE(watch.expired());
    for (int i = 0; i < 10; ++i) server.loop().run_turn(Duration::zero());
    const std::size_t early = accepted.received.size();
    CHECK(early <= 512 * 1024);
    accepted.stream->resume_reading();
    server.run_until_received(accepted, expected.size());
    run_until(server.loop(), [&] { return client.writable == 1; });
    CHECK(accepted.received == expected);
    CHECK(watch.expired());
    CHECK(client.stream->unsent_octets() == 0);
}

TEST_CASE("both directions are full at once and both ends get everything") {
    TlsServer server;
    TlsPeer client;
    TlsPeer& accepted = server.connect(client);
    const std::string forth(8 << 20, 'f');
    const std::string back(8 << 20, 'b');
    client.stream->write(forth);
    accepted.stream->write(back);
    server.run_until_received(accepted, forth.size());
    server.run_until_received(client, back.size());
    CHECK(accepted.received == forth);
    CHECK(client.received == back);
}

TEST_CASE("many small pieces become one record and one write of the stream below") {
    MemoryPair pair;
    pair.connect();
    std::vector<WritePiece> pieces;
    std::string expected;
    std::vector<std::string> texts;
    for (int i = 0; i < 300; ++i) texts.push_back("RCPT TO:<user" + std::to_string(i) + "@example.test>\r\n");
    for (const std::string& text : texts) {
        pieces.push_back({text, nullptr});
        expected += text;
    }
    REQUIRE(expected.size() < Workspace::kRecordOctets);
    pair.client.stream->write(pieces);
    CHECK(pair.client_wire->writes == 1);
    CHECK(pair.client_wire->written.size() == expected.size() + 22);  // header 5, content type 1, tag 16
    pair.run();
    CHECK(pair.server.received == expected);
}

TEST_CASE("a header and a body of any size become the fewest records") {
    MemoryPair pair;
    pair.connect();
    const std::string body(100'000, 'b');
    const std::string header(700, 'h');
    const std::array pieces{WritePiece{header, nullptr}, WritePiece{body, nullptr}, WritePiece{".\r\n", nullptr}};
    pair.client.stream->write(pieces);
    CHECK(pair.client_wire->writes == 1);
    const std::size_t octets = header.size() + body.size() + 3;
    const std::size_t records = (octets + Workspace::kRecordOctets - 1) / Workspace::kRecordOctets;
    CHECK(pair.client_wire->written.size() == octets + records * 22);
    pair.run();
    CHECK(pair.server.received == header + body + ".\r\n");
}

TEST_CASE("pieces of every size arrive in order, whatever the stream below takes") {
    for (const std::size_t capacity : {std::size_t{0}, std::size_t{100'000}, SIZE_MAX}) {
        MemoryPair pair;
        pair.connect();
        pair.client_wire->capacity = capacity;
        std::string expected;
        std::vector<std::string> texts;
        for (std::size_t size : {0, 1, 16'383, 16'384, 16'385, 5, 0, 131'072, 131'073, 70'000, 16'380, 3, 2, 32'768}) {
            texts.push_back(std::string(size, static_cast<char>('a' + texts.size())));
        }
        std::vector<WritePiece> pieces;
        for (const std::string& text : texts) {
            pieces.push_back({text, nullptr});
            expected += text;
        }
        pair.client.stream->write(pieces);
        if (capacity != SIZE_MAX) {
            CHECK(pair.client_wire->written.size() < Workspace::kRoundOctets * 2);
            CHECK(pair.client.stream->unsent_octets() > 0);
        }
        while (pair.client.stream->unsent_octets() > 0) {
            pair.client_wire->unsent = 0;
            pair.client_wire->handler->on_writable();
            REQUIRE(pair.client_wire->unsent <= Workspace::kRoundOctets + 9 * 22);
            pair.run();
        }
        pair.run();
        CHECK(pair.server.received == expected);
        CHECK(pair.client.writable == (capacity == SIZE_MAX ? 0 : 1));
    }
}

TEST_CASE("records of one read of the stream below come in one on_data") {
    MemoryPair pair;
    pair.connect();
    for (int i = 0; i < 50; ++i) pair.client.stream->write("NOOP\r\n");
    int calls = 0;
    pair.server.when_data = [&](TlsPeer&) { ++calls; };
    pair.run();
    CHECK(calls == 1);
    CHECK(pair.server.received.size() == 300);
}

TEST_CASE("handshake and records may be cut anywhere") {
    for (const std::size_t part : {1, 2, 3, 5, 7, 100, 1000}) {
        MemoryPair pair;
        pair.start(kVerified);
        pair.run(part);
        REQUIRE(pair.client.is_connected);
        pair.client.stream->write(std::string(20'000, 'x'));
        pair.server.stream->write("250 ok\r\n");
        pair.run(part);
        CHECK(pair.server.received == std::string(20'000, 'x'));
        CHECK(pair.client.received == "250 ok\r\n");
    }
}

TEST_CASE("the channel bindings of both ends are the same, and others on other connections") {
    MemoryPair first, second;
    first.connect();
    second.connect();
    const std::string exporter = first.client.stream->exporter_binding();
    CHECK(exporter.size() == 32);
    CHECK(exporter == first.server.stream->exporter_binding());
    CHECK(exporter != second.client.stream->exporter_binding());
    const std::string end_point = first.client.stream->server_end_point_binding();
    CHECK(end_point.size() == 32);
    CHECK(end_point == first.server.stream->server_end_point_binding());
}

TEST_CASE("STARTTLS: the stream is taken over inside its own on_data, on both sides") {
    Files files;
    net::Server plain;
    Workspace workspace(*plain.loop);
    const auto server_context = make_server(files.server_settings());
    const auto client_context = make_client(files.client_settings());
    TlsPeer server, client;
    net::Peer before;
    auto [near, far] = plain.connect(before);
    far->when_data = [&](net::Peer& peer) {
        REQUIRE(peer.received == "STARTTLS\r\n");
        peer.stream->write("220 2.0.0 go ahead\r\n");
        server.accept(std::move(peer.stream), *server_context, workspace);
    };
    near->when_data = [&](net::Peer& peer) {
        REQUIRE(peer.received == "220 2.0.0 go ahead\r\n");
        client.connect(std::move(peer.stream), *client_context, kVerified, workspace);
    };
    near->stream->write("STARTTLS\r\n");
    run_until(*plain.loop, [&] { return client.is_connected && server.is_connected; });
    client.stream->write("EHLO again\r\n");
    run_until(*plain.loop, [&] { return server.received == "EHLO again\r\n"; });
    // Nothing of the plain text reached the handlers of TLS.
    CHECK(far->received == "STARTTLS\r\n");
}

TEST_CASE("a stream that its owner had paused is read again") {
    MemoryPair pair;
    pair.server_wire->is_paused = true;
    pair.connect();
    CHECK_FALSE(pair.server_wire->is_paused);
}

TEST_CASE("SEC-3: commands in plain text behind STARTTLS are never read as commands") {
    MemoryPair pair;
    pair.server.accept(std::make_unique<MemoryStream>(pair.server_wire), *pair.server_context, pair.workspace);
    pair.server_wire->handler->on_data("EHLO injected\r\nMAIL FROM:<a@b.test>\r\n");
    CHECK(pair.server.received.empty());
    CHECK(pair.server.failure == FailureKind::NotTls);
    CHECK(pair.server_wire->is_closed);
}

TEST_CASE("SEC-4: replies in plain text behind the 220 end the handshake") {
    MemoryPair pair;
    pair.start(kVerified);
    pair.client_wire->handler->on_data("250-mx.example.test\r\n250 AUTH PLAIN\r\n");
    CHECK(pair.client.received.empty());
    REQUIRE(pair.client.closed);
    CHECK(pair.client.closed->kind == CloseReason::Kind::TlsFailed);
    CHECK(pair.client.failure == FailureKind::NotTls);
}

TEST_CASE("SEC-5: what follows close_notify is never read, in clear or encrypted") {
    MemoryPair pair;
    pair.connect();
    pair.client.stream->write("BDAT 100\r\n");
    pair.client.stream->shutdown_write();
    pair.client_wire->written += "x";
    pair.run();
    CHECK(pair.server.received == "BDAT 100\r\n");
    REQUIRE(pair.server.closed);
    CHECK(pair.server.closed->kind == CloseReason::Kind::PeerClosed);
    CHECK(pair.server_wire->is_closed);
}

TEST_CASE("SEC-5: close_notify, loss and an octet in clear at every octet of a BDAT dialogue end the connection") {
    const std::string dialogue = "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nBDAT 5 LAST\r\nhello";
    for (std::size_t at = 0; at <= dialogue.size(); ++at) {
        for (const std::string_view end : {"close_notify", "fin", "clear"}) {
            MemoryPair pair;
            pair.connect();
            for (std::size_t i = 0; i < at; ++i) pair.client.stream->write(dialogue.substr(i, 1));
            if (end == "close_notify") pair.client.stream->shutdown_write();
            pair.client_wire->written += end == "clear" ? "x\r\nNOOP\r\n" : "";
            pair.run();
            if (end == "fin") pair.server_wire->handler->on_closed({CloseReason::Kind::PeerClosed, "gone"});
            REQUIRE(pair.server.received == dialogue.substr(0, at));
            REQUIRE(pair.server.closed);
            REQUIRE(pair.server_wire->is_closed);
            REQUIRE(pair.server.closed->kind ==
                    (end == "clear" ? CloseReason::Kind::TlsFailed : CloseReason::Kind::PeerClosed));
        }
        if (at > 4 && at + 4 < dialogue.size()) at += 6;
    }
}

TEST_CASE("a record that was changed on the way ends the connection; what came before it is delivered") {
    MemoryPair pair;
    pair.connect();
    pair.client.stream->write("first\r\n");
    const std::size_t first = pair.client_wire->written.size();
    pair.client.stream->write("second\r\n");
    pair.client_wire->written[first + 7] ^= 1;
    pair.run();
    CHECK(pair.server.received == "first\r\n");
    REQUIRE(pair.server.closed);
    CHECK(pair.server.closed->kind == CloseReason::Kind::TlsFailed);
    CHECK(pair.server.closed->text == "TLS: decryption failed or bad record mac");
}

TEST_CASE("garbage, other protocols and nonsense lengths fail the handshake with a readable reason") {
    const auto [sent, expected] = GENERATE(table<std::string, std::string>({
        {"EHLO example.test\r\n", "not TLS"},
        {"GET / HTTP/1.1\r\n\r\n", "not TLS"},
        {std::string("\x16\x03\x01\xff\xff", 5) + std::string(100, 'x'), "not TLS"},
        {std::string("\x80\x80\x01\x03\x01", 5) + std::string(200, '\0'), "TLS"},
        {std::string(2000, '\0'), "not TLS"},
        {std::string("\x17\x03\x03\x00\x02\x02\x28", 7), "not TLS"},
    }));
    MemoryPair pair;
    pair.server.accept(std::make_unique<MemoryStream>(pair.server_wire), *pair.server_context, pair.workspace);
    pair.server_wire->handler->on_data(sent);
    REQUIRE(pair.server.closed);
    CHECK(pair.server.closed->kind == CloseReason::Kind::TlsFailed);
    CHECK_THAT(pair.server.closed->text, Catch::StartsWith("TLS handshake: ") && Catch::Contains(expected));
    CHECK(pair.server_wire->is_closed);
    CHECK_FALSE(pair.server.is_connected);
}

TEST_CASE("a handshake that breaks off at any octet is TlsFailed, and whose fault it was is said") {
    std::string hello;
    {
        MemoryPair pair;
        pair.start();
        hello = pair.client_wire->written;
    }
    MemoryPair pair;
    for (std::size_t at = 0; at <= hello.size(); at += at < 8 ? 1 : 23) {
        auto wire = std::make_shared<MemoryStream::Record>();
        TlsPeer server;
        server.accept(std::make_unique<MemoryStream>(wire), *pair.server_context, pair.workspace);
        if (at > 0) wire->handler->on_data(std::string_view(hello).substr(0, at));
        wire->handler->on_closed({CloseReason::Kind::Reset, "Connection reset by peer"});
        REQUIRE(server.closed);
        REQUIRE(server.closed->kind == CloseReason::Kind::TlsFailed);
        REQUIRE(server.closed->text == "TLS handshake: the connection ended in the middle: Connection reset by peer");
        REQUIRE(server.failure == FailureKind::PeerClosed);
    }
}

TEST_CASE("the handshake has a deadline; the handler's own counts too and stands alone afterwards") {
    const SteadyTime ten = SteadyTime(std::chrono::seconds(10));
    const SteadyTime five = SteadyTime(std::chrono::seconds(5));
    const SteadyTime sixty = SteadyTime(std::chrono::seconds(60));
    MemoryPair pair;
    pair.start({}, ten);
    CHECK(pair.server_wire->deadline == ten);
    pair.server.stream->set_deadline(sixty);
    CHECK(pair.server_wire->deadline == ten);
    pair.server.stream->set_deadline(five);
    CHECK(pair.server_wire->deadline == five);
    pair.server.stream->set_deadline(sixty);
    SECTION("it passes") {
        pair.server_wire->handler->on_closed({CloseReason::Kind::TimedOut, "no answer in time"});
        REQUIRE(pair.server.closed);
        CHECK(pair.server.closed->kind == CloseReason::Kind::TlsFailed);
        CHECK(pair.server.closed->text == "TLS handshake: not finished in time");
        CHECK(pair.server.failure == FailureKind::TimedOut);
    }
    SECTION("it is met") {
        pair.run();
        CHECK(pair.server_wire->deadline == sixty);
        CHECK(pair.client_wire->deadline == SteadyTime::max());
        pair.server_wire->handler->on_closed({CloseReason::Kind::TimedOut, "no answer in time"});
        CHECK(pair.server.closed->kind == CloseReason::Kind::TimedOut);
        CHECK(pair.server.failure == FailureKind::None);
    }
}

TEST_CASE("only an open session asks its handler about a deadline") {
    MemoryPair pair;
    pair.start();
    CHECK_FALSE(pair.server_wire->handler->on_deadline());
    pair.run();
    CHECK_FALSE(pair.server_wire->handler->on_deadline());
    pair.server.deals_with_deadlines = true;
    CHECK(pair.server_wire->handler->on_deadline());
    CHECK_FALSE(pair.server_wire->handler->on_end());
}

TEST_CASE("a silent client is gone when the deadline passes, over a real socket") {
    Files files;
    net::Server plain;
    Workspace workspace(*plain.loop);
    const auto context = make_server(files.server_settings());
    net::Peer client;
    auto [near, far] = plain.connect(client);
    TlsPeer server;
    server.accept(std::move(far->stream), *context, workspace, plain.loop->now() + std::chrono::milliseconds(30));
    run_until(*plain.loop, [&, near = near] { return server.closed && near->closed; });
    CHECK(server.failure == FailureKind::TimedOut);
}

TEST_CASE("early data of the client behind its Finished waits while the handler pauses") {
    MemoryPair pair;
    pair.server.when_connected = [](TlsPeer& peer) { peer.stream->pause_reading(); };
    pair.client.when_connected = [](TlsPeer& peer) { peer.stream->write("too early\r\n"); };
    pair.start();
    pair.run();
    REQUIRE(pair.server.is_connected);
    CHECK(pair.server_wire->is_paused);
    CHECK(pair.server.received.empty());
    pair.server.stream->resume_reading();
    CHECK(pair.server.received.empty());
    pair.executor.run_until_idle();
    CHECK(pair.server.received == "too early\r\n");
    CHECK_FALSE(pair.server_wire->is_paused);
}

TEST_CASE("what waits behind a pause is delivered before the loss of the connection") {
    MemoryPair pair;
    pair.server.when_connected = [](TlsPeer& peer) { peer.stream->pause_reading(); };
    pair.client.when_connected = [](TlsPeer& peer) { peer.stream->write("QUIT\r\n"); };
    pair.start();
    pair.run();
    pair.server_wire->handler->on_closed({CloseReason::Kind::PeerClosed, "the peer closed the connection"});
    CHECK(pair.server.received == "QUIT\r\n");
    REQUIRE(pair.server.closed);
    CHECK(pair.server.closed->kind == CloseReason::Kind::PeerClosed);
}

TEST_CASE("a pause inside on_data stops the stream below, a resume goes on") {
    TlsServer server;
    TlsPeer client;
    TlsPeer& accepted = server.connect(client);
    accepted.when_data = [](TlsPeer& peer) { peer.stream->pause_reading(); };
    client.stream->write(std::string(1'000'000, 'p'));
    run_until(server.loop(), [&] { return !accepted.received.empty(); });
    const std::size_t first = accepted.received.size();
    for (int i = 0; i < 5; ++i) server.loop().run_turn(Duration::zero());
    CHECK(accepted.received.size() == first);
    accepted.when_data = nullptr;
    accepted.stream->resume_reading();
    server.run_until_received(accepted, 1'000'000);
}

TEST_CASE("shutdown_write sends close_notify and FIN behind everything, and the peer is told") {
    TlsServer server;
    TlsPeer client;
    TlsPeer& accepted = server.connect(client);
    const std::string much(4 << 20, 'm');
    client.stream->write(much);
    client.stream->shutdown_write();
    run_until(server.loop(), [&] { return accepted.closed.has_value(); });
    CHECK(accepted.received == much);
    CHECK(accepted.closed->kind == CloseReason::Kind::PeerClosed);
    CHECK(accepted.closed->text == "the peer closed the TLS session");
    run_until(server.loop(), [&] { return client.closed.has_value(); });
    CHECK(client.closed->kind == CloseReason::Kind::PeerClosed);
}

TEST_CASE("close says close_notify when all is out, and leaves it out when something is lost") {
    for (const bool full : {false, true}) {
        MemoryPair pair;
        pair.connect();
        if (full) pair.client_wire->capacity = 0;
        pair.client.stream->write("QUIT\r\n");
        const std::size_t before = pair.client_wire->written.size();
        pair.client.stream->close();
        CHECK(pair.client_wire->is_closed);
        CHECK((pair.client_wire->written.size() > before) == !full);
        pair.client.stream->write("ignored");
        pair.client.stream->close();
        CHECK_FALSE(pair.client.closed);
    }
}

TEST_CASE("abort resets the stream below without a word of TLS") {
    MemoryPair pair;
    pair.connect();
    pair.client.stream->abort();
    CHECK(pair.client_wire->is_aborted);
    CHECK(pair.client_wire->written.empty());
    CHECK_FALSE(pair.client.closed);
}

TEST_CASE("the handler may destroy the stream from every callback, at either end") {
    using Hook = std::function<void(TlsPeer&)> TlsPeer::*;
    const Hook hook =
        GENERATE(&TlsPeer::when_connected, &TlsPeer::when_data, &TlsPeer::when_writable, &TlsPeer::when_closed);
    const bool on_server = GENERATE(true, false);
    const bool by_close = GENERATE(true, false);
    TlsServer server;
    bool done = false;
    const auto destroy = [&](TlsPeer& peer) {
        done = true;
        if (by_close) {
            peer.stream->close();
        } else {
            peer.stream.reset();
        }
    };
    TlsPeer client;
    server.when_accepted = [&](TlsPeer& peer) {
        if (on_server) peer.*hook = destroy;
        if (hook != &TlsPeer::when_connected)
            peer.when_connected = [](TlsPeer& p) { p.stream->write(std::string(8 << 20, 's')); };
    };
    if (!on_server) client.*hook = destroy;
    if (hook != &TlsPeer::when_connected) {
        client.when_connected = [](TlsPeer& p) { p.stream->write(std::string(8 << 20, 'c')); };
    }
    server.start(client);
    run_until(server.loop(), [&] { return client.is_over() || done; });
    if (hook == &TlsPeer::when_closed) {
        run_until(server.loop(), [&] { return !server.peers.empty() && server.peers.back()->is_connected; });
        (on_server ? client : *server.peers.back()).stream->close();
    }
    run_until(server.loop(), [&] { return done; });
    for (int i = 0; i < 20; ++i) server.loop().run_turn(Duration::zero());
}

TEST_CASE("an end that goes while a write waits in plain text lets go of the owners") {
    TlsServer server;
    TlsPeer client;
    server.connect(client).stream->pause_reading();
    auto owner = std::make_shared<std::string>(32 << 20, 'x');
    const std::weak_ptr<std::string> watch = owner;
    const WritePiece piece{*owner, owner};
    client.stream->write(std::span(&piece, 1));
    owner.reset();
    client.stream.reset();
    // The piece above has the last one.
    CHECK(watch.use_count() == 1);
}

TEST_CASE("an idle connection costs less than 24 KiB at each end") {
    constexpr std::size_t kPairs = 100;
    MemoryPair pair;
    pair.connect();  // what OpenSSL loads once
    const std::size_t before = ::mallinfo2().uordblks;
    if (before == 0) return;  // a sanitizer's allocator does not count
    std::vector<std::array<std::unique_ptr<TlsPeer>, 2>> peers;
    std::vector<std::array<std::shared_ptr<MemoryStream::Record>, 2>> wires;
    for (std::size_t i = 0; i < kPairs; ++i) {
        auto server = std::make_unique<TlsPeer>(), client = std::make_unique<TlsPeer>();
        auto near = std::make_shared<MemoryStream::Record>(), far = std::make_shared<MemoryStream::Record>();
        server->accept(std::make_unique<MemoryStream>(far), *pair.server_context, pair.workspace);
        client->connect(std::make_unique<MemoryStream>(near), *pair.client_context, {}, pair.workspace);
        while (MemoryPair::carry(*near, *far) | MemoryPair::carry(*far, *near) | (pair.executor.run_until_idle() > 0)) {
        }
        REQUIRE(server->is_connected);
        client->stream->write(std::string(50'000, 'x'));
        server->stream->write(std::string(50'000, 'x'));
        MemoryPair::carry(*near, *far);
        MemoryPair::carry(*far, *near);
        CHECK(server->received.size() == 50'000);
        for (TlsPeer* peer : {server.get(), client.get()}) std::string().swap(peer->received);
        for (auto& wire : {near, far}) std::string().swap(wire->written);
        peers.push_back({std::move(server), std::move(client)});
        wires.push_back({std::move(near), std::move(far)});
    }
    const std::size_t used = ::mallinfo2().uordblks - before;
    INFO(used / kPairs / 2 << " octets at each end");
    CHECK(used / kPairs / 2 < 24 * 1024);
}

TEST_CASE("an alert of the peer is told in its words") {
    MemoryPair pair;
    pair.start();
    pair.client_wire->handler->on_data(std::string_view("\x15\x03\x03\x00\x02\x02\x28", 7));
    REQUIRE(pair.client.closed);
    CHECK(pair.client.closed->text == "TLS handshake: the peer refuses: handshake failure");
    CHECK(pair.client.failure == FailureKind::Refused);
}

}  // namespace
}  // namespace postfleet::tls
