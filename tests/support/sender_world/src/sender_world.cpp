#include "postfleet/support/sender_world.hpp"

#include <algorithm>
#include <utility>

#include "postfleet/mail/address.hpp"

namespace postfleet::support {

// --- the world -----------------------------------------------------------------------------------------

SenderWorld::SenderWorld(unsigned shards) {
    for (unsigned i = 0; i < shards; ++i) {
        executors.push_back(std::make_unique<ManualExecutor>(i));
        transports.push_back(std::make_unique<FakeTransport>(*executors.back()));
        tls_clients.push_back(std::make_unique<FakeTlsClient>(*executors.back()));
        if (i > 0) transports.back()->share_hosts(*transports.front());
    }
    config.hostname = "mta.test";
    config.allow_private_targets = {*Network::parse("192.0.2.0/24"), *Network::parse("2001:db8::/32")};
    add_virtual_mta("v1", {"192.0.2.10"});
    config.default_virtual_mta = "v1";
    config::ShapingRule general;
    general.keys.retry_after = std::vector<Duration>{std::chrono::seconds(10), std::chrono::seconds(30)};
    general.keys.expire_after = std::chrono::hours(1);
    general.keys.dsn_failure = general.keys.dsn_delay = general.keys.dsn_success = false;
    config.shaping.push_back(general);
    config::Report report;
    report.name = "all";
    for (int t = 1; t <= 14; ++t) report.types.push_back(static_cast<EventType>(t));
    config.reports.push_back(report);
}

SenderWorld::~SenderWorld() { stop(); }

config::VirtualMta& SenderWorld::add_virtual_mta(const std::string& name, const std::vector<std::string>& sources) {
    config::VirtualMta& identity = config.virtual_mtas[name];
    identity.name = name;
    identity.ehlo = name + ".test";
    for (const std::string& source : sources) identity.sources.push_back(IpAddress::parse(source).value());
    return identity;
}

void SenderWorld::route(const std::string& domain, const std::string& endpoint) {
    const Endpoint at = Endpoint::parse(endpoint).value();
    config.routes[domain].push_back({at.address.to_string(), at.port});
}

sender::SenderConfiguration SenderWorld::compiled() const {
    auto copy = std::make_shared<const config::Config>(config);
    auto secrets = std::make_shared<sender::Secrets>();
    for (const auto& [file, secret] : secret_files) secrets->emplace(file, Secret(secret));
    return {.config = copy,
            .routing = routing::Snapshot::compile(*copy, own_name),
            .secrets = std::move(secrets),
            .signing_keys = signing_keys};
}

void SenderWorld::start() {
    metrics = std::make_unique<Metrics>();
    workers.on = executors[0].get();
    sender::SenderDependencies dependencies{.shards = {},
                                            .spool = spool,
                                            .state = state,
                                            .resolver = resolver,
                                            .workers = workers,
                                            .digests = digests,
                                            .metrics = *metrics,
                                            .log = Log(log),
                                            .http = http,
                                            .compressor = compressor,
                                            .seed = 7};
    for (std::size_t i = 0; i < executors.size(); ++i) {
        dependencies.shards.push_back({executors[i].get(), transports[i].get(), tls_clients[i].get()});
    }
    sender = std::make_unique<sender::Sender>(std::move(dependencies), compiled());
    const Status started = sender->start();
    require(started.has_value());
    settle();
}

void SenderWorld::reload() {
    sender->reload(compiled());
    settle();
}

void SenderWorld::stop() {
    // A process that ends takes its sockets, timers and posted tasks with it.
    sender.reset();
    const SteadyTime now = executors[0]->now();
    const WallTime wall = executors[0]->wall_now();
    for (unsigned i = 0; i < executors.size(); ++i) {
        auto fresh = std::make_unique<ManualExecutor>(i);
        fresh->advance(now - fresh->now());
        fresh->set_wall_time(wall);
        auto transport = std::make_unique<FakeTransport>(*fresh);
        transport->share_hosts(*transports[i]);
        tls_clients[i] = std::make_unique<FakeTlsClient>(*fresh);
        executors[i] = std::move(fresh);
        transports[i] = std::move(transport);
    }
}

void SenderWorld::settle() {
    for (bool busy = true; busy;) {
        busy = false;
        for (const auto& executor : executors) busy |= executor->run_until_idle() > 0;
    }
}

void SenderWorld::advance(Duration duration) {
    // All clocks together, in steps to the next timer of any of them.
    const SteadyTime end = executors[0]->now() + duration;
    settle();
    while (executors[0]->now() < end) {
        SteadyTime next = end;
        for (const auto& executor : executors) next = std::min(next, executor->next_timer());
        next = std::max(next, executors[0]->now());
        const Duration step = next - executors[0]->now();
        for (const auto& executor : executors) executor->advance(step);
        settle();
    }
}

void SenderWorld::settle_or_advance() {
    settle();
    advance(std::chrono::milliseconds(1));
}

AcceptedMessage SenderWorld::make(const Mail& mail) {
    const WallTime now = executors[0]->wall_now();
    auto message = std::make_shared<Message>();
    message->id = mail.id ? *mail.id : ids_.next(now + std::chrono::microseconds(++ids_made));
    message->accepted_at = now;
    message->reverse_path = mail.from;
    message->tenant = mail.tenant;
    message->job = mail.job;
    message->pool = mail.pool;
    message->priority = mail.priority;
    message->has_leading_dots = mail.has_leading_dots;
    message->has_long_lines = mail.has_long_lines;
    message->tls_wish = mail.tls_wish;
    message->body_type = mail.body_type;
    message->user = mail.user;
    message->dkim_options = mail.dkim_options;
    message->return_content = mail.return_content;
    message->envelope_id = mail.envelope_id;
    message->listener = mail.listener;
    message->deliver_by = mail.deliver_by;
    message->merge = mail.merge;
    message->verp = mail.verp;
    message->size_octets = mail.content.size();
    message->windows = mail.windows;
    if (mail.send_in) message->send_at = now + std::chrono::floor<WallTime::duration>(*mail.send_in);
    message->prepended_header = "Received: from test\r\n";
    message->content_chunks = static_cast<std::uint32_t>(
        std::max<std::size_t>(1, (mail.content.size() + kContentChunkOctets - 1) / kContentChunkOctets));
    AcceptedMessage accepted;
    accepted.taken_as = mail.taken_as;
    for (std::uint32_t i = 0; i < mail.to.size(); ++i) {
        const std::string domain(domain_of(mail.to[i]));
        const bool is_own = mail.verp || mail.merge;
        auto task = std::find_if(accepted.tasks.begin(), accepted.tasks.end(),
                                 [&](const Task& t) { return !is_own && t.domain == domain; });
        if (task == accepted.tasks.end()) {
            task = accepted.tasks.insert(accepted.tasks.end(), Task{});
            task->key = {message->id, static_cast<std::uint32_t>(accepted.tasks.size() - 1)};
            task->due = task->accepted_at = message->send_at.value_or(now);
            if (mail.expires_in) task->expires_at = now + std::chrono::floor<WallTime::duration>(*mail.expires_in);
            task->domain = domain;
            task->virtual_mta = mail.virtual_mta;
            task->pool = mail.pool;
            task->tenant = mail.tenant;
            task->job = mail.job;
            task->priority = mail.priority;
            task->size_octets = mail.content.size();
        }
        Recipient recipient;
        recipient.index = i;
        recipient.address = mail.to[i];
        recipient.notify = mail.notify;
        if (i < mail.variables.size()) recipient.variables = mail.variables[i];
        task->recipients.push_back(std::move(recipient));
    }
    const std::uint32_t last = message->content_chunks - 1;
    for (std::uint32_t chunk = 0; chunk < last; ++chunk) {
        spool.append_content(
            message->id, chunk,
            std::make_shared<const std::string>(mail.content.substr(chunk * kContentChunkOctets, kContentChunkOctets)),
            {});
    }
    accepted.last_chunk = std::make_shared<const std::string>(mail.content.substr(last * kContentChunkOctets));
    accepted.message = std::move(message);
    return accepted;
}

void SenderWorld::hand_over(const Mail& mail, unsigned shard) {
    last_status.reset();
    sender->handover().hand_over(
        make(mail), {executors[shard].get(), [this](Status status) { last_status.emplace(std::move(status)); }});
}

Status SenderWorld::try_accept(const Mail& mail) {
    hand_over(mail);
    settle();
    return last_status.value();
}

std::vector<Event> SenderWorld::events(EventType type) const {
    std::vector<Event> out;
    for (Event& event : spool.events()) {
        if (event.type == type) out.push_back(std::move(event));
    }
    return out;
}

std::vector<QueueStatus> SenderWorld::queues() {
    return ask<std::vector<QueueStatus>>([&](auto done) { sender->control().list_queues(std::move(done)); });
}

Result<Order> SenderWorld::give(Order order) {
    order.who = "op";
    auto given = ask<Result<std::vector<Order>>>(
        [&](auto done) { sender->control().give({std::move(order)}, std::move(done)); });
    if (!given) return given.error();
    return given->front();
}

std::uint64_t SenderWorld::remove(MailSelector which) {
    return finished(must_give({.action = OrderAction::Delete, .which = std::move(which), .why = "test"}).id).recipients;
}

Order SenderWorld::finished(OrderId id) {
    for (int i = 0; i < 1000; ++i) {
        const std::vector<Order> found = orders({.id = id});
        require(!found.empty());
        if (found.front().finished_at) return found.front();
        advance(std::chrono::milliseconds(10));
    }
    require(false);
    return {};
}

void SenderWorld::resume(MailSelector which) {
    const auto done = ask<Result<std::vector<Order>>>(
        [&](auto then) { sender->control().resume(std::move(which), std::move(then)); });
    require(done.has_value());
    settle();
}

void SenderWorld::withdraw(OrderId id) {
    const auto done =
        ask<Result<std::vector<Order>>>([&](auto then) { sender->control().withdraw({id}, std::move(then)); });
    require(done.has_value());
    settle();
}

std::uint64_t SenderWorld::retry(MailSelector which) {
    return ask<Result<MailCount>>([&](auto done) { sender->control().retry(std::move(which), std::move(done)); })
        .value()
        .recipients;
}

std::uint64_t SenderWorld::count_mail(MailSelector which) {
    return ask<Result<MailCount>>([&](auto done) { sender->control().count(std::move(which), std::move(done)); })
        .value()
        .recipients;
}

std::vector<Order> SenderWorld::orders(OrderFilter filter) {
    return ask<std::vector<Order>>([&](auto done) { sender->control().list_orders(filter, std::move(done)); });
}

std::vector<QueuedTask> SenderWorld::list(MailSelector which, std::size_t limit) {
    return ask<Result<std::vector<QueuedTask>>>(
               [&](auto done) { sender->control().list_tasks(std::move(which), limit, std::move(done)); })
        .value();
}

QueueStatus SenderWorld::queue(const std::string& name) {
    for (QueueStatus& status : queues()) {
        if (status.name == name) return status;
    }
    return {};
}

}  // namespace postfleet::support
