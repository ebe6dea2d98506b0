// What a gRPC caller shows of itself: a password is read as it was written, and a certificate never grows.
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "grpc_caller.hpp"
#include "postfleet/base/base64.hpp"
#include "postfleet/base/require.hpp"

using namespace postfleet;

void fuzz_grpc_caller(std::span<const std::byte> input) {
    const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
    if (const auto certificate = ingest::octets_of_pem(text)) {
        require(!certificate->empty() && certificate->size() < text.size());
    }
    if (const auto response = ingest::plain_response_of(text)) {
        const auto message = base64_decode(*response);
        require(message && message->starts_with('\0'));
        const std::size_t end = message->find('\0', 1);
        require(end != std::string::npos && end > 1 && message->find('\0', end + 1) == std::string::npos);
    }
    // Any text that begins with a name is a user and a password.
    const std::size_t colon = text.find(':');
    const bool is_good = colon != std::string_view::npos && colon > 0 && text.find('\0') == std::string_view::npos;
    const auto response = ingest::plain_response_of("Basic " + base64_encode(text));
    require(response.has_value() == is_good);
    if (!is_good) return;
    std::string expected(1, '\0');
    expected.append(text.substr(0, colon)).append(1, '\0').append(text.substr(colon + 1));
    require(base64_decode(*response) == expected);
}
