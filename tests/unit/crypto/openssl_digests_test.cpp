#include "postfleet/crypto/openssl_digests.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

namespace postfleet::crypto {
namespace {

std::string hex(const Sha256Digest& digest) {
    std::string text;
    for (const std::uint8_t octet : digest) text += fmt::format("{:02x}", octet);
    return text;
}

TEST_CASE("SHA-256 of FIPS 180-4's examples") {
    const OpensslDigests digests;
    CHECK(hex(digests.sha256("")) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(hex(digests.sha256("abc")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("HMAC-SHA-256 of the examples of RFC 4231", "[rfc4231]") {
    const OpensslDigests digests;
    CHECK(hex(digests.hmac_sha256(std::string(20, '\x0b'), "Hi There")) ==
          "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    CHECK(hex(digests.hmac_sha256("Jefe", "what do ya want for nothing?")) ==
          "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    CHECK(
        hex(digests.hmac_sha256(std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First")) ==
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    CHECK(hex(digests.hmac_sha256("", "")) == "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

TEST_CASE("PBKDF2 with HMAC-SHA-256 of the examples of RFC 7914 §11", "[rfc7914]") {
    const OpensslDigests digests;
    CHECK(hex(digests.pbkdf2_hmac_sha256("passwd", "salt", 1)) ==
          "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc");
    CHECK(hex(digests.pbkdf2_hmac_sha256("Password", "NaCl", 80000)) ==
          "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56");
}

}  // namespace
}  // namespace postfleet::crypto
