#include "queue_table.hpp"

#include <algorithm>

#include "engine.hpp"

namespace postfleet::sender {

std::shared_ptr<Queue> QueueTable::find_or_make(std::string_view site, std::string_view virtual_mta) {
    std::shared_ptr<Queue> queue;
    std::shared_ptr<VirtualMta> identity;
    {
        const std::lock_guard lock(mutex_);
        if (const auto found = sites_.find(site); found != sites_.end()) {
            for (const auto& candidate : found->second) {
                if (candidate->virtual_mta->name == virtual_mta) return candidate;
            }
        }
        identity = virtual_mta_locked(virtual_mta);
    }
    // Settings take a while to merge; the lock is not held for that. Two may make the same one: the first stays.
    const unsigned home = static_cast<unsigned>(std::hash<std::string_view>{}(site) % engine_.shards.size());
    auto fresh = std::make_shared<Queue>(engine_, std::string(site), std::move(identity), home);
    fresh->configure(engine_.settings_of(fresh->site, fresh->virtual_mta->name));
    const std::lock_guard lock(mutex_);
    auto& of_site = sites_[fresh->site];
    for (const auto& candidate : of_site) {
        if (candidate->virtual_mta == fresh->virtual_mta) return candidate;
    }
    of_site.push_back(fresh);
    apply_pause(*fresh);
    ++size_;
    return fresh;
}

std::shared_ptr<Queue> QueueTable::find(std::string_view site, std::string_view virtual_mta) const {
    const std::lock_guard lock(mutex_);
    const auto found = sites_.find(site);
    if (found == sites_.end()) return nullptr;
    for (const auto& queue : found->second) {
        if (queue->virtual_mta->name == virtual_mta) return queue;
    }
    return nullptr;
}

std::vector<std::shared_ptr<Queue>> QueueTable::of_site(const std::string& site) const {
    const std::lock_guard lock(mutex_);
    const auto found = sites_.find(site);
    return found == sites_.end() ? std::vector<std::shared_ptr<Queue>>{} : found->second;
}

std::vector<std::shared_ptr<Queue>> QueueTable::all() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::shared_ptr<Queue>> out;
    out.reserve(size_);
    for (const auto& [site, queues] : sites_) out.insert(out.end(), queues.begin(), queues.end());
    return out;
}

std::size_t QueueTable::size() const {
    const std::lock_guard lock(mutex_);
    return size_;
}

void QueueTable::forget_abandoned(SteadyTime now) {
    const std::lock_guard lock(mutex_);
    for (auto it = sites_.begin(); it != sites_.end();) {
        // Somebody who holds the pointer may be about to add mail; such a queue stays.
        size_ -= std::erase_if(it->second,
                               [&](const auto& queue) { return queue.use_count() == 1 && queue->is_abandoned(now); });
        it = it->second.empty() ? sites_.erase(it) : std::next(it);
    }
}

std::shared_ptr<VirtualMta> QueueTable::virtual_mta_locked(std::string_view name) {
    if (const auto found = virtual_mtas_.find(name); found != virtual_mtas_.end()) return found->second;
    return virtual_mtas_.emplace(std::string(name), std::make_shared<VirtualMta>(std::string(name))).first->second;
}

std::shared_ptr<VirtualMta> QueueTable::virtual_mta(std::string_view name) {
    const std::lock_guard lock(mutex_);
    return virtual_mta_locked(name);
}

std::vector<std::shared_ptr<VirtualMta>> QueueTable::virtual_mtas() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::shared_ptr<VirtualMta>> out;
    for (const auto& [name, identity] : virtual_mtas_) out.push_back(identity);
    std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a->name < b->name; });
    return out;
}

void QueueTable::configure(const std::shared_ptr<const config::Config>& config) {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, identity] : virtual_mtas_) {
        if (!config->virtual_mtas.contains(name)) identity->configure(nullptr);
    }
    for (const auto& [name, settings] : config->virtual_mtas) {
        // An alias: the pointer keeps the whole configuration alive.
        virtual_mta_locked(name)->configure(std::shared_ptr<const config::VirtualMta>(config, &settings));
    }
}

// --- pauses --------------------------------------------------------------------------------------------

// Under the lock, so that a queue that is being made and an order that is being given do not miss each other.
void QueueTable::apply_pauses() {
    const std::lock_guard lock(mutex_);
    for (const auto& [site, queues] : sites_) {
        for (const auto& queue : queues) apply_pause(*queue);
    }
}

void QueueTable::apply_pause(Queue& queue) const {
    const OrderPointer pause =
        engine_.orders.is_empty() ? nullptr : engine_.orders.pause_of(queue.site, queue.virtual_mta->name);
    queue.set_paused(pause != nullptr, pause ? pause->reason : std::string());
}

}  // namespace postfleet::sender
