// Files that are right, wrong and half wrong; certificates that pass and that do not, on both sides.
#include <catch2/catch.hpp>
#include <unistd.h>

#include "support.hpp"

namespace postfleet::tls {
namespace {

using Catch::Contains;
using Catch::EndsWith;

std::string error_of(const ServerSettings& settings) {
    const auto loaded = ServerContext::load(settings);
    return loaded ? "loaded" : loaded.error().text;
}

TEST_CASE("a certificate or key that cannot be used is named, with what is wrong and how to mend it") {
    Files files;
    const TestCertificate other = TestCertificate::make();
    ServerSettings settings = files.server_settings();
    const auto with_certificate = [&](const std::string& content) {
        settings.certificate_file = files.folder.write("bad.pem", content);
        return error_of(settings);
    };
    const auto with_key = [&](const std::string& content) {
        settings.private_key_file = files.folder.write("bad.key", content);
        return error_of(settings);
    };
    const std::string bad_pem = files.folder.file("bad.pem");
    const std::string bad_key = files.folder.file("bad.key");

    settings.certificate_file = files.folder.file("missing.pem");
    CHECK(error_of(settings) == "certificate " + settings.certificate_file + ": No such file or directory");
    settings.certificate_file = files.folder.path().string();
    CHECK_THAT(error_of(settings), EndsWith(": is no file"));
    settings.certificate_file.clear();
    CHECK(error_of(settings) == "certificate: no file is named");
    CHECK(with_certificate("") == "certificate " + bad_pem + ": is empty");
    CHECK_THAT(with_certificate("hello"), Contains("is not a PEM file: there is no line that starts with -----BEGIN"));
    CHECK_THAT(with_certificate(files.server.certificate_der()),
               Contains("is DER, not PEM; convert it with: openssl x509"));
    CHECK_THAT(with_certificate(files.server.key_pem()), Contains("are the two files swapped?"));
    std::string damaged = files.server.certificate_pem();
    damaged[100] = damaged[100] == 'A' ? 'B' : 'A';
    damaged.erase(120, 5);
    CHECK_THAT(with_certificate(damaged), Contains("certificate 1 in it is damaged"));
    CHECK_THAT(with_certificate(files.server.certificate_pem() + damaged), Contains("certificate 2 in it is damaged"));
    CHECK_THAT(with_certificate(std::string(5 << 20, 'x')), EndsWith("is larger than 4 MiB"));

    settings = files.server_settings();
    CHECK_THAT(with_key(files.server.certificate_pem()), Contains("are the two files swapped?"));
    CHECK_THAT(with_key(files.server.encrypted_key_pem()), Contains("is encrypted, and nobody is here to type"));
    CHECK_THAT(with_key("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), Contains("is damaged"));
    CHECK(with_key(other.key_pem()) ==
          "private key " + bad_key + ": does not belong to the certificate in " + files.certificate_file);
    settings.private_key_file = files.folder.file("missing.key");
    CHECK(error_of(settings) == "private key " + settings.private_key_file + ": No such file or directory");

    settings = files.server_settings();
    settings.tls12_ciphers = "nonsense";
    CHECK_THAT(error_of(settings), Contains("TLS 1.2 ciphers: \"nonsense\""));
    settings = files.server_settings();
    settings.tls13_ciphers = "nonsense";
    CHECK_THAT(error_of(settings), Contains("TLS 1.3 ciphers: \"nonsense\""));
    settings = files.server_settings();
    settings.client_certificates = ClientCertificates::Require;
    CHECK_THAT(error_of(settings), Contains("there is no client CA file"));
    settings.client_ca_file = files.folder.file("missing-ca.pem");
    CHECK_THAT(error_of(settings), Contains("client CA file"));
}

TEST_CASE("a file that we may not read says who we are") {
    if (::geteuid() == 0) {
        WARN("root may read everything; not tested");
        return;
    }
    Files files;
    std::filesystem::permissions(files.key_file, std::filesystem::perms::none);
    CHECK_THAT(error_of(files.server_settings()), Contains("permission denied; this process runs as user"));
}

TEST_CASE("what is odd but works is a warning") {
    Files files;
    CHECK(make_server(files.server_settings())->report().warnings.empty());

    const auto warning_with = [&](const TestCertificate& certificate, const std::string& chain = "") {
        ServerSettings settings = files.server_settings();
        settings.certificate_file = files.folder.write("odd.pem", certificate.certificate_pem() + chain);
        settings.private_key_file = files.write_key("odd.key", certificate);
        const auto warnings = make_server(settings)->report().warnings;
        REQUIRE(warnings.size() == 1);
        return warnings.front();
    };
    CertificateSpec spec;
    spec.valid_from_hours = -48;
    spec.valid_until_hours = -24;
    CHECK_THAT(warning_with(TestCertificate::make(spec)), Contains(": expired at 20"));
    spec.valid_from_hours = 24;
    spec.valid_until_hours = 48;
    CHECK_THAT(warning_with(TestCertificate::make(spec)), Contains(": is valid only from 20"));
    CHECK_THAT(warning_with(TestCertificate::make(), files.authority.certificate_pem()),
               Contains("certificate 2 in it did not issue certificate 1"));
    std::filesystem::permissions(files.key_file, std::filesystem::perms::others_read,
                                 std::filesystem::perm_options::add);
    const auto warnings = make_server(files.server_settings())->report().warnings;
    REQUIRE(warnings.size() == 1);
    CHECK_THAT(warnings.front(), Contains("every user of this machine can read it"));
}

TEST_CASE("certificate and key may stand in one file, and the chain is sent along") {
    Files files;
    const TestCertificate intermediate =
        TestCertificate::make({"Intermediate", "", KeyType::Ec, -1, 24, true}, &files.authority);
    const TestCertificate leaf = TestCertificate::make({.key_type = KeyType::Rsa}, &intermediate);
    files.folder.write("server.pem", leaf.certificate_pem() + intermediate.certificate_pem() + leaf.key_pem());
    std::filesystem::permissions(files.certificate_file, std::filesystem::perms::owner_read);
    ServerSettings settings = files.server_settings();
    settings.private_key_file = settings.certificate_file;
    MemoryPair pair;
    pair.server_context = make_server(settings);
    CHECK(pair.server_context->report().warnings.empty());
    pair.client_context = make_client(files.client_settings());
    pair.connect({.server_name = "mx.example.test", .authentication = Authentication::Verified});
    CHECK(pair.client.facts->is_verified);
}

TEST_CASE("a reload that fails changes nothing, one that works is for new connections only") {
    TlsServer server;
    TlsPeer before;
    TlsPeer& accepted = server.connect(before);
    const std::string fingerprint = server.context->report().certificate.fingerprint_sha256;
    const TestCertificate renewed = TestCertificate::make({}, &server.files.authority);
    server.files.folder.write("server.pem", renewed.certificate_pem());
    const auto failed = server.context->reload();
    REQUIRE_FALSE(failed);
    CHECK_THAT(failed.error().text, Contains("does not belong to the certificate"));
    CHECK(server.context->report().certificate.fingerprint_sha256 == fingerprint);
    server.files.folder.write("server.key", renewed.key_pem());
    REQUIRE(server.context->reload());
    CHECK(server.context->report().certificate.fingerprint_sha256 != fingerprint);
    before.stream->write("still here");
    server.run_until_received(accepted, 10);
    TlsPeer after;
    server.connect(after);
    CHECK(after.facts->peer_certificate->fingerprint_sha256 != fingerprint);
    CHECK(before.stream->facts().peer_certificate->fingerprint_sha256 == fingerprint);
}

struct Case {
    const char* what;
    CertificateSpec spec;
    bool is_signed;
    std::string name;
    FailureKind expected;
    const char* why;
};

TEST_CASE("who must be verified is refused for a bad certificate, who need not be is taken and the reason known") {
    const Case cases[] = {
        {"right", {}, true, "mx.example.test", FailureKind::None, ""},
        {"right, written otherwise", {}, true, "MX.Example.TEST.", FailureKind::None, ""},
        {"address", {.alternative_names = "IP:127.0.0.1"}, true, "127.0.0.1", FailureKind::None, ""},
        {"wildcard", {.alternative_names = "DNS:*.example.test"}, true, "mx.example.test", FailureKind::None, ""},
        {"partial wildcard",
         {.common_name = "x", .alternative_names = "DNS:m*.example.test"},
         true,
         "mx.example.test",
         FailureKind::CertificateHostMismatch,
         "hostname mismatch"},
        {"other name", {}, true, "mx.example.org", FailureKind::CertificateHostMismatch, "hostname mismatch"},
        {"other address",
         {.alternative_names = "IP:127.0.0.1"},
         true,
         "127.0.0.2",
         FailureKind::CertificateHostMismatch,
         "IP address mismatch"},
        {"expired",
         {.valid_from_hours = -48, .valid_until_hours = -24},
         true,
         "mx.example.test",
         FailureKind::CertificateExpired,
         "certificate has expired"},
        {"not yet",
         {.valid_from_hours = 24, .valid_until_hours = 48},
         true,
         "mx.example.test",
         FailureKind::CertificateExpired,
         "certificate is not yet valid"},
        {"self-signed", {}, false, "mx.example.test", FailureKind::CertificateNotTrusted, "self-signed certificate"},
    };
    for (const Case& one : cases) {
        INFO(one.what);
        MemoryPair pair;
        const TestCertificate certificate =
            TestCertificate::make(one.spec, one.is_signed ? &pair.files.authority : nullptr);
        pair.files.folder.write("server.pem", certificate.certificate_pem());
        pair.files.folder.write("server.key", certificate.key_pem());
        REQUIRE(pair.server_context->reload());

        TlsPeer lax_server, lax_client;
        pair.start({.server_name = one.name, .authentication = Authentication::Verified});
        pair.run();
        CHECK(pair.client.failure == one.expected);
        CHECK(pair.client.is_connected == (one.expected == FailureKind::None));
        if (one.expected != FailureKind::None) {
            REQUIRE(pair.client.closed);
            CHECK(pair.client.closed->text ==
                  std::string("TLS handshake: the peer's certificate is refused: ") + one.why);
            REQUIRE(pair.server.closed);
            CHECK(pair.server.failure == (pair.server.is_connected ? FailureKind::Refused : FailureKind::Refused));
        }

        auto server_wire = std::make_shared<MemoryStream::Record>(),
             client_wire = std::make_shared<MemoryStream::Record>();
        lax_server.accept(std::make_unique<MemoryStream>(server_wire), *pair.server_context, pair.workspace);
        lax_client.connect(std::make_unique<MemoryStream>(client_wire), *pair.client_context, {.server_name = one.name},
                           pair.workspace);
        while (MemoryPair::carry(*client_wire, *server_wire) | MemoryPair::carry(*server_wire, *client_wire)) {
        }
        REQUIRE(lax_client.is_connected);
        CHECK(lax_client.facts->is_verified == (one.expected == FailureKind::None));
        CHECK(lax_client.facts->why_not_verified == one.why);
    }
}

TEST_CASE("nobody is verified without a name, and impossible names are refused before anything is sent") {
    MemoryPair pair;
    pair.connect();
    CHECK_FALSE(pair.client.facts->is_verified);
    CHECK(pair.client.facts->why_not_verified == "there was no name to match");
    for (const std::string& name : {std::string(), std::string("a\0b.test", 8), std::string(300, 'x')}) {
        TlsPeer client;
        auto wire = std::make_shared<MemoryStream::Record>();
        auto made = TlsStream::connect(std::make_unique<MemoryStream>(wire), *pair.client_context,
                                       {.server_name = name, .authentication = Authentication::Verified},
                                       {pair.workspace, client});
        REQUIRE_FALSE(made);
        CHECK(made.error().kind == ErrorKind::InvalidArgument);
        CHECK(wire->written.empty());
        CHECK(wire->is_destroyed);
    }
}

TEST_CASE("client certificates: ignored, asked for, or required") {
    const auto mode = GENERATE(ClientCertificates::Ignore, ClientCertificates::Request, ClientCertificates::Require);
    const std::string shown = GENERATE("none", "good", "foreign");
    MemoryPair pair;
    ServerSettings settings = pair.files.server_settings();
    settings.client_certificates = mode;
    settings.client_ca_file = pair.files.authority_file;
    REQUIRE(pair.server_context->reload(settings));
    const TestCertificate own = TestCertificate::make(
        {.common_name = "shop", .alternative_names = "email:shop@example.test,DNS:Shop.example.test"},
        shown == "good" ? &pair.files.authority : nullptr);
    ClientSettings client_settings = pair.files.client_settings();
    if (shown != "none") {
        client_settings.certificate_file = pair.files.folder.write("client.pem", own.certificate_pem());
        client_settings.private_key_file = pair.files.write_key("client.key", own);
    }
    pair.client_context = make_client(client_settings);
    pair.start();
    pair.run();
    if (mode == ClientCertificates::Require && shown != "good") {
        CHECK_FALSE(pair.server.is_connected);
        REQUIRE(pair.server.closed);
        CHECK(pair.server.failure ==
              (shown == "none" ? FailureKind::CertificateInvalid : FailureKind::CertificateNotTrusted));
        return;
    }
    REQUIRE(pair.server.is_connected);
    const Facts& facts = *pair.server.facts;
    REQUIRE(facts.peer_certificate.has_value() == (mode != ClientCertificates::Ignore && shown != "none"));
    CHECK(facts.is_verified == (mode != ClientCertificates::Ignore && shown == "good"));
    if (!facts.peer_certificate) return;
    CHECK(facts.peer_certificate->common_name == "shop");
    CHECK(facts.peer_certificate->email_addresses == std::vector<std::string>{"shop@example.test"});
    CHECK(facts.peer_certificate->dns_names == std::vector<std::string>{"shop.example.test"});
    CHECK(facts.why_not_verified == (shown == "good" ? "" : "self-signed certificate"));
}

TEST_CASE("a client's files are checked like a server's") {
    Files files;
    ClientSettings settings = files.client_settings();
    settings.ca_file = files.folder.file("missing.pem");
    CHECK_THAT(ClientContext::load(settings).error().text, Contains("CA file"));
    settings = files.client_settings();
    settings.certificate_file = files.certificate_file;
    settings.private_key_file = files.folder.file("missing.key");
    CHECK_THAT(ClientContext::load(settings).error().text, Contains("private key"));
    CHECK(ClientContext::load({}));
}

}  // namespace
}  // namespace postfleet::tls
