// DataScanner: finds the end of the mail data, takes the dots out, and checks its line ends, in one pass
// (RFC 5321 §4.1.1.4, §4.5.2; SMTP smuggling: VU#302671).
//
// Only CRLF.CRLF ends the data, whatever the mode and wherever the input is cut. A CR without LF, an LF
// without CR and a NUL octet are flaws: Strict remembers the first one and keeps nothing more; Normalize
// makes each CR or LF that stands alone a CRLF and each NUL a space. So what comes out has CRLF line ends
// and no NUL, always.
//
//   Text ─CR▶ Cr ─LF▶ LineStart ─"."▶ Dot ─CR▶ DotCr ─LF▶ End
//   after a bare CR or LF: BareLineStart ─"."▶ BareDot ─CR▶ BareDotCr ─LF▶ LineStart   (never End)
//
// With Framing::Octets (BDAT, RFC 3030) the data has its length from elsewhere: a "." is a "." and nothing ends it but
// finish(), which gives the last line its CRLF if it has none.
//
// A "." at the start of a line is dropped when something follows it in that line. Clean runs are found 64
// octets at a time and appended as they are.
//
// Threads: confined. Allocation: only what `out` needs to grow. Errors: none; a flaw is a property of the
// data, and the caller goes on to the end to answer it there.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace postfleet::smtp {

enum class LineEndPolicy : std::uint8_t { Strict, Normalize };

enum class Framing : std::uint8_t { Dots, Octets };

class DataScanner {
public:
    enum class Flaw : std::uint8_t { None, BareCr, BareLf, Nul };

    struct Progress {
        std::size_t consumed = 0;  // of the input; less than all of it only when `ended`
        bool ended = false;        // CRLF.CRLF was seen; the scanner must not be used again
    };

    explicit DataScanner(LineEndPolicy policy, Framing framing = Framing::Dots) : policy_(policy), framing_(framing) {}

    // Appends the content found in `input` to `out`: at most 2 × input.size() + 2 octets (Normalize),
    // input.size() + 1 (Strict).
    Progress scan(std::string_view input, std::string& out);
    // Framing::Octets: there is no more. Appends at most 2 octets.
    void finish(std::string& out);
    // From now on appends nothing and only looks for the end.
    void discard() { keeping_ = false; }

    Flaw flaw() const { return flaw_; }  // the first one, Strict only
    bool has_leading_dots() const { return has_leading_dots_; }
    bool has_eight_bit() const { return has_eight_bit_; }

private:
    enum class State : std::uint8_t { Text, Cr, LineStart, BareLineStart, Dot, BareDot, DotCr, BareDotCr, End };

    std::size_t copy_clean_run(std::string_view input, std::string& out);
    void step(char c, std::string& out);
    void text(char c, std::string& out);
    void bare_line_end(Flaw flaw, std::string& out);
    void keep(std::string_view octets, std::string& out) {
        if (keeping_) out.append(octets);
    }
    void found(Flaw flaw);

    LineEndPolicy policy_;
    Framing framing_;
    State state_ = State::LineStart;
    Flaw flaw_ = Flaw::None;
    bool keeping_ = true;
    bool has_leading_dots_ = false;
    bool has_eight_bit_ = false;
};

}  // namespace postfleet::smtp
