#include "postfleet/base/network.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include <fmt/format.h>

#include "postfleet/base/text.hpp"

namespace postfleet {
namespace {

constexpr std::size_t kV4Octets = 4;
constexpr std::array<std::uint8_t, 12> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

Error wrong(std::string_view text, std::string_view why) {
    return {ErrorKind::InvalidArgument, fmt::format("\"{}\" {}", printable(text, 64), why)};
}

// As written, before a mapped IPv4 address is recognised.
struct Parsed {
    IpAddress address;
    bool was_mapped = false;
};

Result<Parsed> parse_address(std::string_view text) {
    char terminated[INET6_ADDRSTRLEN] = {};
    const Error not_an_address = wrong(text, "is not an IP address");
    if (text.empty() || text.size() >= sizeof terminated || text.find('\0') != std::string_view::npos) {
        return not_an_address;
    }
    std::memcpy(terminated, text.data(), text.size());
    Parsed parsed;
    IpAddress& address = parsed.address;
    if (text.find(':') == std::string_view::npos) {
        if (inet_pton(AF_INET, terminated, address.octets.data()) != 1) return not_an_address;
        return parsed;
    }
    std::array<std::uint8_t, 16> octets{};
    if (inet_pton(AF_INET6, terminated, octets.data()) != 1) return not_an_address;
    address = IpAddress::from_v6(octets);
    parsed.was_mapped = !address.v6;
    return parsed;
}

Result<std::uint16_t> parse_port(std::string_view text) {
    std::uint16_t port = 0;
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, port);
    if (error != std::errc() || rest != end) return wrong(text, "is not a port (0 to 65535)");
    return port;
}

bool prefix_matches(const std::array<std::uint8_t, 16>& a, const std::array<std::uint8_t, 16>& b, unsigned bits) {
    const unsigned whole = bits / 8;
    if (std::memcmp(a.data(), b.data(), whole) != 0) return false;
    const unsigned rest = bits % 8;
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

IpAddress masked(IpAddress address, unsigned bits) {
    for (unsigned i = 0; i < address.octets.size(); ++i) {
        const unsigned kept = std::clamp(static_cast<int>(bits) - static_cast<int>(8 * i), 0, 8);
        address.octets[i] = static_cast<std::uint8_t>(address.octets[i] & (0xff00u >> kept));
    }
    return address;
}

struct Range {
    std::array<std::uint8_t, 16> base;
    unsigned bits;
};

// The IANA special-purpose registries (RFC 6890 and its updates), where "globally reachable" is false, and
// multicast.
constexpr std::array kReservedV4{
    Range{{0}, 8},
    Range{{10}, 8},
    Range{{100, 64}, 10},
    Range{{127}, 8},
    Range{{169, 254}, 16},
    Range{{172, 16}, 12},
    Range{{192, 0, 0}, 24},
    Range{{192, 0, 2}, 24},
    Range{{192, 88, 99}, 24},
    Range{{192, 168}, 16},
    Range{{198, 18}, 15},
    Range{{198, 51, 100}, 24},
    Range{{203, 0, 113}, 24},
    Range{{224}, 3},  // multicast, 240.0.0.0/4 and broadcast
};
constexpr Range kGlobalUnicastV6{{0x20}, 3};
constexpr Range kTranslatedV6{{0x00, 0x64, 0xff, 0x9b}, 96};
constexpr std::array kReservedV6{
    Range{{0x20, 0x01, 0x00}, 23},        // IETF protocol assignments, Teredo
    Range{{0x20, 0x01, 0x0d, 0xb8}, 32},  // documentation
    Range{{0x20, 0x02}, 16},              // 6to4
    Range{{0x3f, 0xff, 0x00}, 20},        // documentation
};

bool is_in(const IpAddress& address, const Range& range) {
    return prefix_matches(address.octets, range.base, range.bits);
}

}  // namespace

Result<IpAddress> IpAddress::parse(std::string_view text) {
    const Result<Parsed> parsed = parse_address(text);
    if (!parsed) return parsed.error();
    return parsed->address;
}

IpAddress IpAddress::from_v6(const std::array<std::uint8_t, 16>& octets) {
    if (!std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), octets.begin())) return {true, octets};
    IpAddress mapped;
    std::copy_n(octets.begin() + kMappedPrefix.size(), kV4Octets, mapped.octets.begin());
    return mapped;
}

