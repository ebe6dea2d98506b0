#include "postfleet/proxy/header_reader.hpp"

#include <algorithm>
#include <charconv>
#include <span>

namespace postfleet::proxy {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kLineStart = "PROXY ";
constexpr std::string_view kSignature = "\r\n\r\n\0\r\nQUIT\n"sv;
constexpr std::size_t kFixedOctets = 16;  // signature, command, family, length
constexpr std::size_t kV4Octets = 12, kV6Octets = 36, kUnixOctets = 216;

enum Command : std::uint8_t { kLocal = 0, kProxy = 1 };
enum Family : std::uint8_t { kUnspecified = 0, kInet = 1, kInet6 = 2, kUnix = 3 };
enum Transport : std::uint8_t { kNoTransport = 0, kStream = 1, kDatagram = 2 };

// The text up to the next space, which is taken too. Nothing: there is no space, or nothing before it.
std::optional<std::string_view> take_word(std::string_view& line) {
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos || space == 0) return std::nullopt;
    const std::string_view word = line.substr(0, space);
    line.remove_prefix(space + 1);
    return word;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    if (text.size() > 1 && text.front() == '0') return std::nullopt;  // not octal, and not to be mistaken for it
    return port;
}

// As the family in front of it says: an IPv4 address written as an IPv6 one is fine, the other way round is not.
std::optional<IpAddress> parse_address(std::string_view text, bool with_colons) {
    if ((text.find(':') != std::string_view::npos) != with_colons) return std::nullopt;
    const Result<IpAddress> address = IpAddress::parse(text);
    return address ? std::optional(*address) : std::nullopt;
}

std::uint16_t read_16_bits(std::span<const char> at) {
    return static_cast<std::uint16_t>(static_cast<std::uint8_t>(at[0]) << 8 | static_cast<std::uint8_t>(at[1]));
}

IpAddress read_address(std::span<const char> octets) {
    std::array<std::uint8_t, 16> copied{};
    std::transform(octets.begin(), octets.end(), copied.begin(), [](char c) { return static_cast<std::uint8_t>(c); });
    return octets.size() == copied.size() ? IpAddress::from_v6(copied) : IpAddress{false, copied};
}

}  // namespace

HeaderReader::Progress HeaderReader::take(std::string_view& octets) {
    if (progress_ != Progress::NeedsMore || octets.empty()) return progress_;
    const char first = size_ > 0 ? kept_[0] : octets[0];
    if (first == kLineStart[0]) progress_ = take_line(octets);
    else if (first == kSignature[0]) progress_ = take_binary(octets);
    else progress_ = malformed("no PROXY header");
    return progress_;
}

HeaderReader::Progress HeaderReader::malformed(std::string_view problem) {
    problem_ = problem;
    return Progress::Malformed;
}

HeaderReader::Progress HeaderReader::take_line(std::string_view& octets) {
    while (!octets.empty()) {
        const char octet = octets.front();
        if (size_ < kLineStart.size() && octet != kLineStart[size_]) return malformed("no PROXY header");
        if (size_ == kept_.size()) return malformed("line too long");
        octets.remove_prefix(1);
        kept_[size_++] = octet;
        if (octet != '\n') continue;
        const std::string_view line(kept_.data(), size_ - 1);
        if (!line.ends_with('\r')) return malformed("line does not end in CRLF");
        return read_line(line.substr(kLineStart.size(), line.size() - kLineStart.size() - 1));
    }
    return size_ == kept_.size() ? malformed("line too long") : Progress::NeedsMore;
}

HeaderReader::Progress HeaderReader::read_line(std::string_view line) {
    // Whatever follows UNKNOWN means nothing.
    if (line == "UNKNOWN" || line.starts_with("UNKNOWN ")) return Progress::Done;
    const auto family = take_word(line);
    const bool is_v6 = family == "TCP6"sv;
    if (!is_v6 && family != "TCP4"sv) return malformed("protocol is not TCP4, TCP6 or UNKNOWN");
    const auto client = take_word(line);
    const auto server = take_word(line);
    const auto client_port = take_word(line);
    if (!client || !server || !client_port) return malformed("addresses or ports are missing");
    const auto client_address = parse_address(*client, is_v6);
    const auto server_address = parse_address(*server, is_v6);
    const auto from = parse_port(*client_port);
    const auto to = parse_port(line);
    if (!client_address || !server_address) return malformed("address is not one");
    if (!from || !to) return malformed("port is not one");
    header_.announced = {{*client_address, *from}, {*server_address, *to}};
    return Progress::Done;
}

HeaderReader::Progress HeaderReader::take_binary(std::string_view& octets) {
    if (!has_fixed_part_) {
        const std::size_t before = size_;
        const bool complete = keep_until(kFixedOctets, octets);
        const std::size_t known = std::min(size_, kSignature.size());
        if (before < known && std::string_view(kept_.data(), known) != kSignature.substr(0, known)) {
            return malformed("no PROXY header");
        }
        if (!complete) return Progress::NeedsMore;
        has_fixed_part_ = true;
        if (const Progress progress = read_fixed_part(); progress == Progress::Malformed) return progress;
    }
    if (!keep_until(kFixedOctets + address_octets_, octets)) return Progress::NeedsMore;
    const std::size_t dropped = std::min(to_drop_, octets.size());
    octets.remove_prefix(dropped);
    to_drop_ -= dropped;
    return to_drop_ > 0 ? Progress::NeedsMore : read_addresses();
}

bool HeaderReader::keep_until(std::size_t total, std::string_view& octets) {
    const std::size_t taken = std::min(total - size_, octets.size());
    std::copy_n(octets.begin(), taken, kept_.begin() + static_cast<std::ptrdiff_t>(size_));
    octets.remove_prefix(taken);
    size_ += taken;
    return size_ == total;
}

HeaderReader::Progress HeaderReader::read_fixed_part() {
    const auto command = static_cast<std::uint8_t>(kept_[12]);
    const auto protocol = static_cast<std::uint8_t>(kept_[13]);
    const std::size_t length = read_16_bits(std::span(kept_).subspan(14, 2));
    const unsigned family = protocol >> 4, transport = protocol & 0xf;
    if (command >> 4 != 2) return malformed("version is not 2");
    if ((command & 0xf) > kProxy) return malformed("command is not LOCAL or PROXY");
    to_drop_ = length;
    if ((command & 0xf) == kLocal) return Progress::NeedsMore;
    if (family > kUnix || transport > kDatagram) return malformed("family or transport is not known");
    if (transport == kDatagram) return malformed("transport is not a stream");
    // An address without a transport, or the other way round, is as good as none.
    if (family == kUnspecified || transport == kNoTransport) return Progress::NeedsMore;
    const std::size_t needed = family == kInet ? kV4Octets : family == kInet6 ? kV6Octets : kUnixOctets;
    if (length < needed) return malformed("shorter than its addresses");
    if (family == kUnix) return Progress::NeedsMore;
    address_octets_ = needed;
    to_drop_ = length - needed;
    return Progress::NeedsMore;
}

HeaderReader::Progress HeaderReader::read_addresses() {
    if (address_octets_ == 0) return Progress::Done;
    const auto parts = std::span(kept_).subspan(kFixedOctets, address_octets_);
    const std::size_t each = (address_octets_ - 4) / 2;
    header_.announced = {{read_address(parts.subspan(0, each)), read_16_bits(parts.subspan(2 * each, 2))},
                         {read_address(parts.subspan(each, each)), read_16_bits(parts.subspan(2 * each + 2, 2))}};
    return Progress::Done;
}

}  // namespace postfleet::proxy
