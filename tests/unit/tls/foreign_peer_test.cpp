// Against Debian's openssl(1), which shares no code of ours: s_client and s_server.
#include <catch2/catch.hpp>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "support.hpp"

extern char** environ;

namespace postfleet::tls {
namespace {

// One run of openssl(1), with both ends of its standard streams.
class OpensslProcess {
public:
    explicit OpensslProcess(std::vector<std::string> arguments) {
        int to_child[2], from_child[2];
        REQUIRE(::pipe2(to_child, O_CLOEXEC) == 0);
        REQUIRE(::pipe2(from_child, O_CLOEXEC) == 0);
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, to_child[0], 0);
        posix_spawn_file_actions_adddup2(&actions, from_child[1], 1);
        posix_spawn_file_actions_adddup2(&actions, from_child[1], 2);
        arguments.insert(arguments.begin(), "openssl");
        std::vector<char*> argv;
        for (std::string& argument : arguments) argv.push_back(argument.data());
        argv.push_back(nullptr);
        const int error = ::posix_spawnp(&pid_, "openssl", &actions, nullptr, argv.data(), environ);
        posix_spawn_file_actions_destroy(&actions);
        ::close(to_child[0]);
        ::close(from_child[1]);
        input_ = to_child[1];
        output_ = from_child[0];
        ::fcntl(output_, F_SETFL, O_NONBLOCK);
        REQUIRE(error == 0);
    }
    ~OpensslProcess() {
        ::close(input_);
        ::close(output_);
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    OpensslProcess(const OpensslProcess&) = delete;
    OpensslProcess& operator=(const OpensslProcess&) = delete;

    void say(std::string_view text) {
        REQUIRE(::write(input_, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    }
    // What it printed so far.
    const std::string& output() {
        char part[4096];
        for (ssize_t got; (got = ::read(output_, part, sizeof part)) > 0;)
            text_.append(part, static_cast<std::size_t>(got));
        return text_;
    }
    bool has_printed(std::string_view text) { return output().find(text) != std::string::npos; }
    bool has_ended() {
        if (pid_ > 0 && ::waitpid(pid_, &status_, WNOHANG) == pid_) pid_ = 0;
        return pid_ == 0;
    }
    int exit_code() const { return WIFEXITED(status_) ? WEXITSTATUS(status_) : -1; }

private:
    pid_t pid_ = 0;
    int input_ = -1, output_ = -1, status_ = 0;
    std::string text_;
};

std::vector<std::string> client_arguments(const TlsServer& server, std::vector<std::string> more) {
    std::vector<std::string> arguments{"s_client",
                                       "-connect",
                                       server.address().to_string(),
                                       "-CAfile",
                                       server.files.authority_file,
                                       "-verify_return_error",
                                       "-verify_hostname",
                                       "mx.example.test",
                                       "-servername",
                                       "mx.example.test"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
}

TEST_CASE("openssl s_client speaks TLS 1.2 and 1.3 with us and verifies us") {
    for (const std::string version : {"-tls1_2", "-tls1_3"}) {
        TlsServer server;
        OpensslProcess openssl(client_arguments(server, {version, "-quiet"}));
        run_until(server.loop(), [&] { return !server.peers.empty() && server.peers.back()->is_over(); });
        TlsPeer& peer = *server.peers.back();
        REQUIRE(peer.is_connected);
        CHECK(peer.facts->protocol_name == (version == "-tls1_2" ? "TLSv1.2" : "TLSv1.3"));
        CHECK(peer.facts->server_name == "mx.example.test");
        openssl.say("ping\n");
        server.run_until_received(peer, 5);
        peer.stream->write("250 pong\r\n");
        run_until(server.loop(), [&] { return openssl.has_printed("250 pong"); });
        peer.stream->close();
        run_until(server.loop(), [&] { return openssl.has_ended(); });
        CHECK(openssl.exit_code() == 0);
    }
}

TEST_CASE("openssl s_client cannot speak TLS 1.0 or 1.1 with us") {
    for (const std::string version : {"-tls1", "-tls1_1"}) {
        TlsServer server;
        OpensslProcess openssl(client_arguments(server, {version, "-cipher", "ALL:@SECLEVEL=0"}));
        run_until(server.loop(), [&] { return !server.peers.empty() && server.peers.back()->is_over(); });
        CHECK(server.peers.back()->failure == FailureKind::NothingInCommon);
        run_until(server.loop(), [&] { return openssl.has_ended(); });
        CHECK(openssl.exit_code() != 0);
        CHECK(openssl.has_printed("protocol version"));
    }
}

TEST_CASE("openssl s_client resumes its session with us, in TLS 1.3 and 1.2, and across a reload") {
    for (const std::string version : {"-tls1_2", "-tls1_3"}) {
        TlsServer server;
        server.when_accepted = [](TlsPeer& peer) {
            peer.when_connected = [](TlsPeer& p) { p.stream->write("220 hello\r\n"); };
        };
        const std::string session = server.files.folder.file("session.pem");
        const auto visit = [&](const std::string& direction) {
            OpensslProcess openssl(client_arguments(server, {version, direction, session}));
            run_until(server.loop(), [&] { return openssl.has_printed("220 hello"); });
            TlsPeer& peer = *server.peers.back();
            peer.stream->close();
            run_until(server.loop(), [&] { return openssl.has_ended(); });
            return peer.facts->is_resumed;
        };
        CHECK_FALSE(visit("-sess_out"));
        REQUIRE(std::filesystem::exists(session));
        CHECK(visit("-sess_in"));
        REQUIRE(server.context->reload());
        CHECK(visit("-sess_in"));
    }
}

TEST_CASE("openssl s_client -starttls smtp comes through the plain dialogue to us") {
    Files files;
    net::Server plain;
    Workspace workspace(*plain.loop);
    const auto context = make_server(files.server_settings());
    TlsPeer tls;
    plain.acceptor.when_accepted = [&](net::Peer& peer) {
        peer.when_data = [&](net::Peer& p) {
            if (p.received.ends_with("STARTTLS\r\n")) {
                p.stream->write("220 2.0.0 go ahead\r\n");
                tls.accept(std::move(p.stream), *context, workspace);
            } else if (p.received.starts_with("EHLO ")) {
                p.stream->write("250-mx.example.test\r\n250 STARTTLS\r\n");
            }
        };
        peer.stream->write("220 mx.example.test ESMTP\r\n");
    };
    OpensslProcess openssl({"s_client", "-connect", plain.address().to_string(), "-starttls", "smtp", "-quiet",
                            "-CAfile", files.authority_file, "-verify_return_error"});
    run_until(*plain.loop, [&] { return tls.is_over(); });
    REQUIRE(tls.is_connected);
    openssl.say("QUIT\n");
    run_until(*plain.loop, [&] { return tls.received == "QUIT\n"; });
}

// s_server on a free port; -rev sends every line back, reversed.
struct ForeignServer {
    Files files;
    std::unique_ptr<EpollLoop> loop = net::make_loop();
    Workspace workspace{*loop};
    std::unique_ptr<OpensslProcess> process;
    Endpoint address;

    explicit ForeignServer(std::vector<std::string> more) {
        std::vector<std::string> arguments{"s_server", "-accept",      "127.0.0.1:0", "-cert", files.certificate_file,
                                           "-key",     files.key_file, "-rev"};
        arguments.insert(arguments.end(), more.begin(), more.end());
        process = std::make_unique<OpensslProcess>(std::move(arguments));
        run_until(*loop, [&] { return process->has_printed("ACCEPT 127.0.0.1:") && process->has_printed("\n"); });
        const std::string& output = process->output();
        const std::size_t at = output.find("ACCEPT ") + 7;
        address = *Endpoint::parse(output.substr(at, output.find('\n', at) - at));
    }
    void connect(TlsPeer& client, const ClientContext& context, const ClientRequest& request) {
        client.plain.when_connected = [&](net::Peer& plain) {
            client.connect(std::move(plain.stream), context, request, workspace);
        };
        client.plain.connect(*loop, address);
        run_until(*loop, [&] { return client.is_over(); });
    }
};

TEST_CASE("we speak TLS 1.2 and 1.3 with openssl s_server, verify it, and resume") {
    for (const std::string version : {"-tls1_2", "-tls1_3"}) {
        ForeignServer server({version});
        const auto context = make_client(server.files.client_settings());
        for (const bool again : {false, true}) {
            TlsPeer client;
            server.connect(client, *context,
                           {.server_name = "mx.example.test",
                            .authentication = Authentication::Verified,
                            .session_key = "foreign"});
            REQUIRE(client.is_connected);
            CHECK(client.facts->is_verified);
            CHECK(client.facts->is_resumed == again);
            client.stream->write("STRESSED\n");
            run_until(*server.loop, [&] { return client.received == "DESSERTS\n"; });
            client.stream->close();
        }
    }
}

TEST_CASE("we show our certificate to an openssl s_server that requires one") {
    ForeignServer server({"-Verify", "1", "-verify_return_error"});
    REQUIRE(server.process->has_printed("ACCEPT"));
    ClientSettings settings = server.files.client_settings();
    settings.certificate_file = server.files.certificate_file;
    settings.private_key_file = server.files.key_file;
    const auto without = make_client(server.files.client_settings());
    TlsPeer refused;
    server.connect(refused, *without, {});
    // In TLS 1.3 a client is through before the server has seen that there is no certificate.
    run_until(*server.loop, [&] { return refused.closed.has_value(); });
    CHECK(refused.closed->kind == CloseReason::Kind::TlsFailed);
    CHECK_THAT(refused.closed->text, Catch::Contains("the peer refuses: "));
}

TEST_CASE("we do not speak TLS 1.1 with openssl s_server") {
    ForeignServer server({"-tls1_1", "-cipher", "ALL:@SECLEVEL=0"});
    const auto context = make_client(server.files.client_settings());
    TlsPeer client;
    server.connect(client, *context, {});
    REQUIRE(client.closed);
    CHECK(client.closed->kind == CloseReason::Kind::TlsFailed);
}

}  // namespace
}  // namespace postfleet::tls
