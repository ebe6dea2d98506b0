// Publisher: BrokerPublisher over one connection (RMQ-10 … RMQ-14).
//
//   publish() ──▶ waiting (bounded) ──▶ sent, in the ConfirmWindow (bounded) ──▶ confirmed, refused, come back, unknown
//
// What waits is sent in batches: a message waits up to `linger` for others, so that a thread is woken and a segment
// filled for many. While the connection is lost or blocked, publish() answers at once, and so is what waited.
//
// Threads: publish() and obstacle() thread-safe; the rest is its thread's.
#pragma once

#include <deque>
#include <mutex>
#include <vector>

#include "confirm_window.hpp"
#include "content.hpp"
#include "values.hpp"
#include "worker.hpp"

namespace postfleet::amqp {

struct PublisherCounters {
    Counter &published, &confirmed, &returned, &refused, &unknown;
};

class Publisher final : public BrokerPublisher, private Worker {
public:
    Publisher(const WorkerParts& parts, PublisherOptions options, PublisherCounters counters);
    ~Publisher() override;

    void publish(BrokerAddress to, BrokerMessage message, Completion<Status> done) override;
    std::string obstacle() const override;

private:
    struct Waiting {
        BrokerAddress to;
        BrokerMessage message;
        Completion<Status> done;
    };

    Status on_connected(Connection& connection) override;
    Status on_frame(Connection& connection, const amqp_frame_t& frame) override;
    Status on_turn(Connection& connection, SteadyTime now) override;
    void on_blocked(const std::string& why) override;
    void on_lost(const std::string& why) override;
    SteadyTime next_wake() override;
    bool wants_to_write() const override { return is_socket_full_; }

    std::string what_is_wrong(const BrokerAddress& to, const BrokerMessage& message) const;
    void take_waiting(SteadyTime now);
    Status send_all(Connection& connection, SteadyTime now);
    Status send(Connection& connection, const Waiting& waiting, std::uint64_t timestamp);
    Status on_confirm(std::uint64_t number, bool multiple, Confirm how);
    void learn_limit(const std::string& why);
    void refuse_waiting(const std::string& why);
    void finish();

    const PublisherOptions publisher_;
    PublisherCounters counters_;

    mutable std::mutex mutex_;
    std::vector<Waiting> waiting_;  // and the next, under the mutex
    std::uint64_t waiting_octets_ = 0;
    std::string closed_ = "not connected yet";  // why nothing is taken; empty: it is
    SteadyTime first_waits_since_{};
    std::atomic<std::uint64_t> most_octets_;  // of a message; less when the broker says so

    // The thread's.
    std::deque<Waiting> taken_;
    ConfirmWindow window_;
    Content content_;
    Finished finished_;
    Table headers_;
    std::string blocked_;
    bool is_socket_full_ = false;
};

}  // namespace postfleet::amqp
