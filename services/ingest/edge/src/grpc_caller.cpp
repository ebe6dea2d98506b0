#include "grpc_caller.hpp"

#include "postfleet/base/base64.hpp"
#include "postfleet/base/text.hpp"

namespace postfleet::ingest {

std::optional<std::string> plain_response_of(std::string_view authorization) {
    constexpr std::string_view kScheme = "Basic ";
    if (!ascii_iequals(authorization.substr(0, kScheme.size()), kScheme)) return std::nullopt;
    const auto credentials = base64_decode(trim(authorization.substr(kScheme.size())));
    if (!credentials || credentials->find('\0') != std::string::npos) return std::nullopt;
    const std::size_t colon = credentials->find(':');
    if (colon == std::string::npos || colon == 0) return std::nullopt;
    std::string message(1, '\0');
    message.append(*credentials, 0, colon).append(1, '\0').append(*credentials, colon + 1);
    return base64_encode(message);
}

std::optional<std::string> octets_of_pem(std::string_view pem) {
    constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE-----", kEnd = "-----END CERTIFICATE-----";
    const std::size_t begin = pem.find(kBegin);
    if (begin == std::string_view::npos) return std::nullopt;
    const std::size_t end = pem.find(kEnd, begin);
    if (end == std::string_view::npos) return std::nullopt;
    std::string text;
    for (const char c : pem.substr(begin + kBegin.size(), end - begin - kBegin.size())) {
        if (c != '\r' && c != '\n') text.push_back(c);
    }
    auto octets = base64_decode(text);
    if (!octets || octets->empty()) return std::nullopt;
    return octets;
}

std::string to_hex(const Sha256Digest& digest) {
    constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    for (const std::uint8_t octet : digest) {
        text.push_back(kDigits[octet >> 4]);
        text.push_back(kDigits[octet & 15]);
    }
    return text;
}

}  // namespace postfleet::ingest
