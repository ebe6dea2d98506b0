// What TLS costs: handshakes, octets and memory, over real sockets on loopback. `build/release/bench/tls_bench`.
//
// The server has one loop on one thread, the clients another; "server CPU" is that thread's alone. Rates are
// of the slower of the two, which is the client where a certificate must be checked.
#include <fmt/format.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <ctime>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "../../unit/tls/certificates.hpp"
#include "postfleet/net/epoll_loop.hpp"
#include "postfleet/net/tcp_listener.hpp"
#include "postfleet/support/temporary_directory.hpp"
#include "postfleet/tls/tls_stream.hpp"

namespace postfleet::tls {
namespace {

template <class T>
T must(Result<T> result) {
    if (!result) {
        fmt::print(stderr, "tls_bench: {}\n", result.error().text);
        std::exit(1);
    }
    return std::move(*result);
}

double thread_cpu_seconds() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

struct Files {
    support::TemporaryDirectory folder;
    TestCertificate authority = TestCertificate::make({"CA", "", KeyType::Ec, -1, 24, true});
    std::string authority_file = folder.write("ca.pem", authority.certificate_pem());

    ServerSettings settings(KeyType type) const {
        const TestCertificate certificate = TestCertificate::make({.key_type = type}, &authority);
        return {.certificate_file = folder.write("server.pem", certificate.certificate_pem()),
                .private_key_file = folder.write("server.key", certificate.key_pem())};
    }
};

// Takes what comes; says one line when TLS is up, so that clients know that their ticket has come.
struct ServerSide final : net::AcceptHandler {
    struct Connection final : StreamHandler {
        ServerSide& server;
        std::unique_ptr<Stream> stream;
        explicit Connection(ServerSide& s) : server(s) {}
        void on_connected() override { stream->write("220 ready\r\n"); }
        void on_data(std::string_view octets) override {
            server.octets.fetch_add(octets.size(), std::memory_order_relaxed);
        }
        void on_closed(const CloseReason&) override {
            stream->close();
            server.closed.fetch_add(1, std::memory_order_relaxed);
        }
    };

    explicit ServerSide(const ServerContext* tls) : context(tls) {
        listener = must(net::TcpListener::open({.name = "bench", .address = must(Endpoint::parse("127.0.0.1:0"))}));
        net::EpollLoop* const loops[] = {loop.get()};
        listener->start(loops, *this);
    }
    void start() {
        thread = std::thread([this] { loop->run(); });
    }
    ~ServerSide() {
        loop->stop();
        if (thread.joinable()) thread.join();
        connections.clear();
    }
    void on_accepted(net::EpollLoop&, std::unique_ptr<Stream> stream) override {
        connections.push_back(std::make_unique<Connection>(*this));
        Connection& connection = *connections.back();
        if (context != nullptr) {
            connection.stream = must(TlsStream::accept(std::move(stream), *context, {workspace, connection}));
        } else {
            stream->set_handler(connection);
            connection.stream = std::move(stream);
            connection.on_connected();
        }
    }
    double cpu_seconds() {
        std::atomic<double> seconds{-1};
        loop->post([&] { seconds = thread_cpu_seconds(); });
        while (seconds.load() < 0) std::this_thread::yield();
        return seconds;
    }

    const ServerContext* context;
    std::unique_ptr<net::EpollLoop> loop = must(net::EpollLoop::create(0));
    Workspace workspace{*loop};
    std::unique_ptr<net::TcpListener> listener;
    std::vector<std::unique_ptr<Connection>> connections;
    std::atomic<std::uint64_t> octets{0}, closed{0};
    std::thread thread;
};

struct Client final : StreamHandler {
    net::EpollLoop& loop;
    Workspace& workspace;
    const ClientContext* context;
    ClientRequest request;
    std::unique_ptr<Stream> stream;
    bool is_up = false, is_ready = false, is_resumed = false;
    UniqueFunction<void(Client&)> when_ready;

