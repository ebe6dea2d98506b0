// Resumption: tickets on the server's side, remembered sessions on the client's.
#include <catch2/catch.hpp>

#include <openssl/ssl.h>

#include "postfleet/net/loop_group.hpp"
#include "postfleet/support/await.hpp"
#include "support.hpp"

namespace postfleet::tls {
namespace {

const ClientRequest kRequest{.server_name = "mx.example.test", .session_key = "192.0.2.1"};

// Connects, waits for the ticket, which comes behind the handshake, and says goodbye.
Facts visit(TlsServer& server, const ClientContext& context, const ClientRequest& request) {
    TlsPeer client;
    TlsPeer& accepted = server.connect(client, request, &context);
    REQUIRE(client.is_connected);
    accepted.stream->write("220 hello\r\n");
    server.run_until_received(client, 11);
    const Facts facts = *client.facts;
    CHECK(accepted.facts->is_resumed == facts.is_resumed);
    client.stream->close();
    run_until(server.loop(), [&] { return accepted.closed.has_value(); });
    return facts;
}

TEST_CASE("the second connection resumes, in TLS 1.3 and in 1.2, and what was verified stays so") {
    const auto protocol = GENERATE(Protocol::Tls12, Protocol::Tls13);
    ClientRequest request = kRequest;
    request.authentication = GENERATE(Authentication::Any, Authentication::Verified);
    TlsServer server([&](Files&, ServerSettings& settings) { settings.highest_protocol = protocol; });
    const auto context = make_client(server.files.client_settings());
    CHECK_FALSE(visit(server, *context, request).is_resumed);
    CHECK(context->sessions() == 1);
    for (int i = 0; i < 3; ++i) {
        const Facts again = visit(server, *context, request);
        CHECK(again.protocol == protocol);
        CHECK(again.is_resumed);
        CHECK(again.is_verified);
        REQUIRE(again.peer_certificate);
        CHECK(again.peer_certificate->common_name == "mx.example.test");
    }
    CHECK(context->sessions() == 1);
}

TEST_CASE("sessions are not shared between keys, names, or degrees of verification") {
    TlsServer server;
    visit(server, *server.client_context, kRequest);
    ClientRequest other = kRequest;
    other.session_key = "192.0.2.2";
    CHECK_FALSE(visit(server, *server.client_context, other).is_resumed);
    other = kRequest;
    other.server_name = "other.example.test";
    CHECK_FALSE(visit(server, *server.client_context, other).is_resumed);
    other = kRequest;
    other.authentication = Authentication::Verified;
    CHECK_FALSE(visit(server, *server.client_context, other).is_resumed);
    other = kRequest;
    other.session_key.clear();
    CHECK_FALSE(visit(server, *server.client_context, other).is_resumed);
    CHECK(server.client_context->sessions() == 4);
    CHECK(visit(server, *server.client_context, kRequest).is_resumed);
}

TEST_CASE("the number of remembered sessions is bounded, the least recently used one goes first") {
    TlsServer server;
    ClientSettings settings = server.files.client_settings();
    settings.max_sessions = 3;
    const auto context = make_client(settings);
    const auto go = [&](const std::string& key) {
        return visit(server, *context, {.server_name = "mx.example.test", .session_key = key}).is_resumed;
    };
    for (const char* key : {"a", "b", "c"}) CHECK_FALSE(go(key));
    CHECK(go("a"));
    CHECK_FALSE(go("d"));
    CHECK(context->sessions() == 3);
    CHECK(go("a"));
    CHECK(go("c"));
    CHECK_FALSE(go("b"));
}

TEST_CASE("a session survives a reload of the certificate") {
    TlsServer server;
    visit(server, *server.client_context, kRequest);
    const TestCertificate renewed = TestCertificate::make({.common_name = "renewed"}, &server.files.authority);
    server.files.folder.write("server.pem", renewed.certificate_pem());
    server.files.folder.write("server.key", renewed.key_pem());
    const auto report = server.context->reload();
    REQUIRE(report);
    CHECK(report->certificate.common_name == "renewed");
    CHECK(visit(server, *server.client_context, kRequest).is_resumed);
    ClientRequest fresh = kRequest;
    fresh.session_key = "fresh";
    CHECK(visit(server, *server.client_context, fresh).peer_certificate->common_name == "renewed");
}

TEST_CASE("a session does not survive a change of the rules for client certificates") {
    TlsServer server;
    visit(server, *server.client_context, kRequest);
    ServerSettings settings = server.files.server_settings();
    settings.client_certificates = ClientCertificates::Request;
    settings.client_ca_file = server.files.authority_file;
    REQUIRE(server.context->reload(settings));
    CHECK_FALSE(visit(server, *server.client_context, kRequest).is_resumed);
    CHECK(visit(server, *server.client_context, kRequest).is_resumed);
}

TEST_CASE("a ticket of another server is no reason to fail") {
    TlsServer first, second;
    const auto context = make_client(first.files.client_settings());
    visit(first, *context, kRequest);
    CHECK_FALSE(visit(second, *context, kRequest).is_resumed);
    CHECK(visit(second, *context, kRequest).is_resumed);
}

TEST_CASE("connections may outlive the contexts they were made from") {
    MemoryPair pair;
    pair.start(kRequest);
    pair.server_context.reset();
    pair.client_context.reset();
    pair.run();
    REQUIRE(pair.client.is_connected);
    pair.client.stream->write("hello");
    pair.run();
    CHECK(pair.server.received == "hello");
}

// A shard of its own thread: accepts and connects on its loop.
struct Shard {
    explicit Shard(EpollLoop& on) : loop(on) {}
    EpollLoop& loop;
    Workspace workspace{loop};
    std::unique_ptr<TlsPeer> client;
};

struct ShardAcceptor final : net::AcceptHandler {
    const ServerContext& context;
    std::vector<std::unique_ptr<Shard>>& shards;
    std::mutex mutex;
    std::vector<std::unique_ptr<TlsPeer>> peers;
    ShardAcceptor(const ServerContext& c, std::vector<std::unique_ptr<Shard>>& s) : context(c), shards(s) {}
    void on_accepted(EpollLoop& loop, std::unique_ptr<Stream> stream) override {
        auto peer = std::make_unique<TlsPeer>();
        peer->when_connected = [](TlsPeer& p) { p.stream->write("220 hello\r\n"); };
        peer->when_closed = [](TlsPeer& p) { p.stream->close(); };
        auto made = TlsStream::accept(std::move(stream), context, {shards[loop.shard()]->workspace, *peer});
        peer->stream = std::move(*made);
        const std::lock_guard lock(mutex);
        peers.push_back(std::move(peer));
    }
};

TEST_CASE("thousands of handshakes on two shards resume across them while the certificate is reloaded", "[slow]") {
    constexpr int kVisitsPerShard = 1500;
    Files files;
    const auto server_context = make_server(files.server_settings());
    const auto client_context = make_client(files.client_settings());
    auto group = net::LoopGroup::create(2);
    REQUIRE(group);
    std::vector<std::unique_ptr<Shard>> shards;
    for (EpollLoop* loop : (*group)->loops()) shards.push_back(std::make_unique<Shard>(*loop));
    ShardAcceptor acceptor(*server_context, shards);
    auto listener = net::TcpListener::open({.name = "test", .address = net::loopback()});
    REQUIRE(listener);
    (*listener)->start((*group)->loops(), acceptor);
    const Endpoint address = (*listener)->local();

    std::atomic<int> done{0}, resumed{0}, failed{0};
    // Every visit starts the next one on its shard.
    std::function<void(Shard&, int)> visit_again = [&](Shard& shard, int left) {
        shard.client = std::make_unique<TlsPeer>();
        TlsPeer& client = *shard.client;
        client.plain.when_connected = [&](net::Peer& plain) {
            auto made = TlsStream::connect(std::move(plain.stream), *client_context,
                                           {.server_name = "mx.example.test",
                                            .authentication = Authentication::Verified,
                                            .session_key = "same for both"},
                                           {shard.workspace, client});
            client.stream = std::move(*made);
        };
        const auto over = [&, left](TlsPeer& peer) {
            if (peer.closed) failed.fetch_add(1);
            if (peer.facts && peer.facts->is_resumed) resumed.fetch_add(1);
            done.fetch_add(1);
            if (peer.stream) peer.stream->close();
            if (left > 1) shard.loop.post([&, left] { visit_again(shard, left - 1); });
        };
        client.when_data = over;
        client.when_closed = over;
        client.plain.connect(shard.loop, address);
    };
    (*group)->start();
    for (auto& shard : shards) {
        shard->loop.post([&, at = shard.get()] { visit_again(*at, kVisitsPerShard); });
    }
    int reloads = 0;
    REQUIRE(support::eventually(
        [&] {
            if (const auto report = server_context->reload()) ++reloads;
            return done.load() == 2 * kVisitsPerShard;
        },
        std::chrono::seconds(100)));
    CHECK(failed.load() == 0);
    CHECK(resumed.load() >= 2 * kVisitsPerShard - 20);
    CHECK(reloads > 10);
    (*listener)->stop();
    for (auto& shard : shards) {
        CHECK(support::run_on(shard->loop, [&] {
            shard->client.reset();
            const std::lock_guard lock(acceptor.mutex);
            acceptor.peers.erase(std::remove_if(acceptor.peers.begin(), acceptor.peers.end(),
                                                [](const auto& peer) { return peer->closed.has_value(); }),
                                 acceptor.peers.end());
        }));
    }
    (*group)->stop();
    (*group)->join();
    acceptor.peers.clear();
}

}  // namespace
}  // namespace postfleet::tls
