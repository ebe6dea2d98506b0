// GrpcWorker: makes mail of what calls submit, on a thread and an event loop of its own, because a body of many megabytes
// takes longer to read than a shard may; and says who a caller is.
//
// Threads: enter() and submit() from any; start(), use(), stop() from one that is not its own. stop() waits for the thread
// and gives up what is under way. The object outlives every completion of the ports.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "postfleet/crypto/openssl_digests.hpp"
#include "postfleet/ingest/grpc_listener_service.hpp"
#include "postfleet/ingest/submission_desk.hpp"
#include "postfleet/net/epoll_loop.hpp"
#include "postfleet/rpc/submission_server.hpp"

namespace postfleet::ingest {

// What of one configuration a gRPC listener needs. Immutable.
struct GrpcRules {
    std::shared_ptr<const ListenerRules> rules;  // shared with submissions under way
    std::vector<Network> relay_from;
    Duration idempotency_window{};
    // Both null where nobody can log in. shared_ptr: as in ListenerRules.
    std::shared_ptr<AuthServices> auth;
    std::shared_ptr<const UserDirectory> users;
};

struct GrpcCounters {
    GrpcCounters(Metrics& metrics, const std::string& listener);
    Counter& accepted;
    Counter& duplicates;
    Counter& refused;
    Counter& later;
};

class GrpcWorker final {
public:
    using Answer = rpc::SubmissionVisit::Answer;
    using Entered = rpc::SubmissionHost::Entered;
    // Null: nobody who has logged in. shared_ptr: it is the directory's.
    using Who = std::shared_ptr<const KnownUser>;

    static Result<std::unique_ptr<GrpcWorker>> create(const GrpcDependencies& dependencies, const std::string& name,
                                                      GrpcCounters& counters, std::uint32_t number);
    ~GrpcWorker();
    GrpcWorker(const GrpcWorker&) = delete;
    GrpcWorker& operator=(const GrpcWorker&) = delete;

    net::EpollLoop& loop() { return *loop_; }
    void start();
    // shared_ptr: one for all workers of a listener.
    void use(std::shared_ptr<const GrpcRules> rules);
    void stop();

    void enter(rpc::SubmissionCaller caller, Entered entered);
    void submit(Who who, const Endpoint& client, Submission submission, Answer answer);
    void refused(const Who& who, const Endpoint& client, const std::string& why);

private:
    struct Check;

    GrpcWorker(const GrpcDependencies& dependencies, std::string name, GrpcCounters& counters,
               std::unique_ptr<net::EpollLoop> loop);
    // On any thread.
    void take_in(const GrpcRules& rules, const rpc::SubmissionCaller& caller, Entered& entered);
    void check_password(rpc::SubmissionCaller&& caller, Entered&& entered);
    void finish(Check& check);
    Error refuse(const Endpoint& client, std::string_view user, Reason reason, ErrorKind kind, std::string text);
    void let_in(Who who, const Endpoint& client, Entered& entered);
    Who user_of_certificate(const GrpcRules& rules, const std::string& pem) const;
    void take(Who who, const Endpoint& client, Submission&& submission, Answer&& answer);
    void answer(SubmissionOutcome&& outcome, const Who& who, const Endpoint& client, Answer& answer);

    const std::string name_;
    GrpcCounters& counters_;
    std::unique_ptr<net::EpollLoop> loop_;
    ProcessLimits limits_;  // of its own: what is in flight is limited by octets
    ListenerShared shared_;
    IngestCounters ingest_counters_;
    IntakeShard shard_;
    SubmissionDesk desk_;
    const crypto::OpensslDigests digests_;
    std::shared_ptr<const GrpcRules> rules_;
    std::mutex mutex_;
    std::shared_ptr<const GrpcRules> entry_rules_;  // the same, for other threads; null: it has stopped
    std::list<Check> checks_;                       // passwords that are being checked
    std::list<Check> finished_;                     // until nothing of them is on the stack any more
    std::thread thread_;
};

}  // namespace postfleet::ingest
