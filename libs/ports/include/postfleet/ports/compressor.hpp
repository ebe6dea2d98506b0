// Compressor (port): octets made smaller, for what is sent as a file. Threads: thread-safe. Blocks for the work, so it is
// for small things, or for a worker.
#pragma once

#include <string>
#include <string_view>

namespace postfleet {

class Compressor {
public:
    virtual ~Compressor() = default;
    virtual std::string gzip(std::string_view octets) const = 0;  // RFC 1952
};

}  // namespace postfleet
