#include "postfleet/ingest/grpc_listener_service.hpp"

#include <atomic>
#include <map>
#include <utility>

#include "grpc_worker.hpp"
#include "postfleet/config_files/listener_tls.hpp"

namespace postfleet::ingest {
namespace {

// Addresses and variables beside the message.
constexpr std::uint64_t most_body(std::uint64_t message_octets) {
    return message_octets + message_octets / 2 + (1 << 20);
}

}  // namespace

// Its server stops before its workers go.
struct GrpcListenerService::Entry final : rpc::SubmissionHost {
    Entry(const GrpcDependencies& dependencies, const std::string& name) : counters(dependencies.metrics, name) {}

    // Calls take turns, so that the workers have equally much to do.
    void enter(rpc::SubmissionCaller caller, Entered entered) override {
        workers[next.fetch_add(1, std::memory_order_relaxed) % workers.size()]->enter(std::move(caller),
                                                                                      std::move(entered));
    }
    void use(const std::shared_ptr<const GrpcRules>& rules) {
        for (const auto& worker : workers) worker->use(rules);
    }
    void start() {
        for (const auto& worker : workers) worker->start();
    }
    void stop() {
        if (server) server->stop();
        for (const auto& worker : workers) worker->stop();
    }

    GrpcCounters counters;
    Endpoint address;
    std::vector<std::unique_ptr<GrpcWorker>> workers;
    std::atomic<std::size_t> next{0};
    std::unique_ptr<rpc::SubmissionServer> server;
};

struct GrpcListenerService::Parts {
    explicit Parts(GrpcDependencies given) : dependencies(std::move(given)) {}

    Result<std::unique_ptr<Entry>> make(const IngestConfiguration& configuration, const config::GrpcListener& listener,
                                        const std::shared_ptr<const UserDirectory>& users);
    std::shared_ptr<const GrpcRules> rules_of(const IngestConfiguration& configuration,
                                              const config::GrpcListener& listener,
                                              const std::shared_ptr<const UserDirectory>& users) const;
    void retire(std::unique_ptr<Entry> entry);

