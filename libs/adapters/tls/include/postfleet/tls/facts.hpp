// Facts, CertificateFacts: what a finished handshake agreed on, for logs, Received headers, rules and reports.
//
// Names with an embedded NUL octet are left out: they are forgeries. Threads: value types.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "postfleet/base/time.hpp"
#include "postfleet/ports/tls_client.hpp"

namespace postfleet::tls {

using Protocol = TlsVersion;

struct CertificateFacts {
    std::string subject;  // RFC 2253: "CN=mx.example.net,O=Example"
    std::string issuer;
    std::string common_name;                   // the last one, as certificates are read
    std::vector<std::string> dns_names;        // subjectAltName, lower case
    std::vector<std::string> email_addresses;  // subjectAltName
    std::string fingerprint_sha256;            // of the whole certificate: 64 lower-case hexadecimal digits
    WallTime not_before{}, not_after{};
};

struct Facts {
    Protocol protocol = Protocol::Tls13;
    std::string protocol_name;  // "TLSv1.3"
    std::string cipher;         // "TLS_AES_128_GCM_SHA256"
    int cipher_bits = 0;
    bool is_resumed = false;  // then no certificate crossed the wire: the rest is what the first handshake found
    std::string server_name;  // SNI, as the client asked for it; empty: none
    std::optional<CertificateFacts> peer_certificate;
    bool is_verified = false;                    // chain and, for a server's certificate, name or address
    TlsFailure verification = TlsFailure::None;  // what is wrong, if it is not verified
    std::string why_not_verified;
};

// What went wrong in a handshake.
using FailureKind = TlsFailure;
const char* to_string(FailureKind kind);  // "certificate-host-mismatch"

}  // namespace postfleet::tls
