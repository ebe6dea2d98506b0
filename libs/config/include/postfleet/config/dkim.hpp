// DkimRule: one DKIM key and the mail it signs, as the configuration has it (RFC 6376). libs/dkim says which rules
// sign a message. Secrets are not here: only where to find them.
//
// Threads: a value type.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "postfleet/base/document.hpp"
#include "postfleet/base/time.hpp"

namespace postfleet::config {

enum class Canonicalization : std::uint8_t { Simple, Relaxed };  // RFC 6376 §3.4
struct Canonicalizations {
    Canonicalization header = Canonicalization::Relaxed, body = Canonicalization::Relaxed;
    friend bool operator==(const Canonicalizations&, const Canonicalizations&) = default;
};
enum class SigningCall { Always, Requested };  // requested: by X-DKIM-Options
enum class IdentityField { From, Sender };     // sender: From where there is no Sender

// One DKIM key and the mail it signs (libs/dkim/rules chooses).
struct DkimRule {
    std::string domain;  // d=; "*": that of the message
    std::string selector, key_file;
    std::vector<std::string> match;           // "a.example", ".a.example", "*"; empty: `domain` and everything below it
    std::vector<std::string> tenants, users;  // empty: any
    std::string key_list;                     // a list that X-DKIM-Options names; empty: not in one
    SigningCall when = SigningCall::Always;
    bool also = false;  // beside the nearest rule's signature
    IdentityField identity_from = IdentityField::From;
    std::string identity;  // i=; empty: none
    std::vector<std::string> headers = default_headers(), oversign = default_oversign();
    Canonicalizations canonicalization;
    Duration expire_after{};    // zero: no x=
    std::string bimi_selector;  // empty: no BIMI-Selector is added
    Origin origin;
    std::string label() const { return domain + "/" + selector; }

    // Signed where the message has them, and signed even where it has not, so that nobody can add them.
    static std::vector<std::string> default_headers();
    static std::vector<std::string> default_oversign();
};

}  // namespace postfleet::config
