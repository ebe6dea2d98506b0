#include "sink_rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "postfleet/base/glob.hpp"
#include "postfleet/base/text.hpp"
#include "provider_replies.hpp"

namespace postfleet::tools {

namespace {

constexpr std::array<const char*, kSinkPhases> kPhaseNames{"connect", "ehlo", "mail", "rcpt", "data", "end-of-data"};
// Distinct recipients or sources that rules with first= remember.
constexpr std::size_t kMaxRemembered = 10'000'000;

Error wrong(std::string text) { return {ErrorKind::InvalidArgument, std::move(text)}; }

// Words separated by blanks; double quotes keep blanks together and go away.
Result<std::vector<std::string>> split_words(std::string_view text) {
    std::vector<std::string> words;
    std::string word;
    bool in_quotes = false, has_word = false;
    for (const char c : text) {
        if (c == '"') {
            in_quotes = !in_quotes;
            has_word = true;
        } else if (!in_quotes && (c == ' ' || c == '\t')) {
            if (has_word) words.push_back(std::exchange(word, {}));
            has_word = false;
        } else {
            word += c;
            has_word = true;
        }
    }
    if (in_quotes) return wrong("a quote is not closed");
    if (has_word) words.push_back(std::move(word));
    return words;
}

std::optional<SinkFault> to_fault(std::string_view word) {
    if (word == "close") return SinkFault::Close;
    if (word == "reset") return SinkFault::Reset;
    if (word == "garbage") return SinkFault::Garbage;
    if (word == "half") return SinkFault::HalfReply;
    if (word == "stall") return SinkFault::Stall;
    return std::nullopt;
}

bool looks_like_reply(std::string_view text) {
    return text.size() >= 3 && std::all_of(text.begin(), text.begin() + 3, [](char c) { return c >= '0' && c <= '9'; });
}

template <class T>
bool parse_number(std::string_view text, T& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

const char* to_string(SinkPhase phase) { return kPhaseNames[static_cast<std::size_t>(phase)]; }

Result<std::unique_ptr<SinkRules>> SinkRules::parse(const std::vector<std::string>& rules, bool named_recipients,
                                                    std::uint64_t seed) {
    auto parsed = std::make_unique<SinkRules>();
    parsed->random_.seed(seed);
    parsed->named_recipients_ = named_recipients;
    for (std::size_t i = 0; i < rules.size(); ++i) {
        const std::string_view text = trim(rules[i]);
        if (text.empty() || text.front() == '#') continue;
        Result<Rule> rule = parse_rule(text);
        if (!rule)
            return wrong(fmt::format("sink rule {} (\"{}\"): {}", i + 1, printable(text, 100), rule.error().text));
        parsed->has_rules_[static_cast<std::size_t>(rule->phase)] = true;
        parsed->rules_.push_back(std::move(*rule));
    }
    if (named_recipients) {
        for (const SinkPhase phase : {SinkPhase::Rcpt, SinkPhase::EndOfData}) {
            parsed->has_rules_[static_cast<std::size_t>(phase)] = true;
        }
    }
    return parsed;
}

Result<SinkRules::Rule> SinkRules::parse_rule(std::string_view text) {
    Result<std::vector<std::string>> words = split_words(text);
    if (!words) return words.error();
    const auto phase = std::find(kPhaseNames.begin(), kPhaseNames.end(), (*words)[0]);
    if (phase == kPhaseNames.end()) {
        return wrong(
            fmt::format("\"{}\" is no phase; use one of connect, ehlo, mail, rcpt, data, end-of-data", (*words)[0]));
    }
    Rule rule;
    rule.phase = static_cast<SinkPhase>(phase - kPhaseNames.begin());
    bool does_something = false;
    for (std::size_t i = 1; i < words->size(); ++i) {
        const std::string_view word = (*words)[i];
        if (const auto fault = to_fault(word)) {
            rule.action.fault = *fault;
            does_something = true;
            continue;
        }
        const std::size_t equals = word.find('=');
        if (equals == std::string_view::npos)
            return wrong(fmt::format("\"{}\" is neither a condition nor an action", word));
        const std::string_view key = word.substr(0, equals);
        if (Status status = parse_condition(rule, key, word.substr(equals + 1)); !status) return status.error();
        does_something = does_something || key == "reply" || key == "delay";
    }
    if (!does_something) return wrong("it does nothing; add reply=, delay=, close, reset, garbage, half or stall");
    if (!rule.to.empty() && rule.phase != SinkPhase::Rcpt && rule.phase != SinkPhase::EndOfData) {
        return wrong("to= is only known at rcpt and end-of-data");
    }
    return rule;
}

Status SinkRules::parse_condition(Rule& rule, std::string_view key, std::string_view value) {
    if (key == "to") {
        rule.to = value;
    } else if (key == "from") {
        rule.from = value;
    } else if (key == "source") {
        Result<Network> network = Network::parse(value);
        if (!network) return network.error();
        rule.source = *network;
    } else if (key == "p") {
        if (!parse_number(value, rule.probability) || rule.probability < 0 || rule.probability > 1) {
            return wrong("p= takes a number from 0 to 1");
        }
    } else if (key == "first") {
        if (!parse_number(value, rule.first)) return wrong("first= takes a number");
    } else if (key == "delay") {
        Result<Duration> delay = parse_duration(value);
        if (!delay) return delay.error();
        rule.action.delay = *delay;
    } else if (key == "reply") {
        const ProviderReply* named = find_provider_reply(value);
        if (named == nullptr && !looks_like_reply(value)) {
            return wrong(
                fmt::format("reply={} is neither a reply code with text nor a known name; "
                            "`postfleet sink --list-replies` prints the names",
                            value));
        }
        rule.action.reply = named != nullptr ? named->lines : value;
    } else {
        return wrong(fmt::format("unknown key \"{}\"; use to, from, source, p, first, reply, delay", key));
    }
    return {};
}

bool SinkRules::holds(const Rule& rule, const SinkFacts& facts) {
    if (!rule.to.empty() && !matches_glob_ignoring_case(rule.to, facts.recipient)) return false;
    if (!rule.from.empty() && !matches_glob_ignoring_case(rule.from, facts.from)) return false;
    if (rule.source && !rule.source->contains(facts.source)) return false;
    if (rule.probability < 1) {
        const std::lock_guard lock(mutex_);
        if (std::uniform_real_distribution<double>(0, 1)(random_) >= rule.probability) return false;
    }
    if (rule.first == UINT32_MAX) return true;
    const auto number = static_cast<std::size_t>(&rule - rules_.data());
    const std::string who = rule.phase == SinkPhase::Rcpt ? std::string(facts.recipient) : facts.source.to_string();
    return is_among_first(fmt::format("{} {}", number, who), rule.first);
}

bool SinkRules::is_among_first(std::string key, std::uint32_t first) {
    const std::lock_guard lock(mutex_);
    if (seen_.size() >= kMaxRemembered && seen_.find(key) == seen_.end()) return false;
    std::uint32_t& times = seen_[std::move(key)];
    if (times >= first) return false;
    ++times;
    return true;
}

std::optional<SinkAction> SinkRules::match(SinkPhase phase, const SinkFacts& facts) {
    for (const Rule& rule : rules_) {
        if (rule.phase != phase || !holds(rule, facts)) continue;
        SinkAction action = rule.action;
        if (!action.reply.empty()) action.reply = render_reply(action.reply, facts);
        return action;
    }
    if (named_recipients_ && !facts.recipient.empty()) return match_named(phase, facts);
    return std::nullopt;
}

std::optional<SinkAction> SinkRules::match_named(SinkPhase phase, const SinkFacts& facts) {
    struct Named {
        std::string_view name;
        SinkPhase phase;
        std::string_view reply;
        SinkFault fault = SinkFault::None;
    };
    static constexpr auto kNamed = std::to_array<Named>({
        {"bounce", SinkPhase::Rcpt, "550 5.1.1 <{recipient}>: no such user here"},
        {"defer", SinkPhase::Rcpt, "450 4.2.0 <{recipient}>: try again later"},
        {"full", SinkPhase::Rcpt, "452 4.2.2 <{recipient}>: mailbox full"},
        {"spam", SinkPhase::EndOfData, "554 5.7.1 message content rejected"},
        {"drop", SinkPhase::EndOfData, "", SinkFault::Close},
        {"reset", SinkPhase::EndOfData, "", SinkFault::Reset},
        {"garbage", SinkPhase::EndOfData, "", SinkFault::Garbage},
        {"half", SinkPhase::EndOfData, "", SinkFault::HalfReply},
        {"stall", SinkPhase::EndOfData, "", SinkFault::Stall},
    });
    const std::string_view local = facts.recipient.substr(0, facts.recipient.rfind('@'));
    for (const Named& named : kNamed) {
        if (named.name != local) continue;
        if (named.phase != phase) return std::nullopt;
        return SinkAction{named.reply.empty() ? "" : render_reply(named.reply, facts), {}, named.fault};
    }
    if (phase == SinkPhase::EndOfData && (local == "slow" || local.starts_with("slow-"))) {
        const Result<Duration> delay = parse_duration(local == "slow" ? "2s" : local.substr(5));
        if (!delay) return std::nullopt;
        return SinkAction{"", *delay, SinkFault::None};
    }
    if (std::uint32_t times = 0;
        phase == SinkPhase::Rcpt && local.starts_with("defer-") && parse_number(local.substr(6), times)) {
        if (!is_among_first(fmt::format("named {}", facts.recipient), times)) return std::nullopt;
        return SinkAction{render_reply(kNamed[1].reply, facts), {}, SinkFault::None};
    }
    const ProviderReply* reply = find_provider_reply(local);
    if (reply == nullptr) return std::nullopt;
    const SinkPhase said_at = reply->phase == SinkPhase::EndOfData ? SinkPhase::EndOfData : SinkPhase::Rcpt;
    if (said_at != phase) return std::nullopt;
    return SinkAction{render_reply(reply->lines, facts), {}, SinkFault::None};
}

}  // namespace postfleet::tools
