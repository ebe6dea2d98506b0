#include "certificates.hpp"

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "postfleet/base/require.hpp"

namespace postfleet::tls {

namespace {

std::string content_of(BIO* bio) {
    const char* octets = nullptr;
    const long size = BIO_get_mem_data(bio, &octets);
    std::string content(octets, static_cast<std::size_t>(size));
    BIO_free(bio);
    return content;
}

void add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
    require(extension != nullptr);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

}  // namespace

TestCertificate TestCertificate::make(const CertificateSpec& spec, const TestCertificate* issuer) {
    TestCertificate made;
    made.key_.reset(spec.key_type == KeyType::Ec ? EVP_EC_gen("P-256") : EVP_RSA_gen(2048));
    made.certificate_.reset(X509_new());
    X509* certificate = made.certificate_.get();
    X509_set_version(certificate, X509_VERSION_3);
    static long serial = 1;  // tests run on one thread
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), spec.valid_from_hours * 3600L);
    X509_gmtime_adj(X509_getm_notAfter(certificate), spec.valid_until_hours * 3600L);
    X509_set_pubkey(certificate, made.key_.get());
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(spec.common_name.c_str()), -1, -1, 0);
    X509* signer = issuer == nullptr ? certificate : issuer->certificate_.get();
    X509_set_issuer_name(certificate, X509_get_subject_name(signer));
    add_extension(certificate, signer, NID_basic_constraints, spec.is_authority ? "critical,CA:TRUE" : "CA:FALSE");
    add_extension(certificate, signer, NID_subject_key_identifier, "hash");
    if (!spec.alternative_names.empty()) {
        add_extension(certificate, signer, NID_subject_alt_name, spec.alternative_names);
    }
    EVP_PKEY* key = issuer == nullptr ? made.key_.get() : issuer->key_.get();
    require(X509_sign(certificate, key, EVP_sha256()) > 0);
    return made;
}

std::string TestCertificate::certificate_pem() const {
    BIO* bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, certificate_.get());
    return content_of(bio);
}

std::string TestCertificate::certificate_der() const {
    BIO* bio = BIO_new(BIO_s_mem());
    i2d_X509_bio(bio, certificate_.get());
    return content_of(bio);
}

std::string TestCertificate::key_pem() const {
    BIO* bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, key_.get(), nullptr, nullptr, 0, nullptr, nullptr);
    return content_of(bio);
}

std::string TestCertificate::encrypted_key_pem() const {
    BIO* bio = BIO_new(BIO_s_mem());
    const std::string passphrase = "secret";
    PEM_write_bio_PrivateKey(bio, key_.get(), EVP_aes_128_cbc(),
                             reinterpret_cast<const unsigned char*>(passphrase.data()),
                             static_cast<int>(passphrase.size()), nullptr, nullptr);
    return content_of(bio);
}

}  // namespace postfleet::tls
