#include "openssl_error.hpp"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/sslerr.h>

namespace postfleet::tls {

FailureKind kind_of_verification(long error) {
    switch (error) {
        case X509_V_ERR_CERT_HAS_EXPIRED:
        case X509_V_ERR_CERT_NOT_YET_VALID: return FailureKind::CertificateExpired;
        case X509_V_ERR_HOSTNAME_MISMATCH:
        case X509_V_ERR_IP_ADDRESS_MISMATCH: return FailureKind::CertificateHostMismatch;
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
        case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        case X509_V_ERR_CERT_UNTRUSTED: return FailureKind::CertificateNotTrusted;
        default: return FailureKind::CertificateInvalid;
    }
}

namespace {

// SSL_R_… of an alert that was received is its number and this.
constexpr int kFirstAlertReason = 1000;

// The reasons that people meet, in words that say what to look at.
Failure failure_of(int reason, const SSL* ssl) {
    switch (reason) {
        case SSL_R_CERTIFICATE_VERIFY_FAILED: {
            const long result = SSL_get_verify_result(ssl);
            return {kind_of_verification(result),
                    fmt::format("the peer's certificate is refused: {}", X509_verify_cert_error_string(result))};
        }
        case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
            return {FailureKind::CertificateInvalid, "the peer shows no certificate, and one is required"};
        case SSL_R_UNSUPPORTED_PROTOCOL:
        case SSL_R_NO_PROTOCOLS_AVAILABLE:
        case SSL_R_VERSION_TOO_LOW:
        case SSL_R_WRONG_SSL_VERSION:
            return {FailureKind::NothingInCommon, "no protocol version in common: ours are TLS 1.2 and 1.3"};
        case SSL_R_NO_SHARED_CIPHER:
        case SSL_R_NO_CIPHERS_AVAILABLE: return {FailureKind::NothingInCommon, "no cipher in common"};
        case SSL_R_NO_SUITABLE_KEY_SHARE:
        case SSL_R_NO_SHARED_GROUPS: return {FailureKind::NothingInCommon, "no key exchange group in common"};
        case SSL_R_WRONG_VERSION_NUMBER:
        case SSL_R_HTTP_REQUEST:
        case SSL_R_HTTPS_PROXY_REQUEST:
        case SSL_R_BAD_RECORD_TYPE:
        case SSL_R_UNEXPECTED_MESSAGE:
        case SSL_R_UNKNOWN_PROTOCOL:
        case SSL_R_PACKET_LENGTH_TOO_LONG:
        case SSL_R_RECORD_TOO_SMALL:
            return {FailureKind::NotTls, fmt::format("what the peer sends is not TLS, or not in order ({})",
                                                     ERR_reason_error_string(ERR_PACK(ERR_LIB_SSL, 0, reason)))};
        default: break;
    }
    const char* text = ERR_reason_error_string(ERR_PACK(ERR_LIB_SSL, 0, reason));
    if (reason > kFirstAlertReason && reason < kFirstAlertReason + 256) {
        return {FailureKind::Refused,
                fmt::format("the peer refuses: {}", SSL_alert_desc_string_long(reason - kFirstAlertReason))};
    }
    return {FailureKind::Other, text != nullptr ? text : fmt::format("OpenSSL reason {}", reason)};
}

}  // namespace

std::string take_openssl_error() {
    const unsigned long error = ERR_get_error();
    ERR_clear_error();
    if (error == 0) return "no reason given";
    if (const char* text = ERR_reason_error_string(error); text != nullptr) return text;
    char text[256];
    ERR_error_string_n(error, text, sizeof text);
    return text;
}

Failure take_failure(const SSL* ssl) {
    const unsigned long error = ERR_peek_error();
    if (ERR_GET_LIB(error) != ERR_LIB_SSL) return {FailureKind::Other, take_openssl_error()};
    ERR_clear_error();
    return failure_of(ERR_GET_REASON(error), ssl);
}

}  // namespace postfleet::tls
