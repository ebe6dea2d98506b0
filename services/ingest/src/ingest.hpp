// Ingest: the process: SMTP and gRPC listeners, submission queues and pickup directories of the configuration ─▶ RabbitMQ
// ─▶ the senders.
//
//   router ─▶ configuration ─▶ listeners ─▶ BrokerHandover ─▶ postfleet.deliver ─▶ one queue per sender
//                                               └─▶ LocalBuffer, while the broker takes nothing ─▶ …
//
// It keeps no mail: what it has said 250 to is confirmed by the broker; except in the local buffer, if that is switched
// on. Any number of them may run, each with a data directory of its own.
//
// Threads: run() on the main thread, where configurations are applied, too. Errors: start() says what is wrong in lines
// for people; it leaves nothing behind.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "postfleet/amqp/broker.hpp"
#include "postfleet/cluster_member/membership.hpp"
#include "postfleet/ingest/grpc_listener_service.hpp"
#include "postfleet/ingest/pickup_service.hpp"
#include "postfleet/ingest/smtp_listener_service.hpp"
#include "postfleet/ingest/submission_service.hpp"
#include "postfleet/ingest_cluster/broker_handover.hpp"
#include "postfleet/ingest_cluster/buffered_handover.hpp"
#include "postfleet/maildir/maildir_intake.hpp"
#include "postfleet/service_host/service_host.hpp"
#include "postfleet/spool/rocks_spool.hpp"

namespace postfleet::ingest {

class Ingest final {
public:
    static Result<std::unique_ptr<Ingest>> start(cluster_member::MemberOptions options);
    ~Ingest();
    Ingest(const Ingest&) = delete;
    Ingest& operator=(const Ingest&) = delete;

    std::string banner() const;
    // Until a signal; returns the exit code.
    int run();

private:
    explicit Ingest(cluster_member::MemberOptions options) : options_(std::move(options)) {}

    Status start_all();
    Status open_admin();
    Status open_broker();
    Status open_buffer(const config::Config& config);
    Status open_doors();
    void on_tick();
    Status apply(const cluster_member::ConfigPointer& next);
    std::string sender_of(const std::string& virtual_mta) const;
    std::string owner_of_kept(const std::string& virtual_mta) const;
    std::string why_no_mail_goes() const;
    service_host::Drained drain();

    const cluster_member::MemberOptions options_;

    mutable std::mutex senders_mutex_;
    std::map<std::string, std::string> senders_;  // by virtual MTA; under the mutex

    // In the order of their start; destroyed the other way round.
    std::unique_ptr<service_host::ServiceHost> host_;
    std::unique_ptr<cluster_member::Membership> member_;
    std::unique_ptr<amqp::Broker> broker_;
    std::unique_ptr<BrokerPublisher> publisher_;
    std::unique_ptr<ingest_cluster::BrokerHandover> handover_;
    std::unique_ptr<ingest_cluster::BufferedHandover> front_;  // the way of SMTP and gRPC
    std::unique_ptr<spool::RocksSpool> buffer_spool_;
    std::unique_ptr<BrokerPublisher> buffer_publisher_;
    std::unique_ptr<ingest_cluster::LocalBuffer> buffer_;  // null: there is none
    std::unique_ptr<maildir::MaildirIntake> our_mail_;
    std::unique_ptr<SmtpListenerService> listeners_;
    std::unique_ptr<PickupService> pickups_;
    std::unique_ptr<SubmissionService> submissions_;
    std::unique_ptr<GrpcListenerService> grpc_;
};

}  // namespace postfleet::ingest
