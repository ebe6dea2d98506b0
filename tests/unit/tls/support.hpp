// What the tests of tls share: contexts over generated certificates, peers on a real loop, and a stream in memory.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../net/support.hpp"
#include "certificates.hpp"
#include "postfleet/support/manual_executor.hpp"
#include "postfleet/support/temporary_directory.hpp"
#include "postfleet/tls/client_context.hpp"
#include "postfleet/tls/server_context.hpp"
#include "postfleet/tls/tls_stream.hpp"

namespace postfleet::tls {

using net::EpollLoop;
using net::run_until;

// A CA, a server certificate of it, and the files that contexts read.
struct Files {
    support::TemporaryDirectory folder;
    TestCertificate authority = TestCertificate::make({"Test CA", "", KeyType::Ec, -1, 24, true});
    TestCertificate server = TestCertificate::make(
        {.common_name = "mx.example.test", .alternative_names = "DNS:mx.example.test,IP:127.0.0.1"}, &authority);
    std::string authority_file = folder.write("ca.pem", authority.certificate_pem());
    std::string certificate_file = folder.write("server.pem", server.certificate_pem());
    std::string key_file = write_key("server.key", server);

    std::string write_key(const std::string& name, const TestCertificate& certificate) {
        const std::string path = folder.write(name, certificate.key_pem());
        std::filesystem::permissions(path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
        return path;
    }
    ServerSettings server_settings() const {
        return {.certificate_file = certificate_file, .private_key_file = key_file};
    }
    ClientSettings client_settings() const { return {.ca_file = authority_file}; }
};

inline std::unique_ptr<ServerContext> make_server(ServerSettings settings) {
    auto context = ServerContext::load(std::move(settings));
    if (!context) FAIL(context.error().text);
    return std::move(*context);
}

inline std::unique_ptr<ClientContext> make_client(const ClientSettings& settings) {
    auto context = ClientContext::load(settings);
    if (!context) FAIL(context.error().text);
    return std::move(*context);
}

// A handler that puts TLS over its stream and records what happens then.
struct TlsPeer final : StreamHandler {
    net::Peer plain;  // until TLS takes over
    std::unique_ptr<TlsStream> stream;
    std::string received;
    bool is_connected = false;
    bool deals_with_deadlines = false;
    int writable = 0;
    std::optional<Facts> facts;
    std::optional<CloseReason> closed;
    FailureKind failure = FailureKind::None;
    std::function<void(TlsPeer&)> when_connected, when_data, when_writable, when_closed;

    void on_connected() override {
        is_connected = true;
        facts = stream->facts();
        call(when_connected);
    }
    void on_data(std::string_view octets) override {
        received += octets;
        call(when_data);
    }
    void on_writable() override {
        ++writable;
        call(when_writable);
    }
    bool on_deadline() override { return deals_with_deadlines; }
    void on_closed(const CloseReason& reason) override {
        closed = reason;
        if (stream != nullptr) failure = stream->failure();
        call(when_closed);
    }
    void call(std::function<void(TlsPeer&)> hook) {
        if (hook) hook(*this);
    }

    void accept(std::unique_ptr<Stream> under, const ServerContext& context, Workspace& workspace,
                SteadyTime deadline = SteadyTime::max()) {
        auto made = TlsStream::accept(std::move(under), context, {workspace, *this, deadline});
        REQUIRE(made);
        stream = std::move(*made);
    }
    void connect(std::unique_ptr<Stream> under, const ClientContext& context, const ClientRequest& request,
                 Workspace& workspace, SteadyTime deadline = SteadyTime::max()) {
        auto made = TlsStream::connect(std::move(under), context, request, {workspace, *this, deadline});
        REQUIRE(made);
        stream = std::move(*made);
    }
    bool is_over() const { return is_connected || closed.has_value(); }
};

// A listener on a loop of its own whose connections speak TLS, and clients on the same loop.
struct TlsServer {
    Files files;
    net::Server server;
    Workspace workspace{*server.loop};
    std::unique_ptr<ServerContext> context;
    std::unique_ptr<ClientContext> client_context;
    std::vector<std::unique_ptr<TlsPeer>> peers;
    std::function<void(TlsPeer&)> when_accepted;

    explicit TlsServer(const std::function<void(Files&, ServerSettings&)>& change = {}) {
        ServerSettings settings = files.server_settings();
        if (change) change(files, settings);
        context = make_server(std::move(settings));
        client_context = make_client(files.client_settings());
        server.acceptor.when_accepted = [this](net::Peer& plain) {
            peers.push_back(std::make_unique<TlsPeer>());
            if (when_accepted) when_accepted(*peers.back());
            peers.back()->accept(std::move(plain.stream), *context, workspace);
        };
    }
    EpollLoop& loop() { return *server.loop; }
    Endpoint address() const { return server.address(); }

