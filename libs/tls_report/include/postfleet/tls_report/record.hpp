// The TXT record that asks for TLS reports (RFC 8460 §3). Threads: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace postfleet::tls_report {

struct Destination {
    enum class Kind : unsigned char { Mail, Https } kind = Kind::Mail;
    std::string address;  // Mail: "tlsrpt@example.com", lower-case domain
    std::string host;     // Https
    std::string target;   // Https: path and query
    friend bool operator==(const Destination&, const Destination&) = default;
};

inline constexpr std::size_t kMaxDestinations = 5;  // more are passed over

// Where reports go, by the one good record among these; empty: none are asked for.
std::vector<Destination> parse_record(const std::vector<std::string>& records);

}  // namespace postfleet::tls_report
