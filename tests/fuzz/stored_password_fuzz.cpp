// Stored passwords of foreign making: what is taken is within bounds and comes back, what is not shows no content.
#include <cstddef>
#include <span>
#include <string_view>

#include "postfleet/base/base64.hpp"
#include "postfleet/base/require.hpp"
#include "postfleet/base/stored_password.hpp"

using namespace postfleet;

void fuzz_stored_password(std::span<const std::byte> input) {
    const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
    for (const Base64Form form : {Base64Form::Padded, Base64Form::Unpadded}) {
        if (const auto octets = base64_decode(text, form)) require(base64_encode(*octets, form) == text);
    }
    const Result<StoredPassword> stored = StoredPassword::parse(text);
    if (!stored) {
        require(stored.error().text.size() < 200);
        return;
    }
    require(stored->argon2id || stored->scram);
    if (stored->argon2id) {
        require(stored->argon2id->memory_kibibytes <= Argon2idHash::kMaxMemoryKibibytes);
        require(stored->argon2id->passes <= Argon2idHash::kMaxPasses);
    }
    if (stored->scram) require(stored->scram->iterations <= ScramKeys::kMaxIterations);
    const Result<StoredPassword> again = StoredPassword::parse(stored->to_string());
    require(again && *again == *stored);
}
