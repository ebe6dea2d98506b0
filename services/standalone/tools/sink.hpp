// Sink: a test MX on any number of addresses and threads, for the command line, for load's end-to-end mode
// and for tests.
//
// open() binds every address; start() begins to accept; stop() closes all and waits for the threads.
// counts() may be asked at any time and is complete after stop(). finished() becomes true when quit_after
// messages were accepted.
//
// Threads: the Sink belongs to one thread; its own are inside. Errors: open(), each with what to do.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "postfleet/net/loop_group.hpp"
#include "postfleet/net/tcp_listener.hpp"
#include "sink_counts.hpp"
#include "sink_options.hpp"

namespace postfleet::tools {

class SinkShard;
struct SinkShared;

class Sink final : private net::AcceptHandler {
public:
    static Result<std::unique_ptr<Sink>> open(const SinkOptions& options);
    ~Sink();
    Sink(const Sink&) = delete;
    Sink& operator=(const Sink&) = delete;

    void start();
    void stop();
    std::vector<Endpoint> addresses() const;

    std::uint64_t messages() const;    // cheap, at any time
    std::uint64_t deliveries() const;  // recipients of these
    std::uint64_t connections_now() const;
    bool finished() const;
    SinkCounts counts();  // asks every loop
    void write_count();   // to count_file, synced, if there is one

private:
    Sink();
    void on_accepted(net::EpollLoop& loop, std::unique_ptr<Stream> stream) override;

    std::unique_ptr<SinkShared> shared_;
    std::unique_ptr<net::LoopGroup> loops_;
    std::vector<std::unique_ptr<SinkShard>> shards_;
    std::vector<std::unique_ptr<net::TcpListener>> listeners_;
    bool is_running_ = false;
};

// Runs until SIGINT, SIGTERM or quit_after, prints progress and the summary; the exit code of the program.
int run_sink(const SinkOptions& options);
// The summary as text or JSON.
std::string format_sink_summary(const SinkCounts& counts, double seconds, bool as_json, bool has_ids);

}  // namespace postfleet::tools
