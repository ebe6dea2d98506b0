// TlsFacts: what the core wants to know of a connection's TLS; the edge fills it in after the handshake.
// Threads: a value type.
#pragma once

#include <string>

namespace postfleet::ingest {

struct TlsFacts {
    std::string protocol;  // "TLSv1.3"
    std::string cipher;    // "TLS_AES_128_GCM_SHA256"
    // Of the client's certificate, if it showed one.
    std::string certificate_subject;      // "CN=shop,O=Example"
    std::string certificate_fingerprint;  // SHA-256, 64 lower-case hexadecimal digits
    bool is_certificate_verified = false;
    // What a login can be bound to (RFC 9266, RFC 5929); empty where nobody logs in.
    std::string exporter_binding;
    std::string server_end_point_binding;
};

}  // namespace postfleet::ingest
