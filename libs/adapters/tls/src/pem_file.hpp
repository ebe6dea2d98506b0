// Certificates and keys from PEM files, with errors that say which file and how to mend it. Blocking.
#pragma once

#include <string>
#include <vector>

#include "openssl_types.hpp"
#include "postfleet/base/result.hpp"

namespace postfleet::tls {

struct CertificateChain {
    CertificatePointer certificate;
    std::vector<CertificatePointer> chain;  // as in the file
};

// `what` names the setting: "certificate".
Result<CertificateChain> read_certificates(const std::string& what, const std::string& path);

struct PrivateKey {
    KeyPointer key;
    bool everyone_may_read = false;
};
Result<PrivateKey> read_private_key(const std::string& what, const std::string& path);

}  // namespace postfleet::tls
