// What a sink writes: received messages, a trace of what happened when, and the durable count.
//
// Threads: MessageStore and TraceFile are thread-safe; a TraceBuffer belongs to one loop. They block on
// their files, as a test tool may. Errors: open() says which path; a failed write ends the program with a
// message, because a test must not go on with half of its evidence.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/base/network.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/base/time.hpp"
#include "postfleet/net/unique_fd.hpp"

namespace postfleet::tools {

// Unix time in microseconds that never jumps: the wall clock at the start plus steady time.
class TraceClock {
public:
    TraceClock() : wall_(wall_clock_now()), steady_(steady_clock_now()) {}
    std::int64_t at(SteadyTime time) const {
        return to_unix_microseconds(wall_) +
               std::chrono::duration_cast<std::chrono::microseconds>(time - steady_).count();
    }
    SteadyTime started() const { return steady_; }

private:
    WallTime wall_;
    SteadyTime steady_;
};

class OutputFile {
public:
    static Result<std::unique_ptr<OutputFile>> open(const std::string& path);
    void append(std::string_view octets);           // thread-safe
    void replace_durably(std::string_view octets);  // the whole file, synced

private:
    OutputFile(std::string path, net::UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
    void fail(const char* doing) const;

    std::string path_;
    net::UniqueFd fd_;
    std::mutex mutex_;
};

// One JSON line per event. Lines of one loop are in order; sort by "t" to see all loops together.
class TraceBuffer {
public:
    struct Where {
        std::uint64_t connection;
        const IpAddress& source;
        std::uint16_t source_port;
    };
    TraceBuffer(OutputFile& file, const TraceClock& clock) : file_(file), clock_(clock) {}
    ~TraceBuffer() { flush(); }
    // `key` names what `text` is ("recipient", "from", …); code 0: no reply belongs to it.
    void add(std::string_view event, const Where& where, std::string_view key = {}, std::string_view text = {},
             int code = 0);
    void flush();

private:
    OutputFile& file_;
    const TraceClock& clock_;
    std::string lines_;
};

struct StoredMessage {
    std::string_view from;
    std::vector<std::string_view> recipients;
    std::string_view content;  // as received, still dot-stuffed, without the final dot
    IpAddress source;
    WallTime received;
};

// Writes <n>.eml files with an envelopes.jsonl, or one file of JSON lines.
class MessageStore {
public:
    static Result<std::unique_ptr<MessageStore>> open(const std::string& directory, const std::string& file);
    void add(const StoredMessage& message);

private:
    std::string directory_;
    std::unique_ptr<OutputFile> envelopes_;  // or the one file
    std::mutex mutex_;
    std::uint64_t next_number_ = 1;
};

std::string unstuff_dots(std::string_view content);

}  // namespace postfleet::tools
