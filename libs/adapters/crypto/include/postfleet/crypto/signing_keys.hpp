// SigningKeys over OpenSSL: read from PEM files, and made anew.
//
// A key file is refused when others than its owner and group may read it, or others than its owner may write it. The
// key's octets are wiped from memory when the key goes; nothing here prints or logs them.
//
// Threads: thread-safe. load_signing_key blocks on the file. Errors: a sentence with the path.
#pragma once

#include <memory>
#include <string>

#include "postfleet/base/secret.hpp"
#include "postfleet/ports/signing_key.hpp"

namespace postfleet::crypto {

Result<std::shared_ptr<const SigningKey>> load_signing_key(const std::string& path);

struct NewKey {
    std::shared_ptr<const SigningKey> key;
    Secret pem;  // PKCS #8, not encrypted
};
// `bits` is RSA's: 1024 to 8192.
Result<NewKey> make_signing_key(SigningKey::Type type, unsigned bits);

}  // namespace postfleet::crypto
