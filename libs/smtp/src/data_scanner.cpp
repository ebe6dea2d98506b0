#include "postfleet/smtp/data_scanner.hpp"

#include <bit>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "postfleet/base/require.hpp"

namespace postfleet::smtp {
namespace {

constexpr std::size_t kBlock = 64;

// One bit per octet of a block.
struct Masks {
    std::uint64_t cr = 0, lf = 0, dot = 0, nul = 0, high = 0;
};

#if defined(__SSE2__)
Masks masks_of(const char* block) {
    const auto equal = [](__m128i octets, char c) {
        return static_cast<std::uint64_t>(
            static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(octets, _mm_set1_epi8(c)))));
    };
    Masks masks;
    for (unsigned part = 0; part < kBlock / 16; ++part) {
        const __m128i octets = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block + part * 16));
        const unsigned shift = part * 16;
        masks.cr |= equal(octets, '\r') << shift;
        masks.lf |= equal(octets, '\n') << shift;
        masks.dot |= equal(octets, '.') << shift;
        masks.nul |= equal(octets, '\0') << shift;
        masks.high |= static_cast<std::uint64_t>(static_cast<std::uint32_t>(_mm_movemask_epi8(octets))) << shift;
    }
    return masks;
}
#else
Masks masks_of(const char* block) {
    Masks masks;
    for (unsigned i = 0; i < kBlock; ++i) {
        const auto c = static_cast<unsigned char>(block[i]);
        const std::uint64_t bit = std::uint64_t{1} << i;
        if (c == '\r') masks.cr |= bit;
        if (c == '\n') masks.lf |= bit;
        if (c == '.') masks.dot |= bit;
        if (c == '\0') masks.nul |= bit;
        if (c >= 0x80) masks.high |= bit;
    }
    return masks;
}
#endif

struct CleanRun {
    std::size_t length = 0;
    bool has_eight_bit = false;
    bool has_leading_dots = false;
};

// The longest prefix in which every line ends in CRLF, no octet is NUL and, where dots have a meaning, no line starts
// with one. A CR whose successor is bad, or not here yet, is left out.
CleanRun clean_run(std::string_view input, bool at_line_start, Framing framing) {
    CleanRun run;
    const std::uint64_t dots_stop = framing == Framing::Dots ? ~std::uint64_t{0} : 0;
    std::uint64_t leading_dots = 0;
    std::uint64_t cr_before = 0;
    std::uint64_t lf_before = at_line_start ? 1 : 0;
    std::uint64_t high = 0;
    for (std::size_t at = 0; at < input.size(); at += kBlock) {
        const std::size_t left = input.size() - at;
        Masks masks;
        std::uint64_t here = ~std::uint64_t{0};
        if (left >= kBlock) {
            masks = masks_of(input.data() + at);
        } else {
            char padded[kBlock] = {};
            std::memcpy(padded, input.data() + at, left);
            masks = masks_of(padded);
            here = (std::uint64_t{1} << left) - 1;
        }
        const std::uint64_t after_cr = (masks.cr << 1) | cr_before;
        const std::uint64_t after_lf = (masks.lf << 1) | lf_before;
        const std::uint64_t dots = masks.dot & after_lf;
        const std::uint64_t stop = ((masks.lf ^ after_cr) | (dots & dots_stop) | masks.nul) & here;
        if (stop != 0) {
            const std::uint64_t first = stop & (~stop + 1);
            run.length = at + static_cast<std::size_t>(std::countr_zero(stop)) - ((after_cr & first) != 0 ? 1 : 0);
            run.has_eight_bit = (high | (masks.high & (first - 1))) != 0;
            run.has_leading_dots = (leading_dots | (dots & (first - 1))) != 0;
            return run;
        }
        high |= masks.high & here;
        leading_dots |= dots & here;
        cr_before = masks.cr >> (kBlock - 1);
        lf_before = masks.lf >> (kBlock - 1);
    }
    run.length = input.size() - (!input.empty() && input.back() == '\r' ? 1 : 0);
    run.has_eight_bit = high != 0;
    run.has_leading_dots = leading_dots != 0;
    return run;
}

}  // namespace

DataScanner::Progress DataScanner::scan(std::string_view input, std::string& out) {
    require(state_ != State::End);
    std::size_t at = 0;
    while (at < input.size()) {
        if (state_ == State::Text || state_ == State::LineStart) {
            at += copy_clean_run(input.substr(at), out);
            if (at == input.size()) break;
        }
        step(input[at++], out);
        if (state_ == State::End) return {at, true};
    }
    return {at, false};
}

std::size_t DataScanner::copy_clean_run(std::string_view input, std::string& out) {
    const CleanRun run = clean_run(input, state_ == State::LineStart, framing_);
    if (run.length == 0) return 0;
    keep(input.substr(0, run.length), out);
    has_eight_bit_ |= run.has_eight_bit;
    has_leading_dots_ |= run.has_leading_dots;
    state_ = input[run.length - 1] == '\n' ? State::LineStart : State::Text;
    return run.length;
}

void DataScanner::finish(std::string& out) {
    require(framing_ == Framing::Octets);
    if (state_ == State::Cr) bare_line_end(Flaw::BareCr, out);
    else if (state_ == State::Text) keep("\r\n", out);
    state_ = State::End;
}

void DataScanner::step(char c, std::string& out) {
    switch (state_) {
        case State::Text: text(c, out); return;
        case State::LineStart:
        case State::BareLineStart:
            if (c == '.' && framing_ == Framing::Octets) has_leading_dots_ = true;
            if (c == '.' && framing_ == Framing::Dots) {
                state_ = state_ == State::LineStart ? State::Dot : State::BareDot;
                return;
            }
            text(c, out);
            return;
        case State::Cr:
            if (c == '\n') {
                keep("\r\n", out);
                state_ = State::LineStart;
                return;
            }
            bare_line_end(Flaw::BareCr, out);
            step(c, out);
            return;
        case State::Dot:
        case State::BareDot:
            if (c == '\r') {
                state_ = state_ == State::Dot ? State::DotCr : State::BareDotCr;
                return;
            }
            if (c == '.') has_leading_dots_ = true;
            text(c, out);
            return;
        case State::DotCr:
        case State::BareDotCr:
            if (c == '\n') {
                if (state_ == State::BareDotCr) keep("\r\n", out);
                state_ = state_ == State::DotCr ? State::End : State::LineStart;
                return;
            }
            bare_line_end(Flaw::BareCr, out);
            step(c, out);
            return;
        case State::End: return;
    }
}

// One octet of a line, past what its first octet may mean.
void DataScanner::text(char c, std::string& out) {
    if (c == '\r') {
        state_ = State::Cr;
        return;
    }
    if (c == '\n') {
        bare_line_end(Flaw::BareLf, out);
        return;
    }
    if (c == '\0') {
        found(Flaw::Nul);
        c = ' ';
    }
    has_eight_bit_ |= (c & 0x80) != 0;
    keep(std::string_view(&c, 1), out);
    state_ = State::Text;
}

void DataScanner::bare_line_end(Flaw flaw, std::string& out) {
    found(flaw);
    keep("\r\n", out);
    state_ = State::BareLineStart;
}

void DataScanner::found(Flaw flaw) {
    if (policy_ == LineEndPolicy::Normalize) return;
    if (flaw_ == Flaw::None) flaw_ = flaw;
    keeping_ = false;
}

}  // namespace postfleet::smtp
