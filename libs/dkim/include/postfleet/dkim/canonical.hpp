// Canonicalisation: the form of a header field and of a body that is hashed (RFC 6376 §3.4).
//
//             simple                               relaxed
//   header    as it is                             name in lower case, unfolded, white space runs are one space
//   body      empty lines at the end go;           also: white space runs are one space, none at a line's end;
//             an empty body is one CRLF            an empty body stays empty
//
// The body comes in pieces, cut anywhere, in memory that does not depend on its size: what came out is given to the
// sink in pieces of a few KiB. A line end is CRLF; a CR or LF alone is an octet like any other. A last line without a
// line end gets one.
//
// Threads: confined.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "postfleet/base/function.hpp"
#include "postfleet/config/config.hpp"

namespace postfleet::dkim {

using config::Canonicalization;

// `field` is the whole field; without a line end at its end (the signature itself) the form has none, either.
void append_canonical_field(std::string& out, std::string_view field, Canonicalization form);

class BodyCanonicalizer final {
public:
    using Sink = UniqueFunction<void(std::string_view)>;
    BodyCanonicalizer(Canonicalization form, Sink sink) : form_(form), sink_(std::move(sink)) {}

    void add(std::string_view octets);
    // After the last piece.
    void finish();

private:
    void add_line_part(std::string_view part);
    void on_line_end();
    void append(std::string_view octets);
    void flush();

    const Canonicalization form_;
    Sink sink_;
    std::string out_;
    std::uint64_t line_ends_ = 0;  // seen, not yet written: empty lines may follow to the end
    bool has_text_ = false;        // something was written
    bool holds_cr_ = false;        // the last octet was a CR
    bool holds_space_ = false;     // relaxed: white space that may be a line's end
};

}  // namespace postfleet::dkim
