// TLS policy: what is asked of TLS with one host, and what happens when it is not had. The only place that decides
// between TLS, plain text and another host.
//
//   demand       what the queue's setting asks of a host, and, where it leaves room, what has been published:
//                usable TLSA records bind (DANE, RFC 7672 §2.2); records of which none is usable ask for encryption
//                alone; records that cannot be looked up rule the host out, for whoever can suppress them could read.
//                Where DANE does not authenticate the host, the domain's MTA-STS policy does in mode enforce
//                (RFC 8461 §5): hosts that it does not name are ruled out, the others have to prove their name
//   on_greeting  the host has answered EHLO: STARTTLS, go on in clear, or not here
//   on_trouble   STARTTLS was refused or the handshake failed: again in clear over a fresh connection, or not here
//
// Where plain text is not allowed, no path leads to it: a host that will not do is passed over, and when none is left
// the mail is deferred. Threads: pure functions and values.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "postfleet/config/config.hpp"
#include "postfleet/mta_sts/policy.hpp"
#include "postfleet/ports/tls_client.hpp"

namespace postfleet::sender {

enum class TlsLevel : std::uint8_t {
    None,           // never TLS
    Opportunistic,  // TLS if it works, else plain text
    Encrypted,      // TLS, whoever it is
    Verified,       // TLS with a server that has proved who it is
};

struct TlsDemand {
    TlsLevel level = TlsLevel::None;
    TlsAuthentication authentication = TlsAuthentication::Any;
    std::vector<std::string> names = {};  // that may match besides the host's
    std::string_view policy = "none";     // as the setting is written, "dane" or "mta-sts": in events, and in reasons
    std::string server_name = {};         // instead of the host's name
    std::vector<TlsaRecord> tlsa = {};    // Dane
    std::string refusal = {};             // why this host is not used at all; empty: it is
    bool is_sts = false;                  // an MTA-STS policy vouches that mail for the domain goes to this host
};

TlsDemand demand_of(const config::ShapingValues& settings);

// What it is with a next hop of a route, which may ask for more.
TlsDemand on_route(TlsDemand demand, const config::RouteAccess& access, const config::ShapingValues& settings);

// Whether what receivers publish counts: where the setting asks for less than that.
bool heeds_publications(const TlsDemand& demand);
// The demand with the TLSA records of `base`; nothing: there are none that are believed.
std::optional<TlsDemand> with_tlsa(TlsDemand demand, const std::string& base, TlsaAnswer&& answer);
// The demand with the domain's MTA-STS policy.
TlsDemand with_sts(TlsDemand demand, const mta_sts::Policy& policy, const std::string& host);

enum class TlsStep : std::uint8_t { Secure, GoOnInClear, TryInClear, PassOver };

struct TlsOffer {
    bool offers_starttls = false;
    bool can_secure = true;        // there is a TlsClient
    bool is_known_broken = false;  // TLS failed with this host a short while ago
};
TlsStep on_greeting(const TlsDemand& demand, const TlsOffer& offer);
TlsStep on_trouble(const TlsDemand& demand);

TlsRules tls_rules_of(const config::ShapingValues& settings);

}  // namespace postfleet::sender
