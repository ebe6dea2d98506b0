#include "postfleet/zlib/compressor.hpp"

#include <zlib.h>

#include "postfleet/base/require.hpp"

namespace postfleet::zlib {

std::string ZlibCompressor::gzip(std::string_view octets) const {
    constexpr int kGzip = 16;  // added to the window's bits: a gzip header instead of zlib's
    z_stream stream{};
    require(deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + kGzip, MAX_MEM_LEVEL,
                         Z_DEFAULT_STRATEGY) == Z_OK);
    std::string out(deflateBound(&stream, static_cast<uLong>(octets.size())), '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(octets.data()));  // read only, says zlib.h
    stream.avail_in = static_cast<uInt>(octets.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    require(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
}

}  // namespace postfleet::zlib
