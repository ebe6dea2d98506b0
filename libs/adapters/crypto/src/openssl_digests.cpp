#include "postfleet/crypto/openssl_digests.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "postfleet/base/require.hpp"

namespace postfleet::crypto {

namespace {

const unsigned char* to_octets(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

class OpensslRunningSha256 final : public RunningSha256 {
public:
    explicit OpensslRunningSha256(const EVP_MD* sha256) : context_(EVP_MD_CTX_new()) {
        require(context_ != nullptr && EVP_DigestInit_ex(context_.get(), sha256, nullptr) == 1);
    }
    void add(std::string_view octets) override {
        require(EVP_DigestUpdate(context_.get(), octets.data(), octets.size()) == 1);
    }
    Sha256Digest finish() override {
        Sha256Digest digest;
        require(EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr) == 1);
        return digest;
    }

private:
    struct Free {
        void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
    };
    std::unique_ptr<EVP_MD_CTX, Free> context_;
};

}  // namespace

void OpensslDigests::FreeDigest::operator()(evp_md_st* digest) const { EVP_MD_free(digest); }

OpensslDigests::OpensslDigests() : sha256_(EVP_MD_fetch(nullptr, "SHA256", nullptr)) { require(sha256_ != nullptr); }

OpensslDigests::~OpensslDigests() = default;

Sha256Digest OpensslDigests::sha256(std::string_view octets) const {
    Sha256Digest digest;
    require(EVP_Digest(octets.data(), octets.size(), digest.data(), nullptr, sha256_.get(), nullptr) == 1);
    return digest;
}

std::unique_ptr<RunningSha256> OpensslDigests::start_sha256() const {
    return std::make_unique<OpensslRunningSha256>(sha256_.get());
}

Sha256Digest OpensslDigests::hmac_sha256(std::string_view key, std::string_view octets) const {
    Sha256Digest digest;
    // A null key would mean "the one from before" to OpenSSL.
    const char* key_octets = key.empty() ? "" : key.data();
    require(HMAC(sha256_.get(), key_octets, static_cast<int>(key.size()), to_octets(octets), octets.size(),
                 digest.data(), nullptr) != nullptr);
    return digest;
}

Sha256Digest OpensslDigests::pbkdf2_hmac_sha256(std::string_view password, std::string_view salt,
                                                std::uint32_t iterations) const {
    Sha256Digest digest;
    require(PKCS5_PBKDF2_HMAC(password.empty() ? "" : password.data(), static_cast<int>(password.size()),
                              to_octets(salt), static_cast<int>(salt.size()), static_cast<int>(iterations),
                              sha256_.get(), static_cast<int>(digest.size()), digest.data()) == 1);
    return digest;
}

}  // namespace postfleet::crypto
