// Feedback: the process: one queue per report of the configuration ─▶ the report's sink.
//
//   router ─▶ configuration ─▶ reports        postfleet.sink.<name> ─▶ QueueFeedback ─▶ files, RabbitMQ, Kafka
//
// It keeps nothing: a batch of events is acknowledged when its sink has them. Any number of them may run; a report of
// `type: file` has then one file in each.
//
// Threads: run() on the main thread, where configurations are applied, too. Errors: start() says what is wrong in lines
// for people; it leaves nothing behind.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "postfleet/amqp/broker.hpp"
#include "postfleet/cluster_member/membership.hpp"
#include "postfleet/feedback/queue_feedback.hpp"
#include "postfleet/service_host/service_host.hpp"

namespace postfleet::feedback {

class Feedback final {
public:
    static Result<std::unique_ptr<Feedback>> start(cluster_member::MemberOptions options);
    ~Feedback();
    Feedback(const Feedback&) = delete;
    Feedback& operator=(const Feedback&) = delete;

    std::string banner() const;
    // Until a signal; returns the exit code.
    int run();

private:
    explicit Feedback(cluster_member::MemberOptions options) : options_(std::move(options)) {}

    Status start_all();
    Status check_sinks(const config::Config& config);
    void on_tick();
    Status apply(const cluster_member::ConfigPointer& next);
    void start_sinks(const cluster_member::ConfigPointer& config);
    Status answer_operators();
    std::string obstacle() const;

    const cluster_member::MemberOptions options_;

    // In the order of their start; destroyed the other way round.
    std::unique_ptr<service_host::ServiceHost> host_;
    std::unique_ptr<cluster_member::Membership> member_;
    std::unique_ptr<amqp::Broker> broker_;
    mutable std::mutex reports_mutex_;  // the next two: readiness and operators ask on threads of their own
    cluster_member::ConfigPointer reported_;
    std::unique_ptr<QueueFeedback> reports_;
};

}  // namespace postfleet::feedback
