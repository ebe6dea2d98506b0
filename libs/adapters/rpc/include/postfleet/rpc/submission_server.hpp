// SubmissionServer: the gRPC port that applications submit mail to (postfleet.v1.SubmissionService).
//
//   call ─▶ SubmissionHost::enter (who is it?) ─▶ SubmissionVisit::submit ─▶ answer ─▶ result, or status
//
// Nothing of a call's body is read before its caller was let in. Then Send reads one submission and SendMany one after the
// other, as long as fewer than max_in_flight of them have no result that the client has read: a client that does not read
// its results is not read either. Compressed bodies are not taken. Connections, calls, their octets, the time that
// one may stand still, and gRPC's memory are bounded. Health service: yes. Reflection: no.
//
// Life: start() → traffic → drain() → stop(). The host outlives stop(), and its answers may come later.
// Threads: thread-safe; host and visits are called on gRPC's threads. stop() waits for them.
// Errors: start(): the address cannot be used.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "postfleet/base/executor.hpp"
#include "postfleet/base/metrics.hpp"
#include "postfleet/base/network.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/mail/submission.hpp"
#include "postfleet/rpc/tls_files.hpp"

namespace postfleet::rpc {

struct SubmissionCaller {
    Endpoint client;
    std::string authorization;  // as the metadata has it; empty: none
    std::string certificate;    // the client's, verified, PEM; empty: none
};

struct SubmissionAnswer {
    enum class Kind : std::uint8_t { Accepted, Duplicate, Refused, Later };
    Kind kind = Kind::Later;
    std::string message_id;  // of Accepted and Duplicate
    std::string problem;     // of Refused and Later, for people
};

// A call whose caller was let in. One thread at a time; it goes when the call is over.
class SubmissionVisit {
public:
    using Answer = UniqueFunction<void(SubmissionAnswer&&)>;
    virtual ~SubmissionVisit() = default;
    // The answer comes once, on any thread, never inside submit().
    virtual void submit(Submission submission, Answer answer) = 0;
    // It could not even be read.
    virtual void refused(const std::string& why) = 0;
};

class SubmissionHost {
public:
    // PermissionDenied: not this one (UNAUTHENTICATED). Others: as gRPC's codes.
    using Entered = UniqueFunction<void(Result<std::unique_ptr<SubmissionVisit>>)>;
    virtual void enter(SubmissionCaller caller, Entered entered) = 0;

protected:
    ~SubmissionHost() = default;
};

struct SubmissionServerSettings {
    std::string name;  // of the listener, for metrics
    Endpoint address;  // port 0: any
    ListenerFiles tls;
    SubmissionHost& host;
    Executor& executor;  // for the clock; must run until stop() has returned
    Metrics& metrics;
    std::uint64_t max_body_octets = 15 << 20;
    std::uint32_t max_connections = 2000;
    std::uint32_t max_connections_per_client = 1000;  // an IPv4 address, or the /64 of an IPv6 address
    std::uint32_t max_calls = 2000;
    std::uint32_t max_calls_per_connection = 200;
    std::uint32_t max_in_flight = 100;  // of a call
    std::uint64_t max_octets_in_flight = 64 << 20;
    Duration call_timeout = std::chrono::minutes(5);
};

class SubmissionServer final {
public:
    static Result<std::unique_ptr<SubmissionServer>> start(const SubmissionServerSettings& settings);
    ~SubmissionServer();
    SubmissionServer(const SubmissionServer&) = delete;
    SubmissionServer& operator=(const SubmissionServer&) = delete;

    std::uint16_t port() const;
    // New calls are told to go elsewhere; those under way get the results of what was taken, and end. Completes when there
    // are none.
    void drain(Completion<Status> done);
    // Calls that are still under way get `grace`.
    void stop(Duration grace = {});

private:
    class Impl;
    explicit SubmissionServer(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace postfleet::rpc
