// AUTH exchanges of foreign making: the first octet picks the mechanism and the keys, each line is a message. A line
// that starts with "!" is encoded first, so that the fuzzer gets behind base64. Nobody succeeds without the proof.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "postfleet/base/base64.hpp"
#include "postfleet/base/require.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/sasl/server_exchange.hpp"

using namespace postfleet;
using namespace postfleet::sasl;

namespace {

// Not a hash, only quick and always the same.
class FakeDigests final : public Digests {
public:
    Sha256Digest sha256(std::string_view octets) const override { return mix(octets, 1); }
    std::unique_ptr<RunningSha256> start_sha256() const override { return nullptr; }  // SASL hashes whole texts
    Sha256Digest hmac_sha256(std::string_view key, std::string_view octets) const override {
        return mix(std::string(key) + std::string(octets), 2);
    }
    Sha256Digest pbkdf2_hmac_sha256(std::string_view password, std::string_view, std::uint32_t) const override {
        return mix(password, 3);
    }

private:
    static Sha256Digest mix(std::string_view octets, std::uint8_t seed) {
        Sha256Digest digest;
        digest.fill(seed);
        std::uint64_t state = seed;
        for (const char octet : octets) {
            state = (state ^ static_cast<unsigned char>(octet)) * 0x100000001b3;
            digest[state % digest.size()] = static_cast<std::uint8_t>(digest[state % digest.size()] + (state >> 32));
        }
        return digest;
    }
};

void check(const ServerStep& step) {
    if (step.kind == ServerStep::Kind::Challenge) require(base64_decode(step.challenge).has_value());
    if (step.kind == ServerStep::Kind::Failed) require(reply_of(step.failure).code >= 400);
}

}  // namespace

void fuzz_sasl(std::span<const std::byte> input) {
    if (input.empty()) return;
    const auto choice = static_cast<unsigned>(input[0]);
    const std::string_view text(reinterpret_cast<const char*>(input.data()) + 1, input.size() - 1);
    const FakeDigests digests;
    const ServerRules rules{digests, "sixteen octets or more", 4096};
    const auto mechanism = static_cast<Mechanism>(choice % 4);
    const bool is_known = (choice & 4) != 0;
    const ScramKeys keys = ScramKeys::derive(digests, "pencil", "saltsalt", 4096);
    ServerExchange exchange(mechanism, rules, "fyko+d2lbbFgONRv9qkxdawL", {"exporter", "end point", (choice & 8) != 0});
    ServerStep step;
    bool is_first = (choice & 16) == 0;
    if (!is_first) step = exchange.begin(std::nullopt);
    for (std::string_view line : split(text, '\n')) {
        std::string encoded(line);
        if (line.starts_with('!')) encoded = base64_encode(line.substr(1));
        step = is_first ? exchange.begin(encoded) : exchange.receive(encoded);
        is_first = false;
        check(step);
        if (step.kind == ServerStep::Kind::CheckPassword) {
            require(!exchange.user().empty() && is_utf8(exchange.user()));
            const Secret password = exchange.take_password();
            require(!password.empty() && password.view().size() <= kMaxPasswordOctets);
            step = exchange.resume(PasswordVerdict::NoMatch);
            require(step.kind == ServerStep::Kind::Failed);
        }
        if (step.kind == ServerStep::Kind::FindKeys) {
            require(!exchange.user().empty() && exchange.user().size() <= kMaxNameOctets);
            step = exchange.resume(is_known ? &keys : nullptr);
            check(step);
        }
        require(is_known || step.kind != ServerStep::Kind::Succeeded);
        if (step.kind == ServerStep::Kind::Failed || step.kind == ServerStep::Kind::Succeeded) return;
    }
}