    GrpcDependencies dependencies;
    std::map<std::string, std::unique_ptr<Entry>> entries;
    std::vector<std::unique_ptr<Entry>> retired;  // they have stopped; the store may still answer them
    bool is_started = false;
};

GrpcListenerService::GrpcListenerService(GrpcDependencies dependencies)
    : parts_(std::make_unique<Parts>(std::move(dependencies))) {}

GrpcListenerService::~GrpcListenerService() { stop(); }

Result<std::unique_ptr<GrpcListenerService::Entry>> GrpcListenerService::Parts::make(
    const IngestConfiguration& configuration, const config::GrpcListener& listener,
    const std::shared_ptr<const UserDirectory>& users) {
    if (const auto problem = config_files::check_grpc_tls(*configuration.config, listener)) {
        return Error{ErrorKind::InvalidArgument, problem->to_string()};
    }
    auto entry = std::make_unique<Entry>(dependencies, listener.name);
    for (std::uint32_t number = 0; number < listener.threads; ++number) {
        auto worker = GrpcWorker::create(dependencies, listener.name, entry->counters, number);
        if (!worker) return worker.error();
        entry->workers.push_back(std::move(*worker));
    }
    entry->use(rules_of(configuration, listener, users));  // before the first caller
    auto server =
        rpc::SubmissionServer::start({.name = listener.name,
                                      .address = listener.address,
                                      .tls = {.certificate = listener.certificate,
                                              .private_key = listener.private_key,
                                              .client_ca = listener.client_ca,
                                              .requires_client_certificate = listener.require_client_certificate},
                                      .host = *entry,
                                      .executor = entry->workers.front()->loop(),
                                      .metrics = dependencies.metrics,
                                      .max_body_octets = most_body(listener.max_message_size),
                                      .max_connections = listener.max_connections,
                                      .max_connections_per_client = listener.max_connections_per_client,
                                      .max_calls = listener.max_calls,
                                      .max_calls_per_connection = listener.max_calls_per_connection,
                                      .max_in_flight = listener.max_in_flight,
                                      .max_octets_in_flight = listener.max_octets_in_flight,
                                      .call_timeout = listener.call_timeout});
    if (!server) {
        Error error = server.error();
        error.text = "grpc_listeners." + listener.name + ".address: " + error.text;
        if (!listener.origin.file.empty()) error.text = listener.origin.to_string() + ": " + error.text;
        return error;
    }
    entry->server = std::move(*server);
    entry->address = {listener.address.address, entry->server->port()};
    return entry;
}

std::shared_ptr<const GrpcRules> GrpcListenerService::Parts::rules_of(
    const IngestConfiguration& configuration, const config::GrpcListener& listener,
    const std::shared_ptr<const UserDirectory>& users) const {
    auto rules = std::make_shared<GrpcRules>();
    rules->rules = ListenerRules::make(*configuration.config, listener, configuration.routing);
    rules->relay_from = listener.relay_from;
    rules->idempotency_window = listener.idempotency_window;
    rules->users = users;
    if (users != nullptr) rules->auth = dependencies.logins.services();
    return rules;
}

void GrpcListenerService::Parts::retire(std::unique_ptr<Entry> entry) {
    if (is_started) {
        entry->server->drain({&entry->workers.front()->loop(), [](const Status&) {}});
        entry->server->stop(kGraceOfOneThatGoes);
    }
    entry->stop();
    retired.push_back(std::move(entry));
}

// Everything that can fail comes first, so that a failure changes nothing.
Status GrpcListenerService::reload(const IngestConfiguration& configuration) {
    const auto& wanted = configuration.config->grpc_listeners;
    auto users = parts_->dependencies.logins.users_of(configuration.config);
    if (!users) return users.error();
    std::map<std::string, std::unique_ptr<Entry>> made;
    for (const auto& [name, listener] : wanted) {
        if (parts_->entries.contains(name)) continue;
        auto one = parts_->make(configuration, listener, *users);
        if (!one) return one.error();
        made.emplace(name, std::move(*one));
    }
    for (auto at = parts_->entries.begin(); at != parts_->entries.end();) {
        if (wanted.contains(at->first)) {
            ++at;
            continue;
        }
        parts_->retire(std::move(at->second));
        at = parts_->entries.erase(at);
    }
    parts_->entries.merge(made);
    for (const auto& [name, entry] : parts_->entries) {
        entry->use(parts_->rules_of(configuration, wanted.at(name), *users));
    }
    if (parts_->is_started) start();
    return {};
}

void GrpcListenerService::start() {
    parts_->is_started = true;
    for (const auto& [name, entry] : parts_->entries) entry->start();
}

void GrpcListenerService::drain(Completion<Status> done) {
    // Shared by the listeners; the last one to be quiet completes.
    struct Drain {
        std::atomic<std::size_t> open{1};
        Completion<Status> done;
        void leave() {
            if (open.fetch_sub(1) != 1) return;
            done.on->post([run = std::move(done.run)]() mutable { run({}); });
        }
    };
    auto drain = std::make_shared<Drain>();
    drain->done = std::move(done);
    for (const auto& [name, entry] : parts_->entries) {
        ++drain->open;
        entry->server->drain({&entry->workers.front()->loop(), [drain](const Status&) { drain->leave(); }});
    }
    drain->leave();
}

void GrpcListenerService::stop() {
    for (const auto& [name, entry] : parts_->entries) entry->stop();
}

std::vector<GrpcListenerService::Listener> GrpcListenerService::listeners() const {
    std::vector<Listener> all;
    for (const auto& [name, entry] : parts_->entries) all.push_back({name, entry->address});
    return all;
}

}  // namespace postfleet::ingest
