// ZlibCompressor: the Compressor port on zlib. Threads: thread-safe.
#pragma once

#include "postfleet/ports/compressor.hpp"

namespace postfleet::zlib {

class ZlibCompressor final : public Compressor {
public:
    std::string gzip(std::string_view octets) const override;
};

}  // namespace postfleet::zlib
