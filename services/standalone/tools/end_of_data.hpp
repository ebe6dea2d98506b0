// EndOfDataScanner: finds CRLF.CRLF in content that arrives in pieces (RFC 5321 §4.1.1.4).
//
// Looks at each octet once and keeps none. Threads: confined.
#pragma once

#include <cstring>
#include <string_view>

namespace postfleet::tools {

class EndOfDataScanner {
public:
    // Before the first piece: the CRLF of the DATA command counts, so ".CRLF" alone ends empty content.
    void reset() { matched_ = 2; }

    static constexpr std::size_t npos = std::string_view::npos;
    // Octets of `piece` up to and including the final CRLF.CRLF, or npos if it is not there yet.
    std::size_t find_end(std::string_view piece) {
        std::size_t at = 0;
        while (at < piece.size()) {
            if (matched_ == 0) {
                // Only a line end can start it; most content has a line end every 70 octets or so.
                const void* cr = std::memchr(piece.data() + at, '\r', piece.size() - at);
                if (cr == nullptr) return npos;
                at = static_cast<std::size_t>(static_cast<const char*>(cr) - piece.data()) + 1;
                matched_ = 1;
                continue;
            }
            matched_ = next(matched_, piece[at++]);
            if (matched_ == kEnd.size()) return at;
        }
        return npos;
    }

private:
    static constexpr std::string_view kEnd = "\r\n.\r\n";
    static std::size_t next(std::size_t matched, char c) {
        if (c == kEnd[matched]) return matched + 1;
        if (c == '\r') return 1;
        return 0;
    }

    std::size_t matched_ = 2;
};

}  // namespace postfleet::tools
