// Certificates for tests, made with OpenSSL's API in milliseconds.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace postfleet::tls {

enum class KeyType { Ec, Rsa };

struct CertificateSpec {
    std::string common_name = "mx.example.test";
    // As OpenSSL's configuration has it: "DNS:mx.example.test,IP:127.0.0.1,email:a@b.test"; empty: none.
    std::string alternative_names = "DNS:mx.example.test";
    KeyType key_type = KeyType::Ec;
    int valid_from_hours = -1;
    int valid_until_hours = 24;
    bool is_authority = false;
};

class TestCertificate {
public:
    // Self-signed without an issuer.
    static TestCertificate make(const CertificateSpec& spec = {}, const TestCertificate* issuer = nullptr);
    std::string certificate_pem() const;
    std::string certificate_der() const;
    std::string key_pem() const;
    std::string encrypted_key_pem() const;

private:
    struct FreeCertificate {
        void operator()(X509* certificate) const { X509_free(certificate); }
    };
    struct FreeKey {
        void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
    };
    std::unique_ptr<EVP_PKEY, FreeKey> key_;
    std::unique_ptr<X509, FreeCertificate> certificate_;
};

}  // namespace postfleet::tls
