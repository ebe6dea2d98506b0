// What a sender's process tells its operators, and where.
#include <fmt/format.h>
#include <unistd.h>

#include "postfleet/control/render.hpp"
#include "postfleet/runtime/build_info.hpp"
#include "sender_process.hpp"

namespace postfleet::sender {

Status SenderProcess::open_door() {
    {
        const std::lock_guard lock(operations_);
        current_ = member_->configuration();
        current_since_ = wall_clock_now();
    }
    auto door = OperatorDoor::open(
        *member_, options_.data_dir + "/control.sock",
        {.executor = host_->loops()[0],
         .sender = sender_->control(),
         .outbox = *spool_,
         .render_status = [this](const SenderStatus& sender) { return render_status(sender); },
         .configuration =
             [this] {
                 const std::lock_guard lock(operations_);
                 return current_;
             },
         .reload = []() -> Result<std::string> {
             return Error{ErrorKind::InvalidArgument,
                          "the routers have the configuration: `postfleet reload` at a router's socket"};
         },
         .render_intake = {},
         .resolver = parts_->resolver(),
         .own_sender = options_.name,
         .http = &parts_->http()},
        [this] { return !host_->is_starting() && !host_->is_stopping(); });
    if (!door) return door.error();
    door_ = *std::move(door);
    return {};
}

std::string SenderProcess::render_status(const SenderStatus& sender) {
    control::StatusParts status;
    const runtime::Health::Report report = host_->readiness();
    const std::lock_guard lock(operations_);
    status.process.hostname = options_.name;
    status.process.config_path = "the routers";
    status.process.config_version = current_->version;
    status.process.config_loaded_at = current_since_;
    status.process.started_at = host_->started_at();
    status.process.process_id = ::getpid();
    status.process.shards = host_->loops().size();
    status.process.ready = report.ok;
    for (const auto& [name, reason] : report.checks) {
        if (!reason.empty()) status.process.not_ready.push_back(name + ": " + reason);
    }
    status.sender = sender;
    status.spool = spool_->statistics();
    status.reports = carrier_->status();
    return control::render_status(status, wall_clock_now());
}

std::string SenderProcess::banner() const {
    return fmt::format(
        "Postfleet {} sends as {}, with {} shards.\n\n  http     {:<24} /metrics, /healthz/live, /healthz/ready\n"
        "  control  {:<24} postfleet --router …, or --socket {}\n"
        "  spool    {}\n\nCtrl-C or SIGTERM stops it; mail that waits stays in the spool.\n",
        runtime::build_info().version, options_.name, host_->loops().size(), host_->http()->local().to_string(),
        member_->operators_at(), options_.data_dir + "/control.sock", options_.data_dir + "/spool");
}

}  // namespace postfleet::sender
