// LineRuler: whether some line of a message is longer than RFC 5322 §2.1.1 allows. The message may come in parts.
//
// Units: octets without the CRLF. Threads: confined.
#pragma once

#include <cstddef>
#include <string_view>

namespace postfleet::ingest {

class LineRuler final {
public:
    static constexpr std::size_t kLongest = 998;

    // False from the part on in which a line turns out to be too long. Content has CRLF line ends.
    bool measure(std::string_view part);

private:
    std::size_t open_octets_ = 0;  // of the line that the last part left open
};

}  // namespace postfleet::ingest