std::string IpAddress::to_string() const {
    if (v6) {
        char text[INET6_ADDRSTRLEN];
        return inet_ntop(AF_INET6, octets.data(), text, sizeof text);  // RFC 5952
    }
    char text[16];
    char* to = text;
    for (std::size_t i = 0; i < kV4Octets; ++i) {
        if (i != 0) *to++ = '.';
        to = std::to_chars(to, text + sizeof text, octets[i]).ptr;
    }
    return {text, to};
}

std::string IpAddress::to_literal() const { return fmt::format("[{}{}]", v6 ? "IPv6:" : "", to_string()); }

bool IpAddress::is_loopback() const {
    if (!v6) return octets[0] == 127;
    std::array<std::uint8_t, 16> one{};
    one[15] = 1;
    return octets == one;
}

bool IpAddress::is_unspecified() const { return octets == std::array<std::uint8_t, 16>{}; }

bool IpAddress::is_reserved() const {
    const auto holds = [this](const Range& range) { return is_in(*this, range); };
    if (!v6) return std::any_of(kReservedV4.begin(), kReservedV4.end(), holds);
    if (holds(kTranslatedV6)) {
        // NAT64 leads to the IPv4 address in it (RFC 6052).
        IpAddress inner;
        std::copy(octets.end() - kV4Octets, octets.end(), inner.octets.begin());
        return inner.is_reserved();
    }
    if (!holds(kGlobalUnicastV6)) return true;
    return std::any_of(kReservedV6.begin(), kReservedV6.end(), holds);
}

Result<Endpoint> Endpoint::parse(std::string_view text) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return wrong(text, "has no port; write ADDRESS:PORT, as in 127.0.0.1:25");
    std::string_view host = text.substr(0, colon);
    const bool in_brackets = host.size() >= 2 && host.front() == '[' && host.back() == ']';
    if (in_brackets) host = host.substr(1, host.size() - 2);
    if (!in_brackets && host.find(':') != std::string_view::npos) {
        return wrong(text, "needs brackets around the IPv6 address, as in [2001:db8::1]:25");
    }
    if (in_brackets && host.find(':') == std::string_view::npos) {
        return wrong(text, "has brackets around what is not an IPv6 address");
    }
    const Result<IpAddress> address = IpAddress::parse(host);
    if (!address) return address.error();
    const Result<std::uint16_t> port = parse_port(text.substr(colon + 1));
    if (!port) return port.error();
    return Endpoint{*address, *port};
}

std::string Endpoint::to_string() const {
    return address.v6 ? fmt::format("[{}]:{}", address.to_string(), port)
                      : fmt::format("{}:{}", address.to_string(), port);
}

Result<Network> Network::parse(std::string_view text) {
    const std::size_t slash = text.find('/');
    const Result<Parsed> parsed = parse_address(text.substr(0, slash));
    if (!parsed) return wrong(text, "is not a network; write ADDRESS or ADDRESS/BITS, as in 10.0.0.0/8");
    const IpAddress& base = parsed->address;
    const unsigned written_width = base.v6 || parsed->was_mapped ? 128 : 32;
    unsigned bits = written_width;
    if (slash != std::string_view::npos) {
        const std::string_view digits = text.substr(slash + 1);
        const char* const end = digits.data() + digits.size();
        const auto [rest, error] = std::from_chars(digits.data(), end, bits);
        if (error != std::errc() || rest != end || bits > written_width) {
            return wrong(text, fmt::format("has no valid prefix length (0 to {})", written_width));
        }
    }
    if (parsed->was_mapped) {
        if (bits < 96) return wrong(text, "is wider than the IPv4 addresses that are mapped into IPv6");
        bits -= 96;
    }
    const Network network{masked(base, bits), static_cast<std::uint8_t>(bits)};
    if (network.base != base) {
        return wrong(text, fmt::format("has bits behind its prefix; did you mean {}?", network.to_string()));
    }
    return network;
}

Network Network::around(const IpAddress& address, std::uint8_t prefix_bits) {
    const std::uint8_t bits = std::min<std::uint8_t>(prefix_bits, address.v6 ? 128 : 32);
    return {masked(address, bits), bits};
}

bool Network::contains(const IpAddress& address) const {
    return address.v6 == base.v6 && prefix_matches(address.octets, base.octets, prefix_bits);
}

std::string Network::to_string() const { return fmt::format("{}/{}", base.to_string(), prefix_bits); }

}  // namespace postfleet
