// OpensslDigests: Digests over OpenSSL 3.
//
// Threads: immutable once made, thread-safe. Errors: an OpenSSL without SHA-256 is a bug of the machine; it aborts.
#pragma once

#include <memory>

#include "postfleet/base/digests.hpp"

struct evp_md_st;

namespace postfleet::crypto {

class OpensslDigests final : public Digests {
public:
    OpensslDigests();
    ~OpensslDigests() override;
    OpensslDigests(const OpensslDigests&) = delete;
    OpensslDigests& operator=(const OpensslDigests&) = delete;

    Sha256Digest sha256(std::string_view octets) const override;
    std::unique_ptr<RunningSha256> start_sha256() const override;
    Sha256Digest hmac_sha256(std::string_view key, std::string_view octets) const override;
    Sha256Digest pbkdf2_hmac_sha256(std::string_view password, std::string_view salt,
                                    std::uint32_t iterations) const override;

private:
    struct FreeDigest {
        void operator()(evp_md_st* digest) const;
    };
    std::unique_ptr<evp_md_st, FreeDigest> sha256_;
};

}  // namespace postfleet::crypto
