#include "postfleet/ingest/pickup_service.hpp"

#include <atomic>
#include <map>
#include <string>
#include <utility>

#include "pickup_worker.hpp"

namespace postfleet::ingest {

struct PickupService::Parts {
    PickupDependencies dependencies;
    // A worker stays when its directory goes from the configuration: the store may still answer it.
    std::map<std::string, std::unique_ptr<PickupWorker>> workers;
    bool is_started = false;
};

PickupService::PickupService(PickupDependencies dependencies)
    : parts_(std::make_unique<Parts>(Parts{.dependencies = dependencies})) {}

PickupService::~PickupService() = default;

Status PickupService::reload(const IngestConfiguration& configuration) {
    std::map<std::string, std::unique_ptr<PickupWorker>> made;
    for (const auto& [name, pickup] : configuration.config->pickups) {
        if (parts_->workers.contains(name)) continue;
        const std::string place =
            (pickup.origin.file.empty() ? "" : pickup.origin.to_string() + ": ") + "pickups." + name;
        auto directory = PickupDirectory::open({.directory = pickup.directory, .bad_directory = pickup.bad_directory});
        if (!directory) return Error{directory.error().kind, place + "." + directory.error().text};
        auto worker = PickupWorker::create(
            parts_->dependencies, {.pickup = pickup,
                                   .rules = ListenerRules::make(*configuration.config, pickup, configuration.routing),
                                   .directory = std::move(*directory)});
        if (!worker) return Error{worker.error().kind, place + ": " + worker.error().text};
        made.emplace(name, std::move(*worker));
    }
    for (auto& [name, worker] : parts_->workers) {
        const auto wanted = configuration.config->pickups.find(name);
        if (wanted == configuration.config->pickups.end()) {
            worker->drain([] {});
        } else {
            worker->use(wanted->second,
                        ListenerRules::make(*configuration.config, wanted->second, configuration.routing));
        }
    }
    for (auto& [name, worker] : made) {
        worker->settle_leftovers();
        if (parts_->is_started) worker->start();
        parts_->workers.emplace(name, std::move(worker));
    }
    return {};
}

void PickupService::start() {
    parts_->is_started = true;
    for (auto& [name, worker] : parts_->workers) worker->start();
}

void PickupService::drain(Completion<Status> done) {
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
    drain->open += parts_->workers.size();
    for (auto& [name, worker] : parts_->workers) worker->drain([drain] { drain->leave(); });
    drain->leave();
}

void PickupService::stop() {
    for (auto& [name, worker] : parts_->workers) worker->stop();
}

}  // namespace postfleet::ingest
