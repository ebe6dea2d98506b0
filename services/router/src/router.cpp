#include "router.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <utility>

#include "commands.hpp"
#include "postfleet/base/json.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/config_files/load.hpp"
#include "postfleet/postgres/state_store.hpp"
#include "postfleet/runtime/build_info.hpp"
#include "postfleet/sqlite/state_store.hpp"
#include "waiting.hpp"

namespace postfleet::router {

namespace {

constexpr Duration kGrace = std::chrono::seconds(3);  // for calls under way when the router stops
constexpr Duration kFirstLook = std::chrono::seconds(2);

}  // namespace

Result<std::unique_ptr<Router>> Router::start(Options options) {
    std::unique_ptr<Router> router(new Router(std::move(options)));
    if (Status started = router->start_all(); !started) return started.error();
    return router;
}

Router::~Router() {
    if (control_) control_->stop();
    if (host_) host_->stop_admin();
    if (server_) server_->stop({});
    if (feed_) feed_->stop();
    store_.reset();  // its completions still find the shards
    if (host_) host_->stop_shards();
}

Status Router::start_all() {
    // Signals are blocked before the first thread starts, so that only the main thread sees them.
    auto host = service_host::ServiceHost::create();
    if (!host) return host.error();
    host_ = *std::move(host);
    Status opened = host_->open_log({.path = options_.log, .level = options_.log_level});
    if (!opened) return opened;
    if (Status made = host_->make_shards(1); !made) return made;
    host_->start_shards();
    for (const auto step : {&Router::open_state, &Router::open_admin, &Router::open_doors}) {
        if (Status done = (this->*step)(); !done) return done;
    }
    host_->report_running();
    host_->log()
        .line(LogLevel::Info, "started")
        .field("version", runtime::build_info().version)
        .field("grpc", address())
        .field("config", options_.config)
        .field("epoch", feed_->epoch());
    return {};
}

Status Router::open_state() {
    std::error_code failed;
    std::filesystem::create_directories(options_.data_dir, failed);
    if (failed) {
        return Error{ErrorKind::PermissionDenied, "cannot make the directory " + options_.data_dir + ": " +
                                                      failed.message() + "; make it, or name another with --data-dir"};
    }
    auto store = options_.state.empty() ? sqlite::open_state_store(options_.data_dir + "/state.db")
                                        : postgres::open_state_store({.url = options_.state});
    if (!store) return store.error();
    store_ = *std::move(store);
    return {};
}

Status Router::open_admin() {
    feed_ = std::make_shared<StateFeed>(
        FeedParts{.store = *store_,
                  .executor = host_->loops()[0],
                  .on_configuration =
                      [this](const ConfigurationSnapshot& snapshot) {
                          host_->log()
                              .line(LogLevel::Info, "configuration-active")
                              .field("epoch", snapshot.epoch)
                              .field("version", snapshot.version)
                              .field("by", snapshot.activated_by);
                          server_->publish(snapshot);
                          host_->main_loop().post([] {});  // wakes the start, which waits for the first
                      },
                  .on_orders = [this](std::uint64_t revision) { server_->announce_orders(revision); }});
    host_->add_readiness_check("state", [this] {
        const std::string away = store_->obstacle();
        return away.empty() ? feed_->obstacle() : away;
    });
    host_->add_readiness_check("configuration", [this] {
        return feed_->epoch() == 0 ? std::string("no configuration is active") : std::string();
    });
    host_->metrics().computed_gauge("postfleet_router_config_epoch", "Epoch of the active configuration.", {},
                                    [this] { return static_cast<double>(feed_->epoch()); });
    const auto address = Endpoint::parse(options_.http);
    if (!address) return Error{address.error().kind, "--http: " + address.error().text};
    if (Status opened = host_->open_admin(*address); !opened) {
        return Error{opened.error().kind, "--http " + options_.http + ": " + opened.error().text};
    }
    return {};
}

Status Router::open_doors() {
    watch_ = std::make_unique<runtime::ConfigWatch>(options_.config);
    if (const auto activated = activate_directory("start of the router"); !activated) {
        // What is active goes on; without anything there is nothing to start with.
        const auto active = wait_for<Result<std::optional<ConfigurationSnapshot>>>(
            host_->loops()[0], [&](auto done) { store_->active(0, std::move(done)); });
        if (!active) return active.error();
        if (!*active) return activated.error();
        const config::LoadResult loaded = config_files::load_files((*active)->files, options_.config);
        if (loaded.config) note_senders(*loaded.config);
        host_->log()
            .line(LogLevel::Error, "configuration-refused")
            .field("problem", activated.error().text)
            .field("then", fmt::format("epoch {} stays active", (*active)->epoch));
    }
    auto server = rpc::RouterServer::start({.address = options_.listen,
                                            .tls = options_.tls,
                                            .store = *store_,
                                            .executor = host_->loops()[0],
                                            .metrics = host_->metrics(),
                                            .log = host_->log(),
                                            .named_senders = [this] { return named_senders(); }});
    if (!server) return server.error();
    server_ = *std::move(server);
    feed_->start();
    // So that it is ready when it says so; a database that has just gone away again is not waited for.
    host_->main_loop().await(steady_clock_now() + kFirstLook, [this] { return feed_->epoch() != 0; });
    server_->set_serving(true);
    control_ = std::make_unique<runtime::ControlServer>(
        options_.socket, [this](const runtime::ControlRequest& request) { return command(request); });
    return control_->start();
}

// --- configuration

Result<std::string> Router::activate_directory(const std::string& who) {
    const std::lock_guard lock(operations_);
    watch_->accept();
    auto files = config_files::read_files(options_.config);
    if (!files) return files.error();
    const config::LoadResult loaded = config_files::load_files(*files, options_.config);
    if (!loaded.config) {
        std::string text = "the configuration in " + options_.config + " is not activated:";
        for (const config::Problem& problem : loaded.problems) {
            host_->log().line(LogLevel::Error, "configuration-problem").field("problem", problem.to_string());
            text += "\n  " + problem.to_string();
        }
        return Error{ErrorKind::InvalidArgument, text};
    }
    ConfigurationSnapshot snapshot{.epoch = 0,
                                   .version = config_files::version_of(*files),
                                   .files = *std::move(files),
                                   .activated_at = wall_clock_now(),
                                   .activated_by = who};
    const std::string version = snapshot.version;
    const auto epoch = wait_for<Result<std::uint64_t>>(
        host_->loops()[0], [&](auto done) { store_->activate(std::move(snapshot), std::move(done)); });
    if (!epoch) return epoch.error();
    note_senders(*loaded.config);
    if (server_) feed_->look_now();  // before, there is nobody to tell
    std::string answer;
    JsonWriter json(answer);
    json.begin_object().member("version", version).member("epoch", *epoch).key("changes").begin_array().end_array();
    json.end_object();
    return answer;
}

void Router::note_senders(const config::Config& config) {
    std::set<std::string> named;
    for (const auto& [name, mta] : config.virtual_mtas) named.insert(mta.sender);
    const std::lock_guard lock(names_);
    named_senders_ = std::move(named);
}

std::set<std::string> Router::named_senders() const {
    const std::lock_guard lock(names_);
    return named_senders_;
}

void Router::activate_by_itself(const char* why) {
    host_->log().line(LogLevel::Info, "reload-requested").field("because", why);
    const auto activated = activate_directory(why);
    if (!activated) {
        host_->log()
            .line(LogLevel::Error, "configuration-refused")
            .field("problem", activated.error().text)
            .field("then", "what was active stays");
    }
}

void Router::on_tick() {
    bool changed = false;
    // While an activation is under way there is nothing to look for, and the main thread must not wait for it.
    if (const std::unique_lock lock(operations_, std::try_to_lock); lock) changed = watch_->is_changed();
    if (changed) activate_by_itself("changed files");
}

Result<std::string> Router::command(const runtime::ControlRequest& request) {
    if (request.command == "reload") return activate_directory(request.who);
    return run_command(request, *store_, host_->loops()[0], named_senders());
}

int Router::run() {
    host_->run({.on_reload = [this] { activate_by_itself("SIGHUP"); }, .on_tick = [this] { on_tick(); }});
    host_->log().line(LogLevel::Info, "stopping").field("because", host_->main_loop().stop_reason());
    control_->stop();
    server_->stop(kGrace);
    host_->log().line(LogLevel::Info, "stopped");
    host_->log_sink().flush();
    return 0;
}

// With the port that was got, where any was asked for.
std::string Router::address() const {
    return options_.listen.substr(0, options_.listen.rfind(':') + 1) + std::to_string(server_->port());
}

std::string Router::banner() const {
    return fmt::format(
        "Postfleet router {} is ready, with the configuration in {} (epoch {}).\n\n"
        "  grpc     {:<24} what the other services name with --router\n"
        "  http     {:<24} /metrics, /healthz/live, /healthz/ready\n"
        "  control  {:<24} postfleet --socket: takeover, show senders, reload …\n"
        "  state    {}\n",
        runtime::build_info().version, options_.config, feed_->epoch(), address(), host_->http()->local().to_string(),
        options_.socket, options_.state.empty() ? options_.data_dir + "/state.db" : "PostgreSQL");
}

}  // namespace postfleet::router
