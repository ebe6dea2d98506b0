// ControlCommands: what the running process answers to the command line (one function per command).
//
//   status · queues · vmtas · limits · settings · providers · resolve · list · history · trace · trace-read ·
//   disable-source · enable-source · set-mode · reload · intake, and orders: src/order_commands.hpp
//
// Arguments are texts and checked strictly: an unknown command, an unknown or missing argument is an
// InvalidArgument that says what there is. Answers are JSON (render.hpp).
//
// Threads: thread-safe; blocks until sender or DNS has answered, at most kPatience (reload: as long as it takes).
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "postfleet/config/config.hpp"
#include "postfleet/ports/event_log.hpp"
#include "postfleet/ports/http_client.hpp"
#include "postfleet/ports/resolver.hpp"
#include "postfleet/ports/sender_control.hpp"
#include "postfleet/runtime/control.hpp"

namespace postfleet::control {

struct ControlPorts {
    Executor& executor;  // where completions run; not the calling thread's
    SenderControl& sender;
    EventLog& outbox;
    std::function<std::string(const SenderStatus&)> render_status;         // with all that is not the sender's
    std::function<std::shared_ptr<const config::Config>()> configuration;  // in force; shared with the running parts
    std::function<Result<std::string>()> reload;                           // what has changed, as JSON
    std::function<std::string(std::size_t limit)>
        render_intake;  // mail for us that is kept; null: this process takes none
    Resolver& resolver;
    std::string own_sender{};    // whose virtual MTAs are ours, in a cluster; empty: all are
    HttpClient* http = nullptr;  // null: `resolve` fetches no MTA-STS policies
};

class ControlCommands final {
public:
    static constexpr Duration kPatience = std::chrono::seconds(20);
    static constexpr std::size_t kMaxListed = 100'000;

    explicit ControlCommands(ControlPorts ports) : ports_(std::move(ports)) {}
    Result<std::string> run(const runtime::ControlRequest& request) const;

private:
    Result<std::string> status(const runtime::ControlRequest& request) const;
    Result<std::string> queues(const runtime::ControlRequest& request) const;
    Result<std::string> virtual_mtas(const runtime::ControlRequest& request) const;
    Result<std::string> limits(const runtime::ControlRequest& request) const;
    Result<std::string> settings(const runtime::ControlRequest& request) const;
    Result<std::string> providers(const runtime::ControlRequest& request) const;
    Result<std::string> resolve(const runtime::ControlRequest& request) const;
    Result<std::string> list(const runtime::ControlRequest& request) const;
    Result<std::string> history(const runtime::ControlRequest& request) const;
    Result<std::string> disable_source(const runtime::ControlRequest& request) const;
    Result<std::string> enable_source(const runtime::ControlRequest& request) const;
    Result<std::string> trace(const runtime::ControlRequest& request) const;
    Result<std::string> trace_read(const runtime::ControlRequest& request) const;
    Result<std::string> set_mode(const runtime::ControlRequest& request) const;
    Result<std::string> reload(const runtime::ControlRequest& request) const;
    Result<std::string> intake(const runtime::ControlRequest& request) const;

    ControlPorts ports_;
};

}  // namespace postfleet::control
