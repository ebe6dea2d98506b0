// TlsFiles: how the two ends of a gRPC connection know each other: both show a certificate of one CA.
//
// The files are read again when they change (every kTlsRefresh), without a restart; connections that are open stay.
// Whoever has a certificate of this CA may call everything, so it is a CA for Postfleet's services alone.
//
// Without files connections are plain, which is only taken on loopback addresses, or when it is asked for.
#pragma once

#include <string>

#include "postfleet/base/result.hpp"
#include "postfleet/base/time.hpp"

namespace postfleet::rpc {

inline constexpr Duration kTlsRefresh = std::chrono::seconds(10);

struct TlsFiles {
    std::string ca, certificate, private_key;  // PEM; all or none
    bool unsafe_plaintext = false;             // also without files on other addresses than loopback's
    bool is_set() const { return !ca.empty(); }
};

// The same of a port that is open to others: it shows a certificate, and may ask clients for theirs.
struct ListenerFiles {
    std::string certificate, private_key;  // PEM; no certificate: no TLS. No key: it is in the certificate's file
    std::string client_ca;                 // PEM; empty: clients are not asked
    bool requires_client_certificate = false;
    bool is_set() const { return !certificate.empty(); }
};

// `addresses` as in "router-0:7400,router-1:7400". InvalidArgument: some files are missing, plain connections are not
// taken there; PermissionDenied: one cannot be read.
Status check_tls_files(const TlsFiles& files, const std::string& addresses);

}  // namespace postfleet::rpc
