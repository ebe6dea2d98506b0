// SenderProcess: postfleet-sender: a sender's core, its spool, and the ways to the broker and to the router.
//
//   router ─▶ configuration ─▶ spool (locked) ─▶ the name is granted ─▶ spool read ─▶ shards ─▶ take-in, delivery
//                                                        └─▶ evacuation: the spool's mail goes back to the broker
//
// The spool is opened before the name is claimed, because a name belongs to a spool; nothing is delivered before the name
// is granted. Should the name be lost, the process ends; the next one waits to be granted it.
//
// Threads: run() on the main thread; the name lives on a loop of its own, so that a busy shard does not look like a process
// that stands still.
// Errors: start() says what is wrong in lines for people; it leaves nothing behind.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "operator_door.hpp"
#include "postfleet/amqp/broker.hpp"
#include "postfleet/cluster_member/membership.hpp"
#include "postfleet/config/config.hpp"
#include "postfleet/event_queues/event_queue_sinks.hpp"
#include "postfleet/event_queues/outbox_publishing.hpp"
#include "postfleet/reporting/event_carrier.hpp"
#include "postfleet/reporting/gated_handover.hpp"
#include "postfleet/sender/sender.hpp"
#include "postfleet/sender_edge/broker_take_in.hpp"
#include "postfleet/sender_edge/evacuation.hpp"
#include "postfleet/sender_edge/name_holder.hpp"
#include "postfleet/sender_edge/sender_parts.hpp"
#include "postfleet/sender_edge/suppression_gate.hpp"
#include "postfleet/service_host/service_host.hpp"
#include "postfleet/spool/rocks_spool.hpp"

namespace postfleet::sender {

class SenderProcess final {
public:
    enum class Purpose { Send, Evacuate };
    // Null and no error: somebody wanted it to stop before it began.
    static Result<std::unique_ptr<SenderProcess>> start(cluster_member::MemberOptions options, Purpose purpose);
    ~SenderProcess();
    SenderProcess(const SenderProcess&) = delete;
    SenderProcess& operator=(const SenderProcess&) = delete;

    std::string banner() const;
    // Until a signal; returns the exit code.
    int run();
    // Instead of run(): until the spool has neither mail nor events, or a signal; returns the exit code.
    int evacuate();

private:
    using ConfigPointer = cluster_member::ConfigPointer;

    SenderProcess(cluster_member::MemberOptions options, Purpose purpose)
        : options_(std::move(options)), purpose_(purpose) {}

    Status start_all();
    Status open_log();
    Status join();
    Status open_admin();
    Status open_spool();
    Status await_name();
    Status make_sender();
    Status open_door();
    std::string render_status(const SenderStatus& sender);
    Status start_work();
    void on_tick();
    Status apply(const ConfigPointer& next);
    Result<EvacuationReport> evacuate_mail(const event_queues::OutboxPublishing& events);
    int release_name();
    wire::BrokerTopology topology_of(const config::Config& config) const;
    void start_carrier();
    std::vector<reporting::SinkSetup> event_queues(const config::Config& config);
    void add_readiness_checks();
    void say_if_nothing_is_its_own(const config::Config& config);
    void say_what_it_waits_for(const std::string& what);
    void stop_all();

    const cluster_member::MemberOptions options_;
    const Purpose purpose_;
    bool is_wanted_ = true;  // false: a stop was asked for while it started
    std::string waits_for_;  // before it starts
    std::string lost_;       // why the name was lost; the main thread's
    std::mutex operations_;  // the next two, and what the carrier is told and asked
    ConfigPointer current_;
    WallTime current_since_{};

    // In the order of their start; destroyed the other way round.
    std::unique_ptr<service_host::ServiceHost> host_;
    std::unique_ptr<cluster_member::Membership> member_;
    std::unique_ptr<amqp::Broker> broker_;
    std::unique_ptr<spool::RocksSpool> spool_;
    std::unique_ptr<net::LoopGroup> name_loop_;  // one
    std::shared_ptr<NameHolder> name_;           // shared with its timers
    std::unique_ptr<SenderParts> parts_;
    std::unique_ptr<Sender> sender_;
    std::atomic<Sender*> holding_{nullptr};  // whom the name lets send; null: there is none yet
    std::unique_ptr<BrokerPublisher> publisher_;
    std::unique_ptr<reporting::EventCarrier> carrier_;  // events to the queues of the report sinks
    std::unique_ptr<SuppressionGate> suppressions_;     // the sender's hand-over, without those who get nothing
    std::unique_ptr<reporting::GatedHandover> gate_;    // the same, while the reports have room
    std::unique_ptr<BrokerTakeIn> take_in_;
    std::unique_ptr<OperatorDoor> door_;  // before those whom its commands ask
};

}  // namespace postfleet::sender
