#include "context.hpp"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <utility>
#include <vector>

#include "certificate.hpp"
#include "openssl_error.hpp"
#include "pem_file.hpp"

namespace postfleet::tls {

namespace {

// The longest chain of certificates that we read from a peer; OpenSSL's default is 100 KiB.
constexpr long kMaxPeerCertificateOctets = 64 * 1024;

int version_of(Protocol protocol) { return protocol == Protocol::Tls12 ? TLS1_2_VERSION : TLS1_3_VERSION; }

Error bad_ciphers(const char* what, const std::string& ciphers) {
    return {ErrorKind::InvalidArgument,
            fmt::format("{}: \"{}\" names no cipher that this OpenSSL has ({})", what, ciphers, take_openssl_error())};
}

// Each certificate must be issued by the next one, or most clients cannot find their way to the root.
void check_chain(const Identity& identity, const CertificateChain& certificates, std::vector<std::string>& warnings) {
    X509* below = certificates.certificate.get();
    int number = 1;
    for (const CertificatePointer& above : certificates.chain) {
        ++number;
        if (X509_check_issued(above.get(), below) != X509_V_OK) {
            warnings.push_back(
                fmt::format("certificate {}: certificate {} in it did not issue certificate {}; many "
                            "clients will not trust the chain",
                            identity.certificate_file, number, number - 1));
        }
        below = above.get();
    }
}

void check_dates(const Identity& identity, const CertificateFacts& facts, std::vector<std::string>& warnings) {
    const WallTime now = wall_clock_now();
    if (facts.not_after < now) {
        warnings.push_back(
            fmt::format("certificate {}: expired at {}", identity.certificate_file, format_rfc3339(facts.not_after)));
    } else if (facts.not_before > now) {
        warnings.push_back(fmt::format("certificate {}: is valid only from {} on", identity.certificate_file,
                                       format_rfc3339(facts.not_before)));
    }
}

Status use_identity(SSL_CTX* context, const Identity& identity, const CertificateChain& certificates,
                    const PrivateKey& key) {
    ERR_clear_error();
    if (SSL_CTX_use_certificate(context, certificates.certificate.get()) != 1) {
        return Error{ErrorKind::InvalidArgument, fmt::format("certificate {}: cannot be used: {}",
                                                             identity.certificate_file, take_openssl_error())};
    }
    for (const CertificatePointer& link : certificates.chain) {
        if (SSL_CTX_add1_chain_cert(context, link.get()) != 1) {
            return Error{ErrorKind::InvalidArgument, fmt::format("certificate {}: its chain cannot be used: {}",
                                                                 identity.certificate_file, take_openssl_error())};
        }
    }
    if (X509_check_private_key(certificates.certificate.get(), key.key.get()) != 1) {
        ERR_clear_error();
        return Error{ErrorKind::InvalidArgument, fmt::format("private key {}: does not belong to the certificate in {}",
                                                             identity.private_key_file, identity.certificate_file)};
    }
    if (SSL_CTX_use_PrivateKey(context, key.key.get()) != 1) {
        return Error{ErrorKind::InvalidArgument, fmt::format("private key {}: cannot be used: {}",
                                                             identity.private_key_file, take_openssl_error())};
    }
    return {};
}

}  // namespace

Result<ContextPointer> make_context(const SSL_METHOD* method, const ContextRules& rules) {
    ERR_clear_error();
    ContextPointer context(SSL_CTX_new(method));
    if (context == nullptr) return Error{ErrorKind::Internal, "OpenSSL: " + take_openssl_error()};
    if (rules.lowest_protocol > rules.highest_protocol) {
        return Error{ErrorKind::InvalidArgument, "the lowest TLS protocol is above the highest"};
    }
    SSL_CTX_set_min_proto_version(context.get(), version_of(rules.lowest_protocol));
    SSL_CTX_set_max_proto_version(context.get(), version_of(rules.highest_protocol));
    if (SSL_CTX_set_cipher_list(context.get(), rules.tls12_ciphers.c_str()) != 1) {
        return bad_ciphers("TLS 1.2 ciphers", rules.tls12_ciphers);
    }
    if (SSL_CTX_set_ciphersuites(context.get(), rules.tls13_ciphers.c_str()) != 1) {
        return bad_ciphers("TLS 1.3 ciphers", rules.tls13_ciphers);
    }
    SSL_CTX_set_options(context.get(), SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    // Buffers go back between records; write() is never called again with the same pointer.
    SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_max_cert_list(context.get(), kMaxPeerCertificateOctets);
    return context;
}

Result<LoadedIdentity> load_identity(SSL_CTX* context, const Identity& identity) {
    Result<CertificateChain> certificates = read_certificates("certificate", identity.certificate_file);
    if (!certificates) return certificates.error();
    Result<PrivateKey> key = read_private_key("private key", identity.private_key_file);
    if (!key) return key.error();
    if (Status used = use_identity(context, identity, *certificates, *key); !used) return used.error();
    LoadedIdentity loaded;
    loaded.certificate = facts_of(certificates->certificate.get());
    check_dates(identity, loaded.certificate, loaded.warnings);
    check_chain(identity, *certificates, loaded.warnings);
    if (key->everyone_may_read) {
        loaded.warnings.push_back(
            fmt::format("private key {}: every user of this machine can read it; mend it with: "
                        "chmod o-r",
                        identity.private_key_file));
    }
    return loaded;
}

Status load_ca_file(SSL_CTX* context, const std::string& what, const std::string& path) {
    Result<CertificateChain> certificates = read_certificates(what, path);
    if (!certificates) return certificates.error();
    X509_STORE* store = SSL_CTX_get_cert_store(context);
    certificates->chain.push_back(std::move(certificates->certificate));
    for (const CertificatePointer& authority : certificates->chain) {
        if (X509_STORE_add_cert(store, authority.get()) != 1) {
            return Error{ErrorKind::InvalidArgument, fmt::format("{} {}: {}", what, path, take_openssl_error())};
        }
    }
    return {};
}

}  // namespace postfleet::tls
