#include "postfleet/ingest/smtp_listener_service.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <utility>

#include "connection.hpp"
#include "postfleet/base/require.hpp"
#include "postfleet/config_files/listener_tls.hpp"
#include "postfleet/net/tcp_listener.hpp"

namespace postfleet::ingest {
namespace {

// One listener by name. It stays when the listener goes from the configuration: its connections still count,
// and it may come back.
class ListenerEntry final : public net::AcceptHandler {
public:
    ListenerEntry(const std::string& name, Metrics& metrics, ProcessLimits& process,
                  std::vector<std::unique_ptr<EdgeShard>>& shards)
        : shared_(metrics, name, process), shards_(shards), by_shard_(shards.size()) {
        for (ShardListener& listener : by_shard_) listener.shared = &shared_;
    }

    void on_accepted(net::EpollLoop& loop, std::unique_ptr<Stream> stream) override {
        shards_[loop.shard()]->accept(by_shard_[loop.shard()], std::move(stream));
    }

    void on_refused(net::EpollLoop& loop) override { shards_[loop.shard()]->count_unheard(by_shard_[loop.shard()]); }

    // Before the first connection the shards know nothing of this listener yet; later they must be asked.
    void set_rules(const std::shared_ptr<const ListenerRules>& rules, std::shared_ptr<tls::ServerContext> loaded) {
        const bool first = !std::exchange(is_known_, true);
        address_ = rules->listener.address;
        take_tls(rules->listener, std::move(loaded));
        for (std::size_t i = 0; i < by_shard_.size(); ++i) {
            if (first) {
                by_shard_[i].rules = rules;
                by_shard_[i].tls = tls_;
                continue;
            }
            shards_[i]->loop().post([to = &by_shard_[i], rules, tls = tls_] {
                to->rules = rules;
                to->tls = tls;
                to->is_closing = false;
            });
        }
    }

    void listen(std::unique_ptr<net::TcpListener> socket, std::span<net::EpollLoop* const> loops) {
        socket_ = std::move(socket);
        socket_->start(loops, *this);
    }

    void stop() {
        if (socket_ != nullptr) std::exchange(socket_, nullptr)->stop();
    }

    void drain_connections() {
        for (std::size_t i = 0; i < by_shard_.size(); ++i) {
            shards_[i]->loop().post([shard = shards_[i].get(), listener = &by_shard_[i]] { shard->drain(listener); });
        }
    }

    bool is_listening() const { return socket_ != nullptr; }
    bool is_listening_on(const Endpoint& address) const { return is_listening() && address_ == address; }
    Endpoint bound_to() const { return socket_->local(); }
    const ListenerShared& shared() const { return shared_; }

private:
    // The context that is there already goes on where it can, so that clients' tickets stay good.
    void take_tls(const config::Listener& listener, std::shared_ptr<tls::ServerContext> loaded) {
        const bool goes_on =
            tls_ != nullptr && loaded != nullptr && tls_->reload(config_files::tls_settings_of(listener)).has_value();
        if (!goes_on) tls_ = std::move(loaded);
    }

    ListenerShared shared_;
    std::vector<std::unique_ptr<EdgeShard>>& shards_;
    std::vector<ShardListener> by_shard_;
    bool is_known_ = false;                    // to the shards
    Endpoint address_;                         // as configured
    std::shared_ptr<tls::ServerContext> tls_;  // shared with the shards' connections; null: no TLS
    std::unique_ptr<net::TcpListener> socket_;
};

}  // namespace

struct SmtpListenerService::Parts {
    // shared_ptr because the shards and the deadline all report to it, and any of them may be the last.
    struct Drain {
        std::atomic<std::size_t> open_shards{0};
        std::atomic<bool> done{false};
        Completion<Status> completion;
        TimerId timer;  // of the first loop

        void complete(Status status) {
            if (done.exchange(true)) return;
            completion.on->post(
                [run = std::move(completion.run), status = std::move(status)]() mutable { run(std::move(status)); });
        }
    };

