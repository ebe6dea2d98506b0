// What server and client contexts have in common.
#pragma once

#include <string>

#include "openssl_types.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/tls/facts.hpp"

namespace postfleet::tls {

struct ContextRules {
    Protocol lowest_protocol = Protocol::Tls12;
    Protocol highest_protocol = Protocol::Tls13;
    const std::string& tls12_ciphers;
    const std::string& tls13_ciphers;
};

Result<ContextPointer> make_context(const SSL_METHOD* method, const ContextRules& rules);
// `chain` is as read; `what` and the paths are for texts.
struct Identity {
    const std::string& certificate_file;
    const std::string& private_key_file;
};
struct LoadedIdentity {
    CertificateFacts certificate;
    std::vector<std::string> warnings;
};
Result<LoadedIdentity> load_identity(SSL_CTX* context, const Identity& identity);
Status load_ca_file(SSL_CTX* context, const std::string& what, const std::string& path);

}  // namespace postfleet::tls
