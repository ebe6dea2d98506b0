// HeaderReader: the header of the PROXY protocol, versions 1 and 2, in front of a connection (HAProxy,
// doc/proxy-protocol.txt). README.md says what it means.
//
//   1: "PROXY TCP4 192.0.2.1 198.51.100.1 56324 25\r\n", at most 107 octets
//   2: a signature of 12 octets, version and command, family and transport, length (16 bits), addresses, TLVs
//
// take() is given what arrives, in pieces of any size, and removes what belongs to the header from the front of it.
// What is wrong is found at the first octet that cannot stand there, so that nobody's small talk waits for a line end.
//
// Sans-IO. Threads: confined. Units: octets. Errors: Progress::Malformed with problem(); then the connection must end.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "postfleet/base/network.hpp"

namespace postfleet::proxy {

struct Header {
    struct Ends {
        Endpoint client, server;
    };
    std::optional<Ends> announced;  // nothing: the connection is the proxy's own, or it does not know whose
};

class HeaderReader final {
public:
    enum class Progress : std::uint8_t { NeedsMore, Done, Malformed };

    Progress take(std::string_view& octets);
    const Header& header() const { return header_; }       // when Done
    std::string_view problem() const { return problem_; }  // when Malformed

private:
    static constexpr std::size_t kMaxLine = 107;  // version 1, with its line end

    Progress take_line(std::string_view& octets);
    Progress take_binary(std::string_view& octets);
    bool keep_until(std::size_t total, std::string_view& octets);
    Progress read_line(std::string_view line);
    Progress read_fixed_part();
    Progress read_addresses();
    Progress malformed(std::string_view problem);

    std::array<char, kMaxLine> kept_{};
    std::size_t size_ = 0;            // of kept_
    std::size_t address_octets_ = 0;  // version 2: to be kept behind the fixed part
    std::size_t to_drop_ = 0;         // version 2: behind the addresses
    bool has_fixed_part_ = false;
    Progress progress_ = Progress::NeedsMore;
    Header header_;
    std::string_view problem_;
};

}  // namespace postfleet::proxy
