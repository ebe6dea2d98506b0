// What a finished handshake agreed on, from OpenSSL's connection.
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <array>

#include "certificate.hpp"
#include "openssl_error.hpp"
#include "postfleet/base/require.hpp"
#include "postfleet/tls/tls_stream.hpp"
#include "unsent.hpp"

namespace postfleet::tls {

namespace {

bool has_name_to_match(SSL* ssl) {
    X509_VERIFY_PARAM* rules = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_get0_host(rules, 0) != nullptr) return true;
    char* address = X509_VERIFY_PARAM_get1_ip_asc(rules);
    OPENSSL_free(address);
    return address != nullptr;
}

}  // namespace

const char* to_string(FailureKind kind) {
    switch (kind) {
        case FailureKind::None: return "none";
        case FailureKind::CertificateExpired: return "certificate-expired";
        case FailureKind::CertificateHostMismatch: return "certificate-host-mismatch";
        case FailureKind::CertificateNotTrusted: return "certificate-not-trusted";
        case FailureKind::CertificateInvalid: return "certificate-invalid";
        case FailureKind::NothingInCommon: return "nothing-in-common";
        case FailureKind::Refused: return "refused";
        case FailureKind::NotTls: return "not-tls";
        case FailureKind::PeerClosed: return "peer-closed";
        case FailureKind::TimedOut: return "timed-out";
        case FailureKind::Other: return "other";
    }
    return "unknown";
}

Facts TlsStream::facts() const {
    require(state_ == State::Open);
    SSL* const ssl = ssl_.get();
    Facts facts;
    facts.protocol = SSL_version(ssl) == TLS1_3_VERSION ? Protocol::Tls13 : Protocol::Tls12;
    facts.protocol_name = SSL_get_version(ssl);
    facts.cipher = SSL_get_cipher_name(ssl);
    facts.cipher_bits = SSL_get_cipher_bits(ssl, nullptr);
    facts.is_resumed = SSL_session_reused(ssl) == 1;
    if (const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)) facts.server_name = name;
    const X509* peer = SSL_get0_peer_certificate(ssl);
    if (peer == nullptr) {
        facts.verification = FailureKind::CertificateInvalid;
        facts.why_not_verified = "no certificate";
        return facts;
    }
    facts.peer_certificate = facts_of(peer);
    const long result = SSL_get_verify_result(ssl);
    if (result != X509_V_OK) {
        facts.verification = kind_of_verification(result);
        facts.why_not_verified = X509_verify_cert_error_string(result);
    } else if (SSL_is_server(ssl) == 0 && !has_name_to_match(ssl)) {
        facts.verification = FailureKind::CertificateHostMismatch;
        facts.why_not_verified = "there was no name to match";
    } else {
        facts.is_verified = true;
    }
    return facts;
}

TlsFacts TlsStream::security() const {
    Facts known = facts();
    return {.protocol = std::move(known.protocol_name),
            .cipher = std::move(known.cipher),
            .is_resumed = known.is_resumed,
            .is_verified = known.is_verified,
            .verification = known.verification,
            .why_not_verified = std::move(known.why_not_verified)};
}

std::string TlsStream::exporter_binding() const {
    require(state_ == State::Open);
    // Before TLS 1.3 it depends on an extension that not every peer has (RFC 9266 §2).
    if (SSL_version(ssl_.get()) != TLS1_3_VERSION) return {};
    constexpr std::string_view kLabel = "EXPORTER-Channel-Binding";
    std::string binding(32, '\0');
    const int ok = SSL_export_keying_material(ssl_.get(), reinterpret_cast<unsigned char*>(binding.data()),
                                              binding.size(), kLabel.data(), kLabel.size(), nullptr, 0, 1);
    ERR_clear_error();
    return ok == 1 ? binding : std::string();
}

std::string TlsStream::server_end_point_binding() const {
    require(state_ == State::Open);
    const X509* certificate =
        SSL_is_server(ssl_.get()) == 1 ? SSL_get_certificate(ssl_.get()) : SSL_get0_peer_certificate(ssl_.get());
    int digest_nid = NID_undef;
    if (certificate == nullptr ||
        X509_get_signature_info(const_cast<X509*>(certificate), &digest_nid, nullptr, nullptr, nullptr) != 1) {
        return {};
    }
    // RFC 5929 §4.1: the hash of the certificate's signature, but SHA-256 for those that are weak.
    const EVP_MD* digest =
        digest_nid == NID_md5 || digest_nid == NID_sha1 ? EVP_sha256() : EVP_get_digestbynid(digest_nid);
    std::array<unsigned char, EVP_MAX_MD_SIZE> hash;
    unsigned size = 0;
    if (digest == nullptr || X509_digest(certificate, digest, hash.data(), &size) != 1) return {};
    return std::string(reinterpret_cast<const char*>(hash.data()), size);
}

}  // namespace postfleet::tls
