// Traces: dialogues with mail servers as somebody watches them, line by line (`postfleet trace`).
//
//   begin ─▶ the next sessions of its queues, new or idle ones, write into it ─▶ read … ─▶ they have closed: it is over
//
// A session asks one relaxed word before each transaction whether anybody watches. A trace keeps kMostLines that are not
// read yet, and the number of those it left out; who does not read for kPatience is not there any more.
// What proves who we are is masked (AUTH), message content is counted and not shown, unless it is asked for.
//
// Threads: thread-safe (one lock, taken only by those who trace and are traced).
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/base/executor.hpp"
#include "postfleet/ports/sender_control.hpp"

namespace postfleet::sender {

class Traces;

// One session's part in a trace; over when it is destroyed.
class SessionTrace final {
public:
    static constexpr std::size_t kMostLineOctets = 1'000;

    SessionTrace(std::shared_ptr<Traces> traces, std::uint64_t trace, std::uint32_t session, bool shows_content,
                 const Executor& clock)
        : traces_(std::move(traces)), trace_(trace), session_(session), shows_content_(shows_content), clock_(clock) {}
    ~SessionTrace();
    SessionTrace(const SessionTrace&) = delete;
    SessionTrace& operator=(const SessionTrace&) = delete;

    void note(std::string text);  // what happened, in words
    void received(std::string_view octets);
    enum class Secrecy { None, Secret };  // the lines prove who we are
    void sent(std::string_view octets, Secrecy secrecy = Secrecy::None);
    void sent_content(std::string_view octets);

private:
    void line(TraceLine::Direction direction, std::string_view text);

    const std::shared_ptr<Traces> traces_;  // shared: sessions outlive the table of traces when the process ends
    const std::uint64_t trace_;
    const std::uint32_t session_;
    const bool shows_content_;
    const Executor& clock_;
    std::uint64_t content_octets_ = 0;  // sent, and not told yet
    std::string partial_;               // of a line from the other side
};

class Traces final : public std::enable_shared_from_this<Traces> {
public:
    static constexpr std::size_t kMostTraces = 16;
    static constexpr std::size_t kMostLines = 10'000;
    static constexpr Duration kPatience = std::chrono::seconds(30);

    bool is_wanted() const { return wanted_.load(std::memory_order_relaxed) > 0; }
    // A trace that wants one more session of this queue; null: none does.
    std::unique_ptr<SessionTrace> join(std::string_view site, std::string_view virtual_mta, const Executor& clock);

    Result<std::uint64_t> begin(const TraceRequest& request, SteadyTime now);
    // NotFound: it is over, and all of it was read.
    Result<TracePart> read(std::uint64_t trace, SteadyTime now);

private:
    friend class SessionTrace;
    struct Trace {
        TraceRequest request;
        std::uint32_t joined = 0, open = 0;  // sessions
        SteadyTime read_at{};
        std::vector<TraceLine> lines;
        std::uint64_t left_out = 0;
    };
    void add(std::uint64_t trace, TraceLine line);
    void leave(std::uint64_t trace);
    void drop_unread_locked(SteadyTime now);
    void count_wanted_locked();

    std::atomic<std::uint32_t> wanted_{0};  // traces that want one more session
    std::mutex mutex_;
    std::map<std::uint64_t, Trace> traces_;
    std::uint64_t last_ = 0;
};

}  // namespace postfleet::sender
