#include "status_gloss.hpp"

#include <algorithm>
#include <array>

namespace postfleet::report {
namespace {

struct Gloss {
    std::uint16_t subject, detail;
    std::string_view words;
};

// RFC 3463 §3, RFC 7372, RFC 7505, RFC 8689; sorted.
constexpr std::array kGlosses{
    Gloss{0, 0, "undefined status"},
    Gloss{1, 0, "other address status"},
    Gloss{1, 1, "bad destination mailbox address"},
    Gloss{1, 2, "bad destination system address"},
    Gloss{1, 3, "bad destination mailbox address syntax"},
    Gloss{1, 4, "destination mailbox address ambiguous"},
    Gloss{1, 5, "destination mailbox address valid"},
    Gloss{1, 6, "mailbox has moved"},
    Gloss{1, 7, "bad sender's mailbox address syntax"},
    Gloss{1, 8, "bad sender's system address"},
    Gloss{1, 10, "recipient address has null MX"},
    Gloss{2, 0, "other or undefined mailbox status"},
    Gloss{2, 1, "mailbox disabled"},
    Gloss{2, 2, "mailbox full"},
    Gloss{2, 3, "message length exceeds administrative limit"},
    Gloss{2, 4, "mailing list expansion problem"},
    Gloss{3, 0, "other or undefined mail system status"},
    Gloss{3, 1, "mail system full"},
    Gloss{3, 2, "system not accepting network messages"},
    Gloss{3, 3, "system not capable of selected features"},
    Gloss{3, 4, "message too big for system"},
    Gloss{3, 5, "system incorrectly configured"},
    Gloss{4, 0, "other or undefined network or routing status"},
    Gloss{4, 1, "no answer from host"},
    Gloss{4, 2, "bad connection"},
    Gloss{4, 3, "routing server failure"},
    Gloss{4, 4, "unable to route"},
    Gloss{4, 5, "network congestion"},
    Gloss{4, 6, "routing loop detected"},
    Gloss{4, 7, "delivery time expired"},
    Gloss{5, 0, "other or undefined protocol status"},
    Gloss{5, 1, "invalid command"},
    Gloss{5, 2, "syntax error"},
    Gloss{5, 3, "too many recipients"},
    Gloss{5, 4, "invalid command arguments"},
    Gloss{5, 5, "wrong protocol version"},
    Gloss{6, 0, "other or undefined media error"},
    Gloss{6, 1, "media not supported"},
    Gloss{6, 2, "conversion required and prohibited"},
    Gloss{6, 3, "conversion required but not supported"},
    Gloss{6, 4, "conversion with loss performed"},
    Gloss{6, 5, "conversion failed"},
    Gloss{6, 7, "non-ASCII addresses not permitted"},
    Gloss{7, 0, "other or undefined security status"},
    Gloss{7, 1, "delivery not authorized"},
    Gloss{7, 2, "mailing list expansion prohibited"},
    Gloss{7, 3, "security conversion required but not possible"},
    Gloss{7, 4, "security features not supported"},
    Gloss{7, 5, "cryptographic failure"},
    Gloss{7, 6, "cryptographic algorithm not supported"},
    Gloss{7, 7, "message integrity failure"},
    Gloss{7, 10, "encryption needed"},
    Gloss{7, 20, "no passing DKIM signature found"},
    Gloss{7, 23, "SPF validation failed"},
    Gloss{7, 25, "reverse DNS validation failed"},
    Gloss{7, 26, "multiple authentication checks failed"},
    Gloss{7, 27, "sender address has null MX"},
    Gloss{7, 28, "mail flood detected"},
    Gloss{7, 30, "REQUIRETLS support required"},
};

std::string_view find(std::uint16_t subject, std::uint16_t detail) {
    const auto found = std::find_if(kGlosses.begin(), kGlosses.end(),
                                    [&](const Gloss& g) { return g.subject == subject && g.detail == detail; });
    return found == kGlosses.end() ? std::string_view() : found->words;
}

}  // namespace

std::string_view gloss(const EnhancedStatus& status) {
    if (status.klass == 2) return "success";
    if (const auto words = find(status.subject, status.detail); !words.empty()) return words;
    if (const auto words = find(status.subject, 0); !words.empty()) return words;
    return kGlosses.front().words;
}

}  // namespace postfleet::report
