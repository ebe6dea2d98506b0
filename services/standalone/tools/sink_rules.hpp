// SinkRules: which recipients, senders and connections a sink answers otherwise than with success.
//
// A rule is one line: a phase, conditions that must all hold, and what to do. The first match decides.
//
//   PHASE        connect ehlo mail rcpt data end-of-data
//   to=GLOB      the recipient (rcpt; at end-of-data: any accepted one)
//   from=GLOB    the reverse-path (mail and later)
//   source=NET   the client's address or network
//   p=0.2        with this probability
//   first=N      the first N times for the same recipient (rcpt) or source address (elsewhere)
//   reply="450 4.2.1 later" or reply=NAME (a real provider's words: provider_replies.hpp)
//   delay=2s     before the reply
//   close, reset, garbage, half, stall   instead of the reply: FIN, RST, random octets, half of the reply and
//                then nothing, nothing
//
//   rcpt to=*@full.test reply="452 4.2.2 mailbox full"
//   end-of-data source=127.0.0.2 first=3 reply=gmail-rate
//   connect p=0.05 reset
//
// Named recipients work without any rule, in every domain: bounce@ defer@ defer-N@ (refused N times) slow@
// slow-500ms@ full@ spam@ drop@ reset@ garbage@ half@ stall@ and every provider reply's name. What concerns
// content (slow, spam, drop …) happens at end-of-data, the rest at rcpt. A reply 421 closes the connection.
//
// Threads: match() is thread-safe; it locks only for rules with p= or first=. Errors: parse(), with the rule's number.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "postfleet/base/network.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/base/time.hpp"

namespace postfleet::tools {

enum class SinkPhase : std::uint8_t { Connect, Ehlo, Mail, Rcpt, Data, EndOfData };
inline constexpr std::size_t kSinkPhases = 6;
const char* to_string(SinkPhase phase);

enum class SinkFault : std::uint8_t { None, Close, Reset, Garbage, HalfReply, Stall };

struct SinkAction {
    std::string reply;  // with line ends, placeholders filled in; empty: the usual reply
    Duration delay{};
    SinkFault fault = SinkFault::None;
};

struct SinkFacts {
    const IpAddress& source;
    std::string_view from;
    std::string_view recipient;  // rcpt and end-of-data
};

class SinkRules {
public:
    static Result<std::unique_ptr<SinkRules>> parse(const std::vector<std::string>& rules, bool named_recipients,
                                                    std::uint64_t seed);

    bool may_match(SinkPhase phase) const { return has_rules_[static_cast<std::size_t>(phase)]; }
    std::optional<SinkAction> match(SinkPhase phase, const SinkFacts& facts);

private:
    struct Rule {
        SinkPhase phase = SinkPhase::Rcpt;
        std::string to, from;
        std::optional<Network> source;
        double probability = 1;
        std::uint32_t first = UINT32_MAX;
        SinkAction action;
    };

    static Result<Rule> parse_rule(std::string_view text);
    static Status parse_condition(Rule& rule, std::string_view key, std::string_view value);
    bool holds(const Rule& rule, const SinkFacts& facts);
    bool is_among_first(std::string key, std::uint32_t first);
    std::optional<SinkAction> match_named(SinkPhase phase, const SinkFacts& facts);

    std::vector<Rule> rules_;
    bool has_rules_[kSinkPhases] = {};
    bool named_recipients_ = true;
    std::mutex mutex_;  // random_ and seen_
    std::mt19937_64 random_;
    std::unordered_map<std::string, std::uint32_t> seen_;
};

}  // namespace postfleet::tools
