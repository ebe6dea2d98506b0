#include "postfleet/ingest/submission_service.hpp"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "postfleet/wire/topology.hpp"
#include "submission_worker.hpp"

namespace postfleet::ingest {
namespace {

// The usual queues, under the names that they are given here.
wire::BrokerTopology topology_of(const config::SubmissionQueue& queue) {
    if (!queue.declare) return {};
    wire::BrokerTopology topology = wire::submit_topology();
    const auto rename = [&queue](std::string& name) {
        if (name == wire::kSubmitQueue) name = queue.queue;
        else if (name == wire::kRejectedQueue) name = queue.rejected_queue;
    };
    for (auto& exchange : topology.exchanges) rename(exchange.name);
    for (auto& declared : topology.queues) {
        rename(declared.name);
        rename(declared.dead_letter_exchange);
    }
    for (auto& binding : topology.bindings) {
        rename(binding.exchange);
        rename(binding.routing_key);
        rename(binding.queue);
    }
    return topology;
}

}  // namespace

// Its broker goes last: consumers and the publisher are made by it.
struct SubmissionService::Queue {
    Queue(const SubmissionDependencies& dependencies, const config::SubmissionQueue& queue, const std::string& hostname)
        : counters(dependencies.metrics, queue.name),
          broker({.access = queue.broker,
                  .topology = topology_of(queue),
                  .name = "postfleet on " + hostname + ", submission queue " + queue.name,
                  .log = dependencies.log,
                  .metrics = &dependencies.metrics}) {}
    SubmissionCounters counters;
    amqp::Broker broker;
    std::unique_ptr<BrokerPublisher> publisher;
    std::vector<std::unique_ptr<SubmissionWorker>> workers;
};

struct SubmissionService::Parts {
    explicit Parts(SubmissionDependencies given) : dependencies(std::move(given)) {}
    SubmissionDependencies dependencies;
    mutable std::mutex mutex;  // of the map
    std::map<std::string, std::unique_ptr<Queue>> queues;
    // They went from the configuration and are drained; the store may still answer them.
    std::vector<std::unique_ptr<Queue>> retired;
    bool is_started = false;

    template <class Do>
    void for_all_workers(Do&& act) {
        for (const auto& [name, queue] : queues) {
            for (const auto& worker : queue->workers) act(*worker);
        }
        for (const auto& queue : retired) {
            for (const auto& worker : queue->workers) act(*worker);
        }
    }
    Result<std::unique_ptr<Queue>> make(const IngestConfiguration& configuration, const config::SubmissionQueue& queue);
};

SubmissionService::SubmissionService(SubmissionDependencies dependencies)
    : parts_(std::make_unique<Parts>(std::move(dependencies))) {}

SubmissionService::~SubmissionService() { stop(); }

Result<std::unique_ptr<SubmissionService::Queue>> SubmissionService::Parts::make(
    const IngestConfiguration& configuration, const config::SubmissionQueue& queue) {
    std::error_code failed;
    std::filesystem::create_directories(dependencies.directory, failed);
    if (failed) return Error{ErrorKind::Unavailable, dependencies.directory + ": " + failed.message()};
    auto made = std::make_unique<Queue>(dependencies, queue, configuration.config->hostname);
    amqp::PublisherOptions options{.name = "rejected"};
    // What came in can go out again.
    options.most_message_octets = std::max(options.most_message_octets, queue.max_message_size * 2);
    made->publisher = made->broker.publisher(std::move(options));
    const auto rules = ListenerRules::make(*configuration.config, queue, configuration.routing);
    const std::vector<Suspect> left = SuspectFile::read_all(dependencies.directory, queue.name);
    for (std::uint32_t number = 0; number < queue.consumers; ++number) {
        auto worker = SubmissionWorker::create(dependencies, {.queue = queue,
                                                              .rules = rules,
                                                              .broker = made->broker,
                                                              .publisher = *made->publisher,
                                                              .counters = made->counters,
                                                              .number = number,
                                                              .directory = dependencies.directory,
                                                              .left = left,
                                                              .consumer_name = configuration.config->hostname});
        if (!worker) return worker.error();
        made->workers.push_back(std::move(*worker));
    }
    return made;
}

Status SubmissionService::reload(const IngestConfiguration& configuration) {
    std::map<std::string, std::unique_ptr<Queue>> made;
    for (const auto& [name, queue] : configuration.config->submission_queues) {
        if (parts_->queues.contains(name)) continue;
        auto one = parts_->make(configuration, queue);
        if (!one) return Error{one.error().kind, "submission_queues." + name + ": " + one.error().text};
        made.emplace(name, std::move(*one));
    }
    const std::lock_guard lock(parts_->mutex);
    for (auto at = parts_->queues.begin(); at != parts_->queues.end();) {
        const auto wanted = configuration.config->submission_queues.find(at->first);
        if (wanted == configuration.config->submission_queues.end()) {
            for (const auto& worker : at->second->workers) worker->drain([] {});
            parts_->retired.push_back(std::move(at->second));
            at = parts_->queues.erase(at);
            continue;
        }
        for (const auto& worker : at->second->workers) {
            worker->use(ListenerRules::make(*configuration.config, wanted->second, configuration.routing),
                        wanted->second.idempotency_window);
        }
        ++at;
    }
    for (auto& [name, queue] : made) {
        if (parts_->is_started) {
            for (const auto& worker : queue->workers) worker->start();
        }
        parts_->queues.emplace(name, std::move(queue));
    }
    return {};
}

void SubmissionService::start() {
    const std::lock_guard lock(parts_->mutex);
    parts_->is_started = true;
    for (auto& [name, queue] : parts_->queues) {
        for (const auto& worker : queue->workers) worker->start();
    }
}

void SubmissionService::drain(Completion<Status> done) {
    // Shared by the workers; the last one to be quiet completes.
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
    parts_->for_all_workers([&](SubmissionWorker& worker) {
        ++drain->open;
        worker.drain([drain] { drain->leave(); });
    });
    drain->leave();
}

void SubmissionService::stop() {
    const std::lock_guard lock(parts_->mutex);
    parts_->for_all_workers([](SubmissionWorker& worker) { worker.stop(); });
    for (const auto& [name, queue] : parts_->queues) queue->publisher.reset();
    for (const auto& queue : parts_->retired) queue->publisher.reset();
}

std::string SubmissionService::obstacle() const {
    const std::lock_guard lock(parts_->mutex);
    for (const auto& [name, queue] : parts_->queues) {
        for (const auto& worker : queue->workers) {
            if (std::string why = worker->obstacle(); !why.empty()) return name + ": " + why;
        }
    }
    return {};
}

}  // namespace postfleet::ingest
