// What the tests of sasl share: rules, and a SCRAM client that can be made to lie.
#pragma once

#include <catch2/catch.hpp>

#include <string>

#include "postfleet/base/base64.hpp"
#include "postfleet/crypto/openssl_digests.hpp"
#include "postfleet/sasl/server_exchange.hpp"

namespace postfleet::sasl {

inline const crypto::OpensslDigests kDigests;
inline const ServerRules kRules{kDigests, "a secret of sixteen octets or more", 4096};
inline constexpr std::string_view kNonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";

inline std::string decoded(const ServerStep& step) {
    REQUIRE(step.kind == ServerStep::Kind::Challenge);
    const auto text = base64_decode(step.challenge);
    REQUIRE(text);
    return *text;
}

inline std::string value_of(const std::string& message, const std::string& name) {
    const std::size_t at = ("," + message).find("," + name + "=");
    REQUIRE(at != std::string::npos);
    const std::size_t start = at + name.size() + 1;
    return message.substr(start, message.find(',', start) - start);
}

struct ScramClient {
    std::string password = "pencil";
    std::string gs2_header = "n,,";
    std::string bare = "n=user,r=rOprNGfwEbeRWgbNEkqO";
    std::string channel_data;

    std::string first() const { return base64_encode(gs2_header + bare); }
    // The final message to a server's first one; `change` may bend it before the proof is made.
    std::string final(const std::string& server_first) {
        std::string message = "c=" + base64_encode(gs2_header + channel_data) + ",r=" + value_of(server_first, "r");
        return base64_encode(message + ",p=" + proof(server_first, message));
    }
    std::string proof(const std::string& server_first, const std::string& without_proof) {
        const auto salted =
            kDigests.pbkdf2_hmac_sha256(password, *base64_decode(value_of(server_first, "s")),
                                        static_cast<std::uint32_t>(std::stoul(value_of(server_first, "i"))));
        auto client_key = kDigests.hmac_sha256(octets_of(salted), "Client Key");
        const auto stored_key = kDigests.sha256(octets_of(client_key));
        const std::string text = bare + "," + server_first + "," + without_proof;
        const auto signature = kDigests.hmac_sha256(octets_of(stored_key), text);
        for (std::size_t i = 0; i < client_key.size(); ++i) client_key[i] ^= signature[i];
        expected_signature = "v=" + base64_encode(octets_of(kDigests.hmac_sha256(
                                        octets_of(kDigests.hmac_sha256(octets_of(salted), "Server Key")), text)));
        return base64_encode(octets_of(client_key));
    }
    std::string expected_signature;
};

}  // namespace postfleet::sasl
