// How mail gets into queues, and from one into another.

#include <utility>

#include "engine.hpp"

namespace postfleet::sender {

void Engine::schedule(ScheduleRequest&& request, Shard& shard) {
    const auto policies = request.waives_tls_policy ? TlsPolicies::Waived : TlsPolicies::Heeded;
    const SiteTable::Place place = sites.enter(request.domain, policies, *shard.executor);
    const std::string& site = place.destination ? place.destination->site : place.site;
    request.task.domain = place.domain;
    queues.find_or_make(site, request.virtual_mta)->arrive(std::move(request.task), place.destination, shard);
    if (!place.destination) recheck(place.domain, site, shard);
}

void Engine::recheck(std::uint32_t domain, const std::string& site, Shard& shard) {
    const SiteTable::Place place = sites.look_again(domain, *shard.executor);
    if (place.destination) on_moved(domain, site, place.destination, shard);
}

void Engine::on_moved(std::uint32_t domain, const std::string& old_site, const std::shared_ptr<Destination>& to,
                      Shard& shard) {
    for (const auto& queue : queues.of_site(old_site)) {
        if (old_site == to->site) {
            queue->retarget(domain, to, shard);
            continue;
        }
        std::uint32_t from = 0;
        do {
            std::vector<Queue::Extracted> tasks = queue->extract(domain, from);
            if (tasks.empty()) continue;
            const auto target = queues.find_or_make(to->site, queue->virtual_mta->name);
            for (Queue::Extracted& item : tasks) {
                item.task.tenant = item.tenant;
                item.task.job = item.job;
                target->arrive(std::move(item.task), to, shard);
            }
        } while (from != 0);
    }
    if (to->kind != Destination::Kind::Failed) return;
    for (const auto& queue : queues.of_site(to->site)) queue->on_resolve_failed(to, shard);
}

}  // namespace postfleet::sender
