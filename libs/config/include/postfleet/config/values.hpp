// Parts of Config (config.hpp): the kinds of values that several sections have: rates, limits, lists, choices.
//
// Threads: value types.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "postfleet/base/broker_access.hpp"
#include "postfleet/base/network.hpp"
#include "postfleet/base/time.hpp"

namespace postfleet::config {

// "500/m": at most `count` in each `period`, evenly paced: one every period / count.
struct Rate {
    std::uint64_t count = 0;  // 0: unlimited
    Duration period{};        // a second, minute, hour or day
    bool is_unlimited() const { return count == 0; }
    Duration interval() const { return count == 0 ? Duration{} : period / static_cast<Duration::rep>(count); }
    std::string to_string() const;  // "500/m", "unlimited"
    friend bool operator==(const Rate&, const Rate&) = default;
};

// "10MiB/m": at most so many octets of messages in each period; each message is paid for before the next one goes.
struct DataRate {
    std::uint64_t octets = 0;  // 0: unlimited
    Duration period{};
    bool is_unlimited() const { return octets == 0; }
    // How long `amount` octets are paid for; zero when unlimited.
    Duration time_for(std::uint64_t amount) const;
    std::string to_string() const;  // "10MiB/m", "unlimited"
    friend bool operator==(const DataRate&, const DataRate&) = default;
};

// A value that may be unlimited ("unlimited" in the text).
inline constexpr std::uint32_t kUnlimited = UINT32_MAX;

struct CountList {
    std::vector<std::uint32_t> values;
    friend bool operator==(const CountList&, const CountList&) = default;
};

struct VirtualMtaName {  // or a pool's
    std::string text;    // empty: none
    friend bool operator==(const VirtualMtaName&, const VirtualMtaName&) = default;
};

// What several queues may do together.
struct FlowLimits {
    std::uint32_t max_connections = kUnlimited;
    Rate max_message_rate;  // attempted recipients
    Rate max_connect_rate;  // connection attempts
    DataRate max_data_rate;
    bool is_unlimited() const { return *this == FlowLimits{}; }
    bool is_paced() const { return !max_message_rate.is_unlimited() || !max_data_rate.is_unlimited(); }
    friend bool operator==(const FlowLimits&, const FlowLimits&) = default;
};

// Limits of delivery that are wider than a queue, a virtual MTA or a provider.
struct Outbound {
    FlowLimits total;
    FlowLimits per_source;  // of each source address
};

// "2h", or "never".
struct DurationOrNever {
    Duration value{};  // zero: never
    bool is_never() const { return value == Duration::zero(); }
    friend bool operator==(const DurationOrNever&, const DurationOrNever&) = default;
};

enum class HeaderTrust { Ignore, Honour };             // X-Virtual-MTA, X-Job, X-EnvID
enum class LineEnds { Strict, Normalize };             // bare CR or LF: refuse, or make CRLF
enum class ListenerTls { None, Starttls, Implicit };   // RFC 3207, RFC 8314
enum class ListenerAuth { None, Optional, Required };  // RFC 4954
enum class DeliveryTls { None, May, Require, Verify };
enum class TlsMinVersion { Tls12, Tls13 };

// Texts with a kind, so that a shaping key's type says what it takes.
struct FilePath {
    std::string text;  // absolute; empty: none
    friend bool operator==(const FilePath&, const FilePath&) = default;
};
struct CipherList {
    std::string text;  // as OpenSSL writes it; empty: the default
    friend bool operator==(const CipherList&, const CipherList&) = default;
};
using HostNames = std::vector<std::string>;
// A message broker, and how we get in; its section's keys: src/tables_broker.hpp.
using BrokerAccess = postfleet::BrokerAccess;

enum class Unknown { Refuse, Default };  // X-Virtual-MTA names something that does not exist

// Which addresses of a host are connected to, and which of them first.
enum class AddressFamily { Ipv6First, Ipv4First, Ipv6, Ipv4 };

enum class MessageChecks { Allow, Repair, Refuse };   // what to do with a message that breaks RFC 5322
enum class ReceivedField { Full, HideClient, None };  // the trace field that a listener adds

// 127.0.0.0/8 and ::1.
std::vector<Network> loopback_networks();

// How much may arrive: `count` at once, then evenly `count` per period.
struct ArrivalRates {
    Rate connections, messages, recipients;
};

}  // namespace postfleet::config
