// What a peer may try that our own client never does.
#include <catch2/catch.hpp>
#include <openssl/err.h>

#include "raw_peer.hpp"

namespace postfleet::tls {
namespace {

struct ServerEnd {
    Files files;
    support::ManualExecutor executor;
    Workspace workspace{executor};
    std::unique_ptr<ServerContext> context;
    std::shared_ptr<MemoryStream::Record> wire = std::make_shared<MemoryStream::Record>();
    TlsPeer peer;

    explicit ServerEnd(const std::string& tls12_ciphers = kDefaultServerTls12Ciphers) {
        ServerSettings settings = files.server_settings();
        settings.tls12_ciphers = tls12_ciphers;
        context = make_server(std::move(settings));
        peer.accept(std::make_unique<MemoryStream>(wire), *context, workspace);
    }
};

TEST_CASE("SSL 3, TLS 1.0 and TLS 1.1 are refused, and 1.2 and 1.3 are not") {
    for (const auto& [version, good] : {std::pair{TLS1_VERSION, false}, std::pair{TLS1_1_VERSION, false},
                                        std::pair{TLS1_2_VERSION, true}, std::pair{TLS1_3_VERSION, true}}) {
        // Lenient ciphers, so that it is the version that decides.
        ServerEnd server("ALL:@SECLEVEL=0");
        RawPeer raw;
        raw.open(version, version);
        raw.talk(*server.wire);
        INFO("version " << version);
        CHECK(server.peer.is_connected == good);
        CHECK((SSL_is_init_finished(raw.ssl) == 1) == good);
        if (good) continue;
        CHECK(server.peer.failure == FailureKind::NothingInCommon);
        CHECK(server.peer.closed->text == "TLS handshake: no protocol version in common: ours are TLS 1.2 and 1.3");
    }
    ERR_clear_error();
}

TEST_CASE("TLS 1.2 without forward secrecy is refused") {
    ServerEnd server;
    RawPeer rsa_only;
    rsa_only.open(TLS1_2_VERSION, TLS1_2_VERSION, "kRSA:@SECLEVEL=0");
    rsa_only.talk(*server.wire);
    CHECK(server.peer.failure == FailureKind::NothingInCommon);
    CHECK(server.peer.closed->text == "TLS handshake: no cipher in common");
    ERR_clear_error();
}

TEST_CASE("renegotiation is refused; a peer that does not read the refusals is not read either") {
    ServerEnd server;
    RawPeer raw;
    raw.open(TLS1_2_VERSION, TLS1_2_VERSION);
    raw.talk(*server.wire);
    REQUIRE(server.peer.is_connected);
    server.peer.when_connected = [](TlsPeer&) { FAIL("a second handshake"); };
    server.wire->capacity = 0;
    SSL_renegotiate(raw.ssl);
    SSL_do_handshake(raw.ssl);
    server.wire->handler->on_data(raw.take());
    CHECK(server.wire->unsent > 0);
    CHECK(server.wire->is_paused);
    CHECK(server.peer.received.empty());
    // The handler's own wish is not forgotten, and it gets no on_writable for what it did not write.
    server.peer.stream->pause_reading();
    server.wire->unsent = 0;
    server.wire->handler->on_writable();
    CHECK(server.wire->is_paused);
    CHECK(server.peer.writable == 0);
    server.peer.stream->resume_reading();
    CHECK_FALSE(server.wire->is_paused);
    ERR_clear_error();
}

TEST_CASE("a key update of the peer is answered with the next write") {
    ServerEnd server;
    RawPeer raw;
    raw.open(TLS1_3_VERSION, TLS1_3_VERSION);
    raw.talk(*server.wire);
    REQUIRE(server.peer.is_connected);
    SSL_key_update(raw.ssl, SSL_KEY_UPDATE_REQUESTED);
    SSL_do_handshake(raw.ssl);
    SSL_write(raw.ssl, "NOOP\r\n", 6);
    raw.talk(*server.wire);
    CHECK(server.peer.received == "NOOP\r\n");
    server.peer.stream->write("250 ok\r\n");
    raw.talk(*server.wire);
    CHECK(raw.received == "250 ok\r\n");
    ERR_clear_error();
}

TEST_CASE("ten thousand empty records and warning alerts cost no memory and no callback") {
    ServerEnd server;
    RawPeer raw;
    raw.open(TLS1_2_VERSION, TLS1_2_VERSION);
    raw.talk(*server.wire);
    REQUIRE(server.peer.is_connected);
    int calls = 0;
    server.peer.when_data = [&](TlsPeer&) { ++calls; };
    for (int i = 0; i < 10'000 && !server.wire->is_closed; ++i) {
        SSL_write(raw.ssl, "", 0);
        server.wire->handler->on_data(raw.take());
    }
    CHECK(calls == 0);
    ERR_clear_error();
}

}  // namespace
}  // namespace postfleet::tls
