#include "sink.hpp"

#include <fmt/format.h>

#include <fstream>
#include <semaphore>

#include "sink_shard.hpp"
#include "sink_session.hpp"

namespace postfleet::tools {

namespace {

Result<std::vector<std::string>> read_rules(const SinkOptions& options) {
    std::vector<std::string> rules = options.rules;
    if (options.rules_file.empty()) return rules;
    std::ifstream file(options.rules_file);
    if (!file) return Error{ErrorKind::NotFound, fmt::format("{}: cannot be read", options.rules_file)};
    for (std::string line; std::getline(file, line);) rules.push_back(line);
    return rules;
}

template <class T>
Status open_into(Result<std::unique_ptr<T>> opened, std::unique_ptr<T>& into) {
    if (!opened) return opened.error();
    into = std::move(*opened);
    return {};
}

Status open_files(SinkShared& shared) {
    const SinkOptions& options = shared.options;
    Result<std::vector<std::string>> rules = read_rules(options);
    if (!rules) return rules.error();
    Status status = open_into(SinkRules::parse(*rules, options.named_recipients, options.seed), shared.rules);
    if (status && (!options.provider.empty() || !options.limits.empty())) {
        status = open_into(SinkProvider::make(options.provider, options.limits), shared.provider);
    }
    if (status && !options.record_file.empty()) {
        status = open_into(OutputFile::open(options.record_file), shared.trace);
    }
    if (status && !options.count_file.empty()) {
        status = open_into(OutputFile::open(options.count_file), shared.count);
    }
    if (status && !(options.store_dir.empty() && options.store_file.empty())) {
        status = open_into(MessageStore::open(options.store_dir, options.store_file), shared.store);
    }
    return status;
}

}  // namespace

Sink::Sink() = default;

Sink::~Sink() { stop(); }

Result<std::unique_ptr<Sink>> Sink::open(const SinkOptions& options) {
    std::unique_ptr<Sink> sink(new Sink);
    sink->shared_ = std::make_unique<SinkShared>(options);
    if (Status status = open_files(*sink->shared_); !status) return status.error();
    if (Status status = open_into(net::LoopGroup::create(options.threads), sink->loops_); !status)
        return status.error();
    for (net::EpollLoop* loop : sink->loops_->loops()) {
        sink->shards_.push_back(std::make_unique<SinkShard>(*sink->shared_, *loop));
    }
    for (const Endpoint& address : options.listen) {
        Result<std::unique_ptr<net::TcpListener>> listener =
            net::TcpListener::open({.name = "--listen", .address = address, .refusal = sink->shared_->replies.busy});
        if (!listener) return listener.error();
        sink->listeners_.push_back(std::move(*listener));
    }
    return sink;
}

void Sink::start() {
    is_running_ = true;
    loops_->start();
    for (const auto& listener : listeners_) listener->start(loops_->loops(), *this);
}

void Sink::stop() {
    if (!std::exchange(is_running_, false)) return;
    listeners_.clear();
    for (const auto& shard : shards_) {
        shard->loop().post([shard = shard.get()] { shard->close_all(); });
    }
    loops_->stop();
    loops_->join();
    // A connection that was on its way between two loops arrives now.
    for (const auto& shard : shards_) {
        shard->loop().run_turn(Duration::zero());
        shard->close_all();
    }
}

void Sink::on_accepted(net::EpollLoop& loop, std::unique_ptr<Stream> stream) {
    shards_[loop.shard()]->add(std::move(stream));
}

std::vector<Endpoint> Sink::addresses() const {
    std::vector<Endpoint> addresses;
    for (const auto& listener : listeners_) addresses.push_back(listener->local());
    return addresses;
}

std::uint64_t Sink::messages() const { return shared_->messages.load(std::memory_order_relaxed); }
std::uint64_t Sink::deliveries() const { return shared_->deliveries.load(std::memory_order_relaxed); }
std::uint64_t Sink::connections_now() const { return shared_->connections_now.load(std::memory_order_relaxed); }
bool Sink::finished() const { return shared_->finished.load(std::memory_order_acquire); }

void Sink::write_count() {
    if (shared_->count != nullptr) shared_->count->replace_durably(fmt::format("{:020}\n", messages()));
}

SinkCounts Sink::counts() {
    SinkCounts total;
    for (const auto& shard : shards_) {
        if (!is_running_) {
            total.merge(shard->counts());
            continue;
        }
        std::binary_semaphore merged(0);
        shard->loop().post([&] {
            total.merge(shard->counts());
            merged.release();
        });
        merged.acquire();
    }
    return total;
}

}  // namespace postfleet::tools
