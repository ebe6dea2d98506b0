// Pattern: a compiled regular expression in Perl's syntax (PCRE2, with JIT), that cannot run away.
//
// A match is sought anywhere in the subject; anchor with ^ and $. Work is bounded: a subject is looked at up
// to kMaxSubjectOctets, and a match that takes more than kMatchLimit steps gives up, which takes a few
// milliseconds at most, however the pattern and the subject were made. Octets are characters (no UTF mode),
// so every subject is legal; case is ASCII's.
//
// Threads: immutable once compiled; matching is thread-safe (each thread has match data of its own). A
// default-made or moved-from Pattern matches nothing. Never blocks.
// Errors: compile() says what is wrong and at which character. Giving up is not an error: callers count it
// and treat it as no match.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "postfleet/base/result.hpp"

struct pcre2_real_code_8;

namespace postfleet {

class Pattern {
public:
    static constexpr std::size_t kMaxTextOctets = 8 * 1024;
    static constexpr std::size_t kMaxSubjectOctets = 16 * 1024;
    static constexpr std::uint32_t kMatchLimit = 50'000;
    static constexpr std::uint32_t kHeapLimitKibibytes = 1024;

    enum class Case { Ignore, Distinguish };
    enum class Match { No, Yes, GaveUp };

    static Result<Pattern> compile(std::string_view text, Case letters = Case::Ignore);

    Match find_in(std::string_view subject) const;
    bool matches(std::string_view subject) const { return find_in(subject) == Match::Yes; }
    const std::string& text() const { return text_; }

private:
    struct FreeCode {
        void operator()(pcre2_real_code_8* code) const;
    };
    std::unique_ptr<pcre2_real_code_8, FreeCode> code_;
    std::string text_;
};

}  // namespace postfleet
