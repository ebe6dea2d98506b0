#include "engine.hpp"

#include <algorithm>
#include <random>
#include <utility>

#include "delivery_session.hpp"
#include "postfleet/config/accounting.hpp"

namespace postfleet::sender {

namespace {

constexpr std::size_t kKnownSettings = 256;
constexpr Duration kLookEvery = std::chrono::minutes(1);

std::shared_ptr<const bounce::Classifier> make_classifier(const config::Config& config) {
    if (config.bounce_categories.empty()) return bounce::Classifier::shipped();
    std::vector<bounce::CategoryPattern> own;
    for (const config::BounceCategoryRule& rule : config.bounce_categories) {
        own.push_back({rule.reply, rule.category, rule.origin});
    }
    // The configuration's patterns were compiled when it was loaded.
    return std::make_shared<const bounce::Classifier>(bounce::Classifier::compile(std::move(own)).value());
}

// Whether some queue heeds MTA-STS policies; if none does, nobody looks for them.
bool heeds_mta_sts(const config::Config& config) {
    return shaping::resolve(config, {}).mta_sts ||
           std::any_of(config.shaping.begin(), config.shaping.end(),
                       [](const config::ShapingRule& rule) { return rule.keys.mta_sts == true; });
}

// Mail's types are below 32; those of the operator begin at 64, and get the upper half.
std::uint64_t bit_of(EventType type) {
    const auto number = static_cast<unsigned>(type);
    return std::uint64_t{1} << (number < 64 ? number : number - 32);
}

}  // namespace

std::uint64_t Shard::random() {
    std::uint64_t z = (random_state += 0x9e3779b97f4a7c15ull);  // splitmix64
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

Engine::Engine(SenderDependencies its_dependencies, SenderConfiguration configuration)
    : dependencies(std::move(its_dependencies)),
      metrics(dependencies.metrics),
      queues(*this),
      tls_tallies(dependencies.spool, dependencies.metrics),
      sts_policies({.resolver = dependencies.resolver,
                    .http = dependencies.http,
                    .spool = dependencies.spool,
                    .tallies = tls_tallies},
                   dependencies.metrics, dependencies.log),
      sites(dependencies.resolver, sts_policies, configuration.routing,
            [this](std::uint32_t domain, const std::string& old_site, const std::shared_ptr<Destination>& to,
                   Executor& on) { on_moved(domain, old_site, to, *shard_of(&on)); }),
      orders(sites),
      renditions(dependencies.spool, dependencies.workers, metrics),
      notifier(*this) {
    require(!dependencies.shards.empty());
    std::uint64_t seed = dependencies.seed;
    if (seed == 0) seed = std::random_device{}() | std::uint64_t{1} << 40;
    for (const ShardPorts& ports : dependencies.shards) {
        auto shard = std::make_unique<Shard>();
        shard->number = static_cast<unsigned>(shards.size());
        require(ports.executor->shard() == shard->number);
        shard->executor = ports.executor;
        shard->transport = ports.transport;
        shard->tls = ports.tls;
        shard->random_state = seed + shard->number;
        shard->ids = IdGenerator(~seed - shard->number);
        shard->recorder = std::make_unique<OutcomeRecorder>(*this, *shard);
        shards.push_back(std::move(shard));
    }
    reload(std::move(configuration));
    latched_ = dependencies.spool.state().condition == SpoolCondition::Latched;
    dependencies.spool.on_state_change(*shards[0]->executor, [this](SpoolState state) { on_spool_state(state); });
}

// Sessions and queues hold each other while there are connections.
Engine::~Engine() {
    for (const auto& shard : shards) {
        for (const auto& session : std::exchange(shard->sessions, {})) session->abandon();
    }
    for (const auto& queue : queues.all()) queue->abandon();
}

// --- configuration -------------------------------------------------------------------------------------

std::shared_ptr<const config::Config> Engine::configuration() const {
    const std::lock_guard lock(mutex_);
    return configuration_.config;
}

std::shared_ptr<const Secrets> Engine::secrets() const {
    const std::lock_guard lock(mutex_);
    return configuration_.secrets;
}

std::shared_ptr<const routing::Snapshot> Engine::routing() const {
    const std::lock_guard lock(mutex_);
    return configuration_.routing;
}

void Engine::reload(SenderConfiguration configuration) {
    const std::shared_ptr<const config::Config> config = configuration.config;
    const std::shared_ptr<const routing::Snapshot> routing = configuration.routing;
    renditions.configure({&dependencies.digests, config, configuration.signing_keys});
    std::uint64_t types = 0;
    for (const config::Report& report : config->reports) {
        for (const EventType type : config::reported_events(report)) types |= bit_of(type);
    }
    auto classifier = make_classifier(*config);
    auto reply_rules = std::make_shared<const ReplyRules>(config);
    has_reply_rules_ = !reply_rules->is_empty();
    Duration longest{};
    for (const config::ReplyRule& rule : config->reply_patterns) {
        longest = std::max(longest, rule.retry_after.value_or(Duration::zero()));
    }
    longest_prescribed_wait_ = longest.count();
    {
        const std::lock_guard lock(mutex_);
        classifier_ = std::move(classifier);
        reply_rules_ = std::move(reply_rules);
        configuration_ = std::move(configuration);
        known_settings_.clear();
    }
    reported_types_ = types;
    chooses_again_ = std::any_of(config->pools.begin(), config->pools.end(),
                                 [](const auto& pool) { return pool.second.rechoose != config::Rechoose::Never; });
    mail_keys_differ_ = shaping::mail_keys_differ(*config);
    logs_attempts_ = config->log.attempts;
    hot_budget->set_limit(config->spool.memory_for_content);
    tls_tallies.set_on(config->tls_reports.has_value());
    sts_policies.configure(
        {.is_wanted = heeds_mta_sts(*config), .ca_file = config->https_client.ca_file, .routing = routing});
    queues.configure(config);
    limits.configure(*config);
    for (const auto& identity : queues.virtual_mtas()) metrics.count_suspended(identity->name, identity->suspended());
    for (const auto& queue : queues.all()) queue->configure(settings_of(queue->site, queue->virtual_mta->name));
    for (const shaping::ShortTimeout& timeout : shaping::timeouts_below_standard(*config)) {
        dependencies.log.line(LogLevel::Warning, "timeout-below-standard")
            .field("key", timeout.key)
            .field("rule", timeout.rule.empty() ? "general" : timeout.rule)
            .field("value", format_duration(timeout.value))
            .field("rfc5321", format_duration(timeout.least));
    }
    if (!is_started()) return;
    on_shard(0, [this, routing](Shard& shard) { sites.reload(routing, *shard.executor); });
    pump_all();
}

SettingsPointer Engine::settings_of(const std::string& site, const std::string& virtual_mta) {
    const auto config = configuration();
    shaping::Settings settings = shaping::resolve(*config, {site, virtual_mta, {}, {}});
    // Few different ones serve many queues.
    const std::lock_guard lock(mutex_);
    for (const SettingsPointer& known : known_settings_) {
        if (*known == settings) return known;
    }
    auto fresh = std::make_shared<const shaping::Settings>(std::move(settings));
    if (known_settings_.size() < kKnownSettings) known_settings_.push_back(fresh);
    return fresh;
}

SettingsPointer Engine::mail_settings(const Queue& queue, std::string_view domain, std::string_view tenant) {
    const auto config = configuration();
    const shaping::Settings usual = shaping::resolve(*config, {queue.site, queue.virtual_mta->name, domain, tenant});
    return std::make_shared<const shaping::Settings>(queue.is_in_backoff() ? shaping::in_backoff(usual) : usual);
}

std::shared_ptr<const bounce::Classifier> Engine::classifier() const {
    const std::lock_guard lock(mutex_);
    return classifier_;
}

bool Engine::reports(EventType type) const {
    return (reported_types_.load(std::memory_order_relaxed) & bit_of(type)) != 0;
}

// --- when transactions may begin -----------------------------------------------------------------------

bool Engine::may_transact() const {
    if (!is_started() || is_latched() || is_draining()) return false;
    if (is_past_its_time()) {
        lapsed_.store(true, std::memory_order_relaxed);
        return false;
    }
    if (unrecorded() < kMaxUnrecorded) return true;
    choked_.store(true, std::memory_order_relaxed);
    return false;
}

bool Engine::is_past_its_time() const {
    const SteadyTime::rep until = allowed_until_.load(std::memory_order_relaxed);
    if (until == SteadyTime::max().time_since_epoch().count()) return false;
    // Read now: a process that was stopped in the middle of a turn has an old time of this turn.
    return steady_clock_with_suspend().time_since_epoch().count() >= until;
}

void Engine::allow_until(SteadyTime until) {
    allowed_until_.store(until.time_since_epoch().count(), std::memory_order_relaxed);
    if (!is_past_its_time() && lapsed_.exchange(false)) pump_all();
}

void Engine::start() {
    started_ = true;
    shards[0]->executor->post([this] { look_after_tables(); });
    pump_all();
}

void Engine::start_draining() {
    draining_ = true;
    for (unsigned i = 0; i < shards.size(); ++i) {
        on_shard(i, [](Shard& shard) {
            const std::vector sessions(shard.sessions.begin(), shard.sessions.end());
            for (const auto& session : sessions) session->drain();
        });
    }
}

void Engine::count_unrecorded(std::ptrdiff_t change) {
    const std::size_t now = unrecorded_.fetch_add(static_cast<std::size_t>(change)) + static_cast<std::size_t>(change);
    metrics.unrecorded.set(static_cast<std::int64_t>(now));
    if (change < 0 && now < kMaxUnrecorded / 2 && choked_.load(std::memory_order_relaxed) && choked_.exchange(false)) {
        pump_all();
    }
}

void Engine::on_spool_state(const SpoolState& state) {
    latched_ = state.condition == SpoolCondition::Latched;
    dependencies.log.line(is_latched() ? LogLevel::Error : LogLevel::Info, "spool-condition")
        .field("condition", state.condition == SpoolCondition::Ready      ? "ready"
                            : state.condition == SpoolCondition::SpaceLow ? "space-low"
                                                                          : "latched")
        .field("reason", state.reason);
    if (is_latched()) return;
    for (unsigned i = 0; i < shards.size(); ++i) {
        on_shard(i, [](Shard& shard) { shard.recorder->on_ready(); });
    }
    pump_all();
}

// --- shards --------------------------------------------------------------------------------------------

Shard* Engine::shard_of(const Executor* executor) {
    const unsigned number = executor->shard();
    if (number < shards.size() && shards[number]->executor == executor) return shards[number].get();
    return nullptr;
}

void Engine::on_shard(unsigned number, UniqueFunction<void(Shard&)> task) {
    Shard& shard = *shards[number];
    shard.executor->post([&shard, task = std::move(task)]() mutable { task(shard); });
}

void Engine::pump(const std::shared_ptr<Queue>& queue) {
    on_shard(queue->home, [queue](Shard& shard) { queue->pump(shard, Queue::Spread::AllShards); });
}

void Engine::wake_next(const std::shared_ptr<SharedLimit>& limit) {
    auto queue = limit->next_in_line();
    if (!queue) return;
    const unsigned home = queue->home;
    on_shard(home, [this, limit, queue = std::move(queue)](Shard& shard) {
        queue->on_room(shard, *limit);
        limit->had_its_try();
        // It may not have needed it any more.
        if (limit->has_room(limit->limits().max_connections)) wake_next(limit);
    });
}

void Engine::make_room(const std::shared_ptr<SharedLimit>& limit, SteadyTime now) {
    if (limit->begin_look(now)) look_for_idle(limit, 0, limit->looks_asked());
}

// Shard after shard, so that no two of them send one away for the same need.
void Engine::look_for_idle(const std::shared_ptr<SharedLimit>& limit, unsigned number, std::uint32_t asked) {
    on_shard(number, [this, limit, number, asked](Shard& shard) {
        DeliverySession::make_room(shard, *limit);
        if (number + 1 < shards.size()) return look_for_idle(limit, number + 1, asked);
        if (limit->end_look(asked)) look_for_idle(limit, 0, limit->looks_asked());
    });
}

void Engine::pump_all() {
    for (unsigned i = 0; i < shards.size(); ++i) {
        on_shard(i, [this](Shard& shard) {
            for (const auto& queue : queues.all()) {
                if (queue->home == shard.number) queue->pump(shard, Queue::Spread::AllShards);
            }
        });
    }
}

void Engine::look_after_tables() {
    Executor& executor = *shards[0]->executor;
    queues.forget_abandoned(executor.now());
    sts_policies.refresh(executor);
    executor.schedule_at(executor.now() + kLookEvery, [this] { look_after_tables(); });
}

}  // namespace postfleet::sender
