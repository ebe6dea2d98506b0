// Router: the process: configuration directory ─▶ checked ─▶ state store ─▶ the other services.
//
// Threads: run() on the main thread; reloads come from there and from control threads, one at a time.
// Errors: start() says what is wrong in lines for people; it leaves nothing behind.
#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "options.hpp"
#include "postfleet/router/state_feed.hpp"
#include "postfleet/rpc/router_server.hpp"
#include "postfleet/runtime/config_watch.hpp"
#include "postfleet/runtime/control.hpp"
#include "postfleet/service_host/service_host.hpp"
#include "postfleet/sql_state/state_store.hpp"

namespace postfleet::config {
struct Config;
}

namespace postfleet::router {

class Router final {
public:
    static Result<std::unique_ptr<Router>> start(Options options);
    ~Router();
    Router(const Router&) = delete;
    Router& operator=(const Router&) = delete;

    std::string banner() const;
    // Until a signal; returns the exit code.
    int run();

private:
    explicit Router(Options options) : options_(std::move(options)) {}

    Status start_all();
    Status open_state();
    Status open_admin();
    Status open_doors();
    // The directory as it is, if it is right; answers with what was done, as JSON.
    Result<std::string> activate_directory(const std::string& who);
    void activate_by_itself(const char* why);
    void on_tick();
    Result<std::string> command(const runtime::ControlRequest& request);
    void note_senders(const config::Config& config);
    std::set<std::string> named_senders() const;
    std::string address() const;

    const Options options_;
    std::mutex operations_;  // activations, and watch_
    mutable std::mutex names_;
    std::set<std::string> named_senders_;  // of the configuration that this router has activated

    // In the order of their start; destroyed the other way round.
    std::unique_ptr<service_host::ServiceHost> host_;
    std::unique_ptr<runtime::ConfigWatch> watch_;
    std::unique_ptr<sql_state::SqlStateStore> store_;
    std::shared_ptr<StateFeed> feed_;  // shared with its calls to the store
    std::unique_ptr<rpc::RouterServer> server_;
    std::unique_ptr<runtime::ControlServer> control_;
};

}  // namespace postfleet::router
