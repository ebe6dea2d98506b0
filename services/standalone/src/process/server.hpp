// Server: the standalone process: every service in one, over in-process adapters (DESIGN section 2).
//
//   configuration ─▶ log · spool · loops · http · resolver · sender · listeners · control ─▶ delivery, reports
//
// Started in this order, so that whoever is called is there before whoever calls; stopped the other way round:
// listeners close, transactions end, outcomes are recorded, reports are flushed, then the threads end.
//
// Threads: run() on the main thread. Reloads and status come from control threads, one at a time.
// Errors: start() says what is wrong in lines for people; it leaves nothing behind.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "postfleet/ingest/pickup_service.hpp"
#include "postfleet/ingest/smtp_listener_service.hpp"
#include "postfleet/ingest/grpc_listener_service.hpp"
#include "postfleet/ingest/submission_service.hpp"
#include "postfleet/maildir/maildir_intake.hpp"
#include "postfleet/reporting/event_carrier.hpp"
#include "postfleet/reporting/gated_handover.hpp"
#include "postfleet/runtime/config_watch.hpp"
#include "postfleet/runtime/control.hpp"
#include "postfleet/sender/sender.hpp"
#include "postfleet/sender_edge/sender_parts.hpp"
#include "postfleet/service_host/service_host.hpp"
#include "postfleet/spool/rocks_spool.hpp"
#include "postfleet/sqlite/state_store.hpp"
#include "postfleet/control/control_commands.hpp"

namespace postfleet::standalone {

class Server final {
public:
    static Result<std::unique_ptr<Server>> start(const std::string& config_path);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    // What listens where, for the terminal.
    std::string banner() const;
    // Until a signal; drains, and returns the exit code.
    int run();

private:
    using ConfigPointer = std::shared_ptr<const config::Config>;  // shared with every part that runs by it

    explicit Server(std::string config_path) : config_path_(std::move(config_path)) {}

    Status start_all();
    Status load_configuration();
    Status open_log();
    Status start_admin();
    Status open_spool();
    Status make_sender();
    Status open_doors();
    Status start_work();
    void add_readiness_checks();

    void on_tick();
    void reload_by_itself(const char* why);
    Result<std::string> reload();
    Status apply(const ConfigPointer& next);
    std::string render_status_now(const SenderStatus& sender);

    service_host::Drained drain();
    void stop_all();

    ConfigPointer configuration() const;

    const std::string config_path_;

    mutable std::mutex config_mutex_;  // the two below
    ConfigPointer config_;
    WallTime config_loaded_at_{};
    // Reload, status, the drain of what is not thread-safe itself, and watch_.
    std::mutex operations_;

    // In the order of their start; destroyed the other way round.
    std::unique_ptr<service_host::ServiceHost> host_;
    std::unique_ptr<runtime::ConfigWatch> watch_;
    std::unique_ptr<spool::RocksSpool> spool_;
    std::unique_ptr<sql_state::SqlStateStore> state_;
    std::unique_ptr<sender::SenderParts> parts_;
    std::unique_ptr<sender::Sender> sender_;
    std::unique_ptr<reporting::EventCarrier> feedback_;
    std::unique_ptr<reporting::GatedHandover> handover_;  // the sender's, while the reports have room
    std::unique_ptr<maildir::MaildirIntake> our_mail_;
    std::unique_ptr<ingest::SmtpListenerService> ingest_;
    std::unique_ptr<ingest::PickupService> pickups_;
    std::unique_ptr<ingest::SubmissionService> submissions_;
    std::unique_ptr<ingest::GrpcListenerService> grpc_;
    std::unique_ptr<control::ControlCommands> commands_;
    std::unique_ptr<runtime::ControlServer> control_;
};

}  // namespace postfleet::standalone