    explicit Parts(IngestDependencies d) : dependencies(d), counters(d.metrics), loops(d.loops.begin(), d.loops.end()) {
        require(!loops.empty());
        for (net::EpollLoop* loop : loops) {
            require(loop->shard() == shards.size());
            shards.push_back(std::make_unique<EdgeShard>(*loop, d.handover, counters, d.log, d.seed));
            if (d.feedback_intake != nullptr) shards.back()->intake().desk().keep_our_mail_in(*d.feedback_intake);
        }
        d.metrics.computed_gauge("postfleet_ingest_connections", "Connections that are open.", {},
                                 [all = process] { return static_cast<double>(all->connections.taken()); });
        d.metrics.computed_gauge("postfleet_ingest_handshakes", "TLS handshakes under way.", {},
                                 [all = process] { return static_cast<double>(all->handshakes.taken()); });
        d.metrics.computed_gauge("postfleet_ingest_content_octets", "Memory for messages that are being received.", {},
                                 [all = process] { return static_cast<double>(all->content.used()); });
    }

    using Contexts = std::map<std::string, std::shared_ptr<tls::ServerContext>>;
    Status apply(const IngestConfiguration& configuration);
    Result<Contexts> load_contexts(const config::Config& config);
    std::shared_ptr<const ListenerRules> rules_of(const IngestConfiguration& configuration,
                                                  const config::Listener& listener,
                                                  const std::shared_ptr<const UserDirectory>& users) const;
    void limit_connections(const config::Limits& limits);
    void close_by_force();

