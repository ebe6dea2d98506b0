// What is compressed comes out again, by zlib's own reader.
#include "postfleet/zlib/compressor.hpp"

#include <zlib.h>

#include <catch2/catch.hpp>

using namespace postfleet;

namespace {

std::string unzip(const std::string& gzipped) {
    z_stream stream{};
    REQUIRE(inflateInit2(&stream, MAX_WBITS + 16) == Z_OK);
    std::string out(1 << 20, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(gzipped.data()));
    stream.avail_in = static_cast<uInt>(gzipped.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    CHECK(inflate(&stream, Z_FINISH) == Z_STREAM_END);
    out.resize(stream.total_out);
    inflateEnd(&stream);
    return out;
}

}  // namespace

TEST_CASE("gzip gives back what went in, smaller where that repeats, and the same each time") {
    const zlib::ZlibCompressor compressor;
    const std::string text = GENERATE(std::string(), std::string("x"), std::string(100'000, 'a'));
    const std::string gzipped = compressor.gzip(text);
    CHECK(gzipped.starts_with("\x1f\x8b"));
    CHECK(unzip(gzipped) == text);
    CHECK(compressor.gzip(text) == gzipped);
    if (text.size() > 1000) CHECK(gzipped.size() < 1000);
}
