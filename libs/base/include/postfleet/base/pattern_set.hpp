// PatternSet: many patterns over one subject: which of them match, in their order, in a few microseconds.
//
// Most patterns have octets that every match must contain ("user unknown" in "user unknown|no such user" is one
// of two). One pass over the subject finds which of these literals are there; only the patterns they belong to,
// and those without a literal, are then run. The answer is that of running every pattern.
//
//   subject ─ three octets at a time ─▶ table of literals ─▶ candidates ─ PCRE, in order ─▶ visit(number)
//
// Case is ignored, as in Pattern. Threads: immutable once compiled; thread-safe. Errors: compile() names the
// pattern that is wrong; one that gives up (Pattern::Match::GaveUp) counts as no match.
#pragma once

#include <bitset>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/base/pattern.hpp"

namespace postfleet {

class PatternSet final {
public:
    // `pattern` of the Error's text is the one that does not compile.
    static Result<PatternSet> compile(std::span<const std::string> texts);

    // Calls visit(number of the pattern) for every one that matches, first to last, until it answers false.
    template <class Visit>
    void visit_matches(std::string_view subject, Visit&& visit) const {
        for (const std::uint32_t number : candidates(subject)) {
            if (patterns_[number].matches(subject) && !visit(static_cast<std::size_t>(number))) return;
        }
    }
    std::optional<std::size_t> first_match(std::string_view subject) const;
    std::size_t size() const { return patterns_.size(); }
    // The patterns that have to be run, in order (for tests and measurements).
    std::vector<std::uint32_t> candidates(std::string_view subject) const;

private:
    struct Literal {
        std::uint32_t key = 0;  // its first three octets
        std::uint32_t pattern = 0;
        std::string text;  // lower case
    };
    void index(std::uint32_t number, std::string_view text);

    std::vector<Pattern> patterns_;
    std::vector<std::uint32_t> always_;  // no literal is known
    std::vector<Literal> literals_;      // sorted by key
    std::bitset<1 << 14> keys_;          // by a hash of the key: mostly says no
};

// What the matches of a pattern must contain: one of these texts (lower case, three octets or more). Empty: nothing
// is known. Never wrong, often less than could be said.
std::vector<std::string> required_literals(std::string_view pattern);

}  // namespace postfleet
