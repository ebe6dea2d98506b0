// Load: an SMTP source that counts and checks, for the command line and for tests.
//
// Threads: the Load belongs to one thread; its own are inside. Errors: open(), with what to do.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "load_counts.hpp"
#include "load_message.hpp"
#include "load_options.hpp"
#include "load_session.hpp"
#include "postfleet/net/loop_group.hpp"
#include "postfleet/tls/client_context.hpp"
#include "postfleet/tls/workspace.hpp"
#include "sink.hpp"

namespace postfleet::tools {

// What all loops of a load share.
struct LoadShared {
    explicit LoadShared(const LoadOptions& given) : options(given), maker(options) {}
    const LoadOptions options;
    const MessageMaker maker;
    std::unique_ptr<const tls::ClientContext> tls;  // null: plain text
    SteadyTime start{};
    std::atomic<std::uint64_t> next_message{0};
    std::atomic<std::uint64_t> finished{0};  // messages with a final result
    std::atomic<std::uint64_t> accepted_recipients{0};
    std::atomic<std::int64_t> last_reply{0};  // steady nanoseconds
    std::atomic<bool> was_greeted{false};
    std::atomic<bool> stopping{false};
    std::atomic<unsigned> shards_left{0};
};

// The sessions of one loop. Threads: confined to it.
class LoadShard {
public:
    LoadShard(LoadShared& shared, net::EpollLoop& loop) : shared_(shared), loop_(loop), workspace_(loop) {}

    void start(unsigned sessions, unsigned first);
    void stop();

    LoadShared& shared() { return shared_; }
    net::EpollLoop& loop() { return loop_; }
    tls::Workspace& workspace() { return workspace_; }
    LoadCounts& counts() { return counts_; }

    std::optional<LoadJob> next_job();  // may be due later
    void retry(LoadJob job);
    bool may_retry(const LoadJob& job) const;
    void on_session_done();
    void saw_reply() { shared_.last_reply.store(loop_.now().time_since_epoch().count(), std::memory_order_relaxed); }

private:
    LoadShared& shared_;
    net::EpollLoop& loop_;
    tls::Workspace workspace_;
    LoadCounts counts_;
    std::deque<LoadJob> retries_;
    std::vector<std::unique_ptr<LoadSession>> sessions_;
};

class Load {
public:
    static Result<std::unique_ptr<Load>> open(const LoadOptions& options);
    ~Load();

    void start();
    bool is_finished() const;  // every message has its result
    std::optional<std::string> has_stalled() const;
    void stop();  // closes all, waits for the threads
    std::uint64_t messages_finished() const { return shared_->finished.load(std::memory_order_relaxed); }
    std::uint64_t accepted_recipients() const { return shared_->accepted_recipients.load(std::memory_order_relaxed); }
    Sink* sink() { return sink_.get(); }
    Endpoint sink_address() const { return sink_->addresses().front(); }
    const LoadOptions& options() const { return shared_->options; }
    LoadCounts counts();  // after stop()

private:
    Load() = default;
    std::unique_ptr<Sink> sink_;
    std::unique_ptr<LoadShared> shared_;
    std::unique_ptr<net::LoopGroup> loops_;
    std::vector<std::unique_ptr<LoadShard>> shards_;
    bool is_running_ = false;
};

// Runs a load to its end without printing; `tick` is called a few times a second and stops it by returning false.
LoadReport run_to_end(Load& load, UniqueFunction<bool(const Load&)> tick);
// With progress, signals and report; the exit code of the program: 0 when everything was accepted and,
// end to end, arrived exactly once.
int run_load(const LoadOptions& options);

}  // namespace postfleet::tools
