// SubmissionWorker: one consumer of a submission queue, on a thread and an event loop of its own, because a body of many
// megabytes takes longer to read than a shard may.
//
// Threads: start(), use(), drain(), stop() from one thread that is not its own; the rest is confined to its own. stop()
// waits for the thread and gives up what is under way; it must come before the hand-over goes. The object outlives every
// completion of the ports.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "postfleet/amqp/broker.hpp"
#include "postfleet/crypto/openssl_digests.hpp"
#include "postfleet/ingest/submission_service.hpp"
#include "postfleet/net/epoll_loop.hpp"
#include "suspect_files.hpp"

namespace postfleet::ingest {

class SubmissionWorker final {
public:
    struct Setup {
        config::SubmissionQueue queue;
        std::shared_ptr<const ListenerRules> rules;  // shared with the submissions that are under way
        amqp::Broker& broker;
        BrokerPublisher& publisher;
        SubmissionCounters& counters;
        std::uint32_t number = 0;  // among the consumers of the queue
        std::string directory;     // for notes
        std::vector<Suspect> left;
        std::string consumer_name;
    };

    static Result<std::unique_ptr<SubmissionWorker>> create(const SubmissionDependencies& dependencies, Setup setup);
    ~SubmissionWorker();
    SubmissionWorker(const SubmissionWorker&) = delete;
    SubmissionWorker& operator=(const SubmissionWorker&) = delete;

    void start();
    void use(std::shared_ptr<const ListenerRules> rules, Duration idempotency_window);
    // Takes no more; `quiet` runs on the worker's thread when what was accepted is acknowledged.
    void drain(Callback quiet);
    void stop();
    std::string obstacle() const;

private:
    SubmissionWorker(const SubmissionDependencies& dependencies, Setup setup, std::unique_ptr<net::EpollLoop> loop);
    SubmissionConsumer::Setup consumer_setup(std::vector<Suspect> left);

    const config::SubmissionQueue queue_;
    amqp::Broker& broker_;
    BrokerPublisher& publisher_;
    SubmissionCounters& counters_;
    const std::string consumer_name_;
    std::unique_ptr<net::EpollLoop> loop_;
    ProcessLimits limits_;  // of its own: what is in flight is limited by octets
    ListenerShared shared_;
    IngestCounters ingest_counters_;
    IntakeShard shard_;
    SubmissionDesk desk_;
    const crypto::OpensslDigests digests_;
    SuspectFile notes_;
    SubmissionConsumer consumer_;
    std::unique_ptr<BrokerConsumer> link_;
    std::thread thread_;
};

}  // namespace postfleet::ingest