    Client(net::EpollLoop& l, Workspace& w, const ClientContext* c) : loop(l), workspace(w), context(c) {}
    void connect(Endpoint to) {
        is_up = is_ready = false;
        stream = loop.connect({.peer = to}, *this);
    }
    void on_connected() override {
        if (context == nullptr || is_up) {
            if (is_up) is_resumed = static_cast<TlsStream&>(*stream).facts().is_resumed;
            return;
        }
        is_up = true;
        stream = must(TlsStream::connect(std::move(stream), *context, request, {workspace, *this}));
    }
    void on_data(std::string_view) override {
        is_ready = true;
        if (when_ready) when_ready(*this);
    }
    void on_closed(const CloseReason& reason) override {
        fmt::print(stderr, "tls_bench: a client lost its connection: {}\n", reason.text);
        std::exit(1);
    }
};

struct HandshakeCase {
    const char* name;
    KeyType key;
    Protocol protocol;
    bool resume;
};

void measure_handshakes(const Files& files, const HandshakeCase& what) {
    constexpr int kConcurrent = 16;
    constexpr double kSeconds = 2;
    ServerSettings settings = files.settings(what.key);
    settings.highest_protocol = what.protocol;
    const auto context = must(ServerContext::load(settings));
    const auto client_context = must(ClientContext::load({.ca_file = files.authority_file}));
    ServerSide server(context.get());
    server.start();
    const auto loop = must(net::EpollLoop::create(1));
    Workspace workspace(*loop);
    std::vector<std::unique_ptr<Client>> clients;
    const Endpoint address = server.listener->local();
    std::uint64_t done = 0, resumed = 0;
    for (int i = 0; i < kConcurrent; ++i) {
        clients.push_back(std::make_unique<Client>(*loop, workspace, client_context.get()));
        clients.back()->request = {.server_name = "mx.example.test",
                                   .authentication = Authentication::Verified,
                                   .session_key = what.resume ? "bench" : ""};
        clients.back()->when_ready = [&](Client& client) {
            ++done;
            resumed += client.is_resumed ? 1 : 0;
            loop->post([&client, address] { client.connect(address); });
        };
        clients.back()->connect(address);
    }
    const auto run_for = [&](double seconds) {
        const SteadyTime end = steady_clock_now() + std::chrono::milliseconds(static_cast<int>(seconds * 1000));
        while (steady_clock_now() < end) loop->run_turn(std::chrono::milliseconds(20));
    };
    run_for(0.3);
    const std::uint64_t before = done;
    const double cpu = server.cpu_seconds();
    const SteadyTime start = steady_clock_now();
    run_for(kSeconds);
    const double wall = std::chrono::duration<double>(steady_clock_now() - start).count();
    const auto count = static_cast<double>(done - before);
    fmt::print("  {:<34} {:>8.0f} handshakes/s   {:>6.0f} us of server CPU each{}\n", what.name, count / wall,
               (server.cpu_seconds() - cpu) / count * 1e6,
               what.resume ? fmt::format("   ({:.1f} % resumed)",
                                         100.0 * static_cast<double>(resumed) / static_cast<double>(done))
                           : "");
}

void measure_octets(const Files& files, const char* name, const char* ciphers) {
    constexpr std::uint64_t kOctets = 2ull << 30;
    constexpr std::size_t kPiece = 64 * 1024;
    std::unique_ptr<ServerContext> context;
    std::unique_ptr<ClientContext> client_context;
    if (ciphers != nullptr) {
        ServerSettings settings = files.settings(KeyType::Ec);
        settings.tls13_ciphers = ciphers;
        context = must(ServerContext::load(settings));
        client_context = must(ClientContext::load({.ca_file = files.authority_file}));
    }
    ServerSide server(context.get());
    server.start();
    const auto loop = must(net::EpollLoop::create(1));
    Workspace workspace(*loop);
    Client client(*loop, workspace, client_context.get());
    client.connect(server.listener->local());
    while (!client.is_ready) loop->run_turn(std::chrono::milliseconds(20));
    const auto piece = std::make_shared<const std::string>(kPiece, 'x');
    const WritePiece part{*piece, piece};
    const double server_cpu = server.cpu_seconds();
    const double client_cpu = thread_cpu_seconds();
    const SteadyTime start = steady_clock_now();
    for (std::uint64_t sent = 0; sent < kOctets; sent += kPiece) {
        while (client.stream->unsent_octets() > 4 * kPiece) loop->run_turn(std::chrono::milliseconds(20));
        client.stream->write(std::span(&part, 1));
    }
    while (server.octets.load() < kOctets) loop->run_turn(std::chrono::milliseconds(1));
    const double wall = std::chrono::duration<double>(steady_clock_now() - start).count();
    const double megabytes = static_cast<double>(kOctets) / 1e6;
    fmt::print("  {:<34} {:>8.0f} MB/s            {:>6.0f} us of CPU per MB to send, {:.0f} to receive\n", name,
               megabytes / wall, (thread_cpu_seconds() - client_cpu) / megabytes * 1e6,
               (server.cpu_seconds() - server_cpu) / megabytes * 1e6);
}

// The clients live in a child process, so that only the server's end is counted here.
void measure_memory(const Files& files, const char* name, Protocol protocol) {
    constexpr std::size_t kConnections = 2000;
    ServerSettings settings = files.settings(KeyType::Ec);
    settings.highest_protocol = protocol;
    const auto context = must(ServerContext::load(settings));
    ServerSide server(context.get());
    const Endpoint address = server.listener->local();
    const pid_t child = ::fork();
    if (child == 0) {
        const auto loop = must(net::EpollLoop::create(1));
        Workspace workspace(*loop);
        const auto client_context = must(ClientContext::load({.ca_file = files.authority_file}));
        std::vector<std::unique_ptr<Client>> clients;
        for (std::size_t i = 0; i < kConnections; ++i) {
            clients.push_back(std::make_unique<Client>(*loop, workspace, client_context.get()));
            clients.back()->connect(address);
            while (!clients.back()->is_ready) loop->run_turn(std::chrono::milliseconds(20));
            clients.back()->stream->write("EHLO client.example.test\r\n");
        }
        for (;;) ::pause();
    }
    const auto run_until_connections = [&](std::size_t wanted) {
        while (server.octets.load() < wanted * 26) server.loop->run_turn(std::chrono::milliseconds(20));
    };
    run_until_connections(100);  // what OpenSSL loads once
    server.connections.reserve(kConnections);
    const std::size_t before = ::mallinfo2().uordblks;
    run_until_connections(kConnections);
    const std::size_t used = ::mallinfo2().uordblks - before;
    fmt::print("  {:<34} {:>8.1f} KiB per connection\n", name,
               static_cast<double>(used) / static_cast<double>(kConnections - 100) / 1024);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
}

int run() {
    const Files files;
    fmt::print("Idle connections, the server's end, with everything but the kernel's part:\n");
    measure_memory(files, "TLS 1.3", Protocol::Tls13);
    measure_memory(files, "TLS 1.2", Protocol::Tls12);
    fmt::print("Handshakes, one server thread, certificates verified by the client:\n");
    for (const HandshakeCase& one :
         {HandshakeCase{"TLS 1.3, ECDSA P-256, full", KeyType::Ec, Protocol::Tls13, false},
          HandshakeCase{"TLS 1.3, ECDSA P-256, resumed", KeyType::Ec, Protocol::Tls13, true},
          HandshakeCase{"TLS 1.3, RSA 2048, full", KeyType::Rsa, Protocol::Tls13, false},
          HandshakeCase{"TLS 1.2, ECDSA P-256, full", KeyType::Ec, Protocol::Tls12, false},
          HandshakeCase{"TLS 1.2, ECDSA P-256, resumed", KeyType::Ec, Protocol::Tls12, true}}) {
        measure_handshakes(files, one);
    }
    fmt::print("One connection, 64 KiB pieces:\n");
    measure_octets(files, "plain TCP", nullptr);
    measure_octets(files, "AES-128-GCM", "TLS_AES_128_GCM_SHA256");
    measure_octets(files, "AES-256-GCM", "TLS_AES_256_GCM_SHA384");
    measure_octets(files, "ChaCha20-Poly1305", "TLS_CHACHA20_POLY1305_SHA256");
    return 0;
}

}  // namespace
}  // namespace postfleet::tls

int main() {
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    return postfleet::tls::run();
}