    IngestDependencies dependencies;
    IngestCounters counters;
    // shared_ptr because the metrics read it, for as long as anybody reads them.
    const std::shared_ptr<ProcessLimits> process = std::make_shared<ProcessLimits>();
    std::vector<net::EpollLoop*> loops;
    Logins logins;
    std::vector<std::unique_ptr<EdgeShard>> shards;
    std::map<std::string, ListenerEntry> entries;
};

Result<SmtpListenerService::Parts::Contexts> SmtpListenerService::Parts::load_contexts(const config::Config& config) {
    Contexts contexts;
    for (const auto& [name, listener] : config.listeners) {
        if (listener.tls == config::ListenerTls::None) continue;
        auto loaded = config_files::load_listener_tls(config, listener);
        if (const auto* problem = std::get_if<config::Problem>(&loaded)) {
            return Error{ErrorKind::InvalidArgument, problem->to_string()};
        }
        auto& context = std::get<std::unique_ptr<tls::ServerContext>>(loaded);
        for (const std::string& warning : context->report().warnings) {
            dependencies.log.line(LogLevel::Warning, "certificate").field("listener", name).field("text", warning);
        }
        contexts.emplace(name, std::move(context));
    }
    return contexts;
}

std::shared_ptr<const ListenerRules> SmtpListenerService::Parts::rules_of(
    const IngestConfiguration& configuration, const config::Listener& listener,
    const std::shared_ptr<const UserDirectory>& users) const {
    if (listener.auth == config::ListenerAuth::None) {
        return ListenerRules::make(*configuration.config, listener, configuration.routing);
    }
    return ListenerRules::make(*configuration.config, listener, configuration.routing, logins.services(), users);
}

// Everything that can fail comes first, so that a failure changes nothing.
Status SmtpListenerService::Parts::apply(const IngestConfiguration& configuration) {
    const auto& wanted = configuration.config->listeners;
    Result<Contexts> contexts = load_contexts(*configuration.config);
    if (!contexts) return contexts.error();
    auto users = logins.users_of(configuration.config);
    if (!users) return users.error();
    std::map<std::string, std::unique_ptr<net::TcpListener>> sockets;
    for (const auto& [name, listener] : wanted) {
        const auto entry = entries.find(name);
        if (entry != entries.end() && entry->second.is_listening_on(listener.address)) continue;
        auto socket = net::TcpListener::open({.name = "listeners." + name + ".address", .address = listener.address});
        if (!socket) {
            Error error = socket.error();
            if (!listener.origin.file.empty()) error.text = listener.origin.to_string() + ": " + error.text;
            return error;
        }
        sockets.emplace(name, *std::move(socket));
    }
    limit_connections(configuration.config->limits);
    for (auto& [name, entry] : entries) {
        if (wanted.contains(name) || !entry.is_listening()) continue;
        entry.stop();
        entry.drain_connections();
    }
    for (const auto& [name, listener] : wanted) {
        ListenerEntry& entry = entries.try_emplace(name, name, dependencies.metrics, *process, shards).first->second;
        entry.set_rules(rules_of(configuration, listener, *users), std::move((*contexts)[name]));
        if (const auto socket = sockets.find(name); socket != sockets.end()) {
            entry.stop();
            entry.listen(std::move(socket->second), loops);
        }
    }
    return {};
}

// Some descriptors stay for everything else: deliveries, the spool's files. Without them neither could mail be kept that
// was taken, nor a connection be accepted to be told 421.
void SmtpListenerService::Parts::limit_connections(const config::Limits& limits) {
    ::rlimit descriptors{};
    ::getrlimit(RLIMIT_NOFILE, &descriptors);
    const auto most = static_cast<std::uint32_t>(std::min<std::uint64_t>(descriptors.rlim_cur / 4 * 3, UINT32_MAX));
    const std::uint32_t wanted = limits.max_connections == 0 ? most : limits.max_connections;
    if (wanted > most) {
        dependencies.log.line(LogLevel::Warning, "few-file-descriptors")
            .field("limits.max_connections", wanted)
            .field("in_force", most)
            .field("advice", "raise LimitNOFILE (systemd) or ulimit -n to four thirds of it");
    }
    process->max_connections = std::min(wanted, most);
}

void SmtpListenerService::Parts::close_by_force() {
    for (const auto& shard : shards) {
        shard->loop().post([shard = shard.get()] { shard->close_all(); });
    }
}

SmtpListenerService::SmtpListenerService(IngestDependencies dependencies)
    : parts_(std::make_unique<Parts>(std::move(dependencies))) {}

SmtpListenerService::~SmtpListenerService() {
    for (auto& [name, entry] : parts_->entries) entry.stop();
    // The connections refer to the entries' limits and counters.
    parts_->shards.clear();
}

Logins& SmtpListenerService::logins() { return parts_->logins; }

Status SmtpListenerService::start(IngestConfiguration configuration) { return parts_->apply(configuration); }

Status SmtpListenerService::reload(IngestConfiguration configuration) { return parts_->apply(configuration); }

void SmtpListenerService::drain(SteadyTime deadline, Completion<Status> done) {
    for (auto& [name, entry] : parts_->entries) entry.stop();
    auto drain = std::make_shared<Parts::Drain>();
    drain->open_shards = parts_->shards.size();
    drain->completion = std::move(done);
    net::EpollLoop& first = *parts_->loops.front();
    first.post([drain, deadline, &first, parts = parts_.get()] {
        if (drain->done) return;
        drain->timer = first.schedule_at(deadline, [drain, parts] {
            drain->complete(Error{ErrorKind::DeadlineExceeded, "connections were still open; they were closed"});
            parts->close_by_force();
        });
    });
    for (const auto& shard : parts_->shards) {
        shard->loop().post([drain, &first, shard = shard.get()] {
            shard->drain(nullptr);
            shard->when_empty([drain, &first] {
                if (drain->open_shards.fetch_sub(1) != 1) return;
                drain->complete({});
                first.post([drain, &first] { first.cancel(drain->timer); });
            });
        });
    }
}

std::vector<ListenerStatus> SmtpListenerService::listeners() const {
    std::vector<ListenerStatus> all;
    for (const auto& [name, entry] : parts_->entries) {
        if (!entry.is_listening()) continue;
        const ListenerCounters& counters = entry.shared().counters;
        all.push_back({.name = name,
                       .address = entry.bound_to(),
                       .connections = entry.shared().limits.connections(),
                       .connections_total = counters.connections.value(),
                       .messages_total = counters.messages.value(),
                       .recipients_total = counters.recipients.value()});
    }
    return all;
}

}  // namespace postfleet::ingest
