// SpdlogSink: log lines to standard error or a rotating file, written by a thread of its own.
//
//   write() ──▶ buffer of the caller's shard ──(50 ms | 64 KiB | error | stop)──▶ writer thread ──▶ spdlog
//
// write() copies the line into a buffer under a lock that is held for that copy only; it makes no system
// call, except one wake-up after silence. When the buffers hold `max_buffered` octets, lines are dropped
// and counted; the count is logged when there is room again.
//
// Threads: thread-safe; only flush() and the destructor block (on the file). The destructor writes what is
// left. Units: octets. Errors: open() says why a file cannot be written; later failures (disk full) are
// counted and the lines lost, because a log must never stop the mail.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "postfleet/base/log.hpp"
#include "postfleet/base/result.hpp"

namespace postfleet {

struct SpdlogSinkOptions {
    std::string path;                          // empty: standard error
    std::uint64_t rotate_size = 100ull << 20;  // mta.log → mta.1.log → mta.2.log …
    std::uint32_t keep = 5;                    // rotated files
    std::size_t max_buffered = 4u << 20;
};

class SpdlogSink final : public LogSink {
public:
    static Result<std::unique_ptr<SpdlogSink>> open(SpdlogSinkOptions options);
    ~SpdlogSink() override;

    void write(LogLevel level, std::string&& line) override;
    // Returns when everything written before the call has been given to the operating system.
    void flush();

    struct Statistics {
        std::uint64_t lines = 0, dropped = 0, write_errors = 0;
    };
    Statistics statistics() const;

private:
    class Writer;
    explicit SpdlogSink(std::unique_ptr<Writer> writer);
    std::unique_ptr<Writer> writer_;
};

}  // namespace postfleet
