// DANE (RFC 6698, RFC 7672) in real handshakes.
#include <catch2/catch.hpp>
#include <openssl/sha.h>

#include "support.hpp"

using namespace postfleet;
using namespace postfleet::tls;

namespace {

std::string sha256(const std::string& octets) {
    std::string out(SHA256_DIGEST_LENGTH, '\0');
    SHA256(reinterpret_cast<const unsigned char*>(octets.data()), octets.size(),
           reinterpret_cast<unsigned char*>(out.data()));
    return out;
}

TlsaRecord record(int usage, const TestCertificate& certificate) {
    return {static_cast<std::uint8_t>(usage), 0, 1, sha256(certificate.certificate_der())};
}

// A server with this certificate; what clients without any CA of that kind make of it.
struct DaneServer {
    explicit DaneServer(const CertificateSpec& spec = {}) {
        certificate = TestCertificate::make(spec, &pair.files.authority);
        const std::string chain = certificate.certificate_pem() + pair.files.authority.certificate_pem();
        pair.files.folder.write("server.pem", chain);
        pair.files.folder.write("server.key", certificate.key_pem());
        REQUIRE(pair.server_context->reload());
        pair.client_context = make_client(
            {.ca_file = pair.files.folder.write(
                 "other.pem", TestCertificate::make({"Other CA", "", KeyType::Ec, -1, 24, true}).certificate_pem())});
    }
    FailureKind connect(std::vector<TlsaRecord> tlsa, std::vector<std::string> other_names = {}) {
        pair.start({.server_name = "mx.example.test",
                    .authentication = Authentication::Dane,
                    .other_names = std::move(other_names),
                    .tlsa = std::move(tlsa)});
        pair.run();
        if (pair.client.is_connected) CHECK(pair.client.stream->security().is_verified);
        return pair.client.failure;
    }
    MemoryPair pair;
    TestCertificate certificate = TestCertificate::make();
};

}  // namespace

TEST_CASE("DANE-EE takes the published certificate, whatever name, date and issuer it has", "[X7672]") {
    DaneServer server(CertificateSpec{.common_name = "odd",
                                      .alternative_names = "DNS:elsewhere.test",
                                      .valid_from_hours = -48,
                                      .valid_until_hours = -24});
    CHECK(server.connect({record(3, server.certificate)}) == FailureKind::None);
    CHECK(server.pair.client.is_connected);
}

TEST_CASE("DANE-EE refuses any other certificate, also one that a CA vouches for", "[X7672]") {
    DaneServer server;
    CHECK(server.connect({record(3, TestCertificate::make())}) != FailureKind::None);
    CHECK_FALSE(server.pair.client.is_connected);
}

TEST_CASE("one matching record among several is enough", "[X7672]") {
    DaneServer server;
    CHECK(server.connect({record(3, TestCertificate::make()), record(3, server.certificate)}) == FailureKind::None);
}

TEST_CASE("DANE-TA takes what the published authority issued, for the host's name", "[X7672]") {
    DaneServer server;
    CHECK(server.connect({record(2, server.pair.files.authority)}) == FailureKind::None);
}

TEST_CASE("DANE-TA checks the name and the dates", "[X7672]") {
    const bool is_expired = GENERATE(false, true);
    CertificateSpec spec{.alternative_names = "DNS:relay.example.test"};
    if (is_expired) spec = {.valid_from_hours = -48, .valid_until_hours = -24};
    {
        DaneServer server(spec);
        CHECK(server.connect({record(2, server.pair.files.authority)}) ==
              (is_expired ? FailureKind::CertificateExpired : FailureKind::CertificateHostMismatch));
        CHECK_FALSE(server.pair.client.is_connected);
    }
    if (is_expired) return;
    DaneServer server(spec);
    CHECK(server.connect({record(2, server.pair.files.authority)}, {"relay.example.test"}) == FailureKind::None);
}

TEST_CASE("records of PKIX usages and unknown kinds are not believed, and nothing is sent with them alone", "[X7672]") {
    DaneServer server;
    const TlsaRecord right = record(3, server.certificate);
    for (const TlsaRecord& unusable : {TlsaRecord{0, 0, 1, right.association}, TlsaRecord{1, 0, 1, right.association},
                                       TlsaRecord{3, 9, 1, right.association}, TlsaRecord{3, 0, 9, right.association},
                                       TlsaRecord{3, 0, 1, "short"}}) {
        TlsPeer client;
        auto wire = std::make_shared<MemoryStream::Record>();
        auto made = TlsStream::connect(
            std::make_unique<MemoryStream>(wire), *server.pair.client_context,
            {.server_name = "mx.example.test", .authentication = Authentication::Dane, .tlsa = {unusable}},
            {server.pair.workspace, client});
        REQUIRE_FALSE(made);
        CHECK(made.error().kind == ErrorKind::InvalidArgument);
        CHECK(wire->written.empty());
    }
}

TEST_CASE("a session is not resumed under other TLSA records than it was made with", "[X7672]") {
    TlsServer server;
    const auto connect = [&server](const TlsaRecord& tlsa) {
        auto client = std::make_unique<TlsPeer>();
        const ClientRequest request{.server_name = "mx.example.test",
                                    .authentication = Authentication::Dane,
                                    .session_key = "peer",
                                    .tlsa = {tlsa}};
        TlsPeer& accepted = server.connect(*client, request);
        if (client->is_connected) {
            accepted.stream->write("x");  // the ticket comes with it
            server.run_until_received(*client, 1);
        }
        return client;
    };
    const TlsaRecord right = record(3, server.files.server);
    CHECK_FALSE(connect(right)->facts->is_resumed);
    const auto resumed = connect(right);
    CHECK(resumed->facts->is_resumed);
    CHECK(resumed->facts->is_verified);
    CHECK_FALSE(connect(record(3, TestCertificate::make()))->is_connected);
}
