// Worker: the thread of one connection: makes it, serves it, makes it again (RMQ-1, RMQ-2, RMQ-15).
//
//   Connecting ──▶ Serving ──(lost, or given up)──▶ Pausing ──▶ Connecting        to the next host in turn
//
// Pauses double up to the longest, ± a quarter; after a connection that has held for a while they begin anew. The thread
// sleeps in poll(2) on the socket and on wake(), at most until next_wake() and never longer than kPump, for heartbeats.
//
// A subclass calls start() last in its constructor and stop() first in its destructor. Its on_… members run on the
// thread. Threads: wake(), obstacle(), request_stop() and stop() thread-safe.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>

#include "connection.hpp"

namespace postfleet::amqp {

// What is to be declared: grows while the process runs. Threads: thread-safe.
class Declarations {
public:
    explicit Declarations(wire::BrokerTopology topology) : topology_(std::move(topology)) {}
    void add(const wire::BrokerTopology& more) {
        const std::lock_guard lock(mutex_);
        topology_ += more;
        version_.fetch_add(1);
    }
    std::uint64_t version() const { return version_.load(); }
    wire::BrokerTopology topology() const {
        const std::lock_guard lock(mutex_);
        return topology_;
    }

private:
    mutable std::mutex mutex_;
    wire::BrokerTopology topology_;
    std::atomic<std::uint64_t> version_{1};
};

// What the workers of a Broker share.
struct WorkerParts {
    const BrokerOptions& options;
    const Declarations& declarations;
    StallWatch& watch;
};

class Worker {
public:
    // Why it cannot work now; empty: it can.
    std::string obstacle() const;

protected:
    static constexpr Duration kPump = std::chrono::seconds(3);
    static constexpr Duration kDeclareAgain = std::chrono::seconds(5);

    Worker(const WorkerParts& parts, std::string what);
    virtual ~Worker();

    void start();
    void request_stop();  // one more turn, and the thread ends
    void stop();          // and waits for that
    void wake();
    bool is_stopping() const { return is_stopping_.load(); }

    // The connection is there, and the topology.
    virtual Status on_connected(Connection& connection) = 0;
    // A method, header or body frame of our channel. An error gives the connection up.
    virtual Status on_frame(Connection& connection, const amqp_frame_t& frame) = 0;
    // Once in every turn, after what there was to read.
    virtual Status on_turn(Connection& connection, SteadyTime now) = 0;
    virtual void on_blocked(const std::string& why) = 0;  // empty: no longer
    virtual void on_lost(const std::string& why) = 0;
    virtual void on_ended() {}  // the last thing that the thread does
    virtual SteadyTime next_wake() = 0;
    virtual bool wants_to_read() const { return true; }
    virtual bool wants_to_write() const { return false; }  // on_turn() when the socket has room

    void set_obstacle(std::string why);
    // Something that was declared seems to be gone: looks again in the next turn, at most every kDeclareAgain.
    void doubt_declarations();

    const BrokerOptions& options_;

private:
    void run();
    Status declare();
    Status serve();
    Status read_frames();
    Status on_any_frame(const amqp_frame_t& frame);
    Status on_method(const amqp_method_t& method, amqp_channel_t channel);
    void try_host(const BrokerHost& host);
    void pause();
    // What poll(2) says about the socket.
    short sleep_until(SteadyTime when, int fd, short events);

    const Declarations& declarations_;
    StallWatch& watch_;
    const std::string what_;
    std::uint64_t declared_ = 0;  // version
    SteadyTime declared_at_{};
    Stall stall_;
    std::unique_ptr<Connection> connection_;  // the thread's, as the next
    Duration pause_;
    std::minstd_rand random_;
    const int wake_fd_;
    std::atomic<bool> is_woken_{false}, is_stopping_{false};
    std::atomic<bool> has_obstacle_{true};
    mutable std::mutex mutex_;
    std::string obstacle_ = "not connected yet";
    std::thread thread_;
};

}  // namespace postfleet::amqp