    // The plain connection is made at once; TLS follows inside its on_connected.
    void start(TlsPeer& client, const ClientRequest& request = {}, const ClientContext* with = nullptr) {
        const ClientContext& chosen = with == nullptr ? *client_context : *with;
        client.plain.when_connected = [&client, &chosen, request, this](net::Peer& plain) {
            client.connect(std::move(plain.stream), chosen, request, workspace);
        };
        client.plain.connect(loop(), address());
    }
    // Both ends are through with the handshake, one way or the other; returns the server's end.
    TlsPeer& connect(TlsPeer& client, const ClientRequest& request = {}, const ClientContext* with = nullptr) {
        const std::size_t before = peers.size();
        start(client, request, with);
        run_until(loop(), [&] { return client.is_over() && peers.size() > before && peers.back()->is_over(); });
        return *peers.back();
    }
    void run_until_received(const TlsPeer& peer, std::size_t octets) {
        run_until(loop(), [&] { return peer.received.size() >= octets; });
    }
};

// A Stream without a network: what is written is counted and kept, what arrives comes from the test.
class MemoryStream final : public Stream {
public:
    struct Record {
        StreamHandler* handler = nullptr;
        std::string written;
        std::size_t writes = 0;
        std::size_t capacity = SIZE_MAX;  // what is taken at once; the rest counts as unsent
        std::size_t unsent = 0;
        bool is_paused = false, is_closed = false, is_aborted = false, has_sent_fin = false, is_destroyed = false;
        SteadyTime deadline = SteadyTime::max();
    };
    explicit MemoryStream(std::shared_ptr<Record> record) : record_(std::move(record)) {}
    ~MemoryStream() override { record_->is_destroyed = true; }

    using Stream::write;
    void set_handler(StreamHandler& handler) override { record_->handler = &handler; }
    void write(std::span<const WritePiece> pieces) override {
        if (record_->is_closed) return;
        ++record_->writes;
        for (const WritePiece& piece : pieces) {
            record_->written += piece.octets;
            const std::size_t taken = std::min(record_->capacity, piece.octets.size());
            if (record_->capacity != SIZE_MAX) record_->capacity -= taken;
            record_->unsent += piece.octets.size() - taken;
        }
    }
    std::size_t unsent_octets() const override { return record_->unsent; }
    void pause_reading() override { record_->is_paused = true; }
    void resume_reading() override { record_->is_paused = false; }
    void set_deadline(SteadyTime when) override { record_->deadline = when; }
    void shutdown_write() override { record_->has_sent_fin = true; }
    void close() override { record_->is_closed = true; }
    void abort() override { record_->is_closed = record_->is_aborted = true; }
    Endpoint local() const override { return net::loopback(25); }
    Endpoint remote() const override { return net::loopback(40'000); }

private:
    std::shared_ptr<Record> record_;
};

// Two TLS ends over memory; the test carries the octets.
struct MemoryPair {
    Files files;
    support::ManualExecutor executor;
    Workspace workspace{executor};
    std::unique_ptr<ServerContext> server_context = make_server(files.server_settings());
    std::unique_ptr<ClientContext> client_context = make_client(files.client_settings());
    std::shared_ptr<MemoryStream::Record> server_wire = std::make_shared<MemoryStream::Record>();
    std::shared_ptr<MemoryStream::Record> client_wire = std::make_shared<MemoryStream::Record>();
    TlsPeer server, client;

    void start(const ClientRequest& request = {}, SteadyTime deadline = SteadyTime::max()) {
        server.accept(std::make_unique<MemoryStream>(server_wire), *server_context, workspace, deadline);
        client.connect(std::make_unique<MemoryStream>(client_wire), *client_context, request, workspace, deadline);
    }
    // Carries what was written from one end to the other, in parts of at most `part` octets.
    static bool carry(MemoryStream::Record& from, MemoryStream::Record& to, std::size_t part = SIZE_MAX) {
        if (from.written.empty() || to.is_closed) return false;
        const std::string octets = std::exchange(from.written, {});
        for (std::size_t at = 0; at < octets.size() && !to.is_closed; at += std::min(part, octets.size())) {
            to.handler->on_data(std::string_view(octets).substr(at, part));
        }
        return true;
    }
    void run(std::size_t part = SIZE_MAX) {
        for (;;) {
            const bool forth = carry(*client_wire, *server_wire, part);
            const bool back = carry(*server_wire, *client_wire, part);
            if (!forth && !back && executor.run_until_idle() == 0) return;
        }
    }
    void connect(const ClientRequest& request = {}) {
        start(request);
        run();
        REQUIRE(server.is_connected);
        REQUIRE(client.is_connected);
        server_wire->writes = client_wire->writes = 0;
    }
};

}  // namespace postfleet::tls
