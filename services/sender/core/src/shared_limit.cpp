#include "shared_limit.hpp"

#include <algorithm>
#include <utility>

#include "queue.hpp"

namespace postfleet::sender {

namespace {

std::string key_of(LimitScope scope, const std::string& name) {
    return std::to_string(static_cast<int>(scope)) + ' ' + name;
}

std::string text_of(const auto& rate) { return rate.is_unlimited() ? std::string() : rate.to_string(); }

}  // namespace

// --- one limit -----------------------------------------------------------------------------------------

void SharedLimit::set(const config::FlowLimits& limits) {
    const std::lock_guard lock(mutex_);
    limits_ = limits;
}

config::FlowLimits SharedLimit::limits() const {
    const std::lock_guard lock(mutex_);
    return limits_;
}

std::string SharedLimit::describe() const {
    switch (scope) {
        case LimitScope::Total: return "all delivery";
        case LimitScope::Provider: return "provider " + name;
        case LimitScope::VirtualMta: return "the virtual MTA";
        case LimitScope::Source: return "source " + name;
        case LimitScope::SourceAtSite: return "source " + name;
        case LimitScope::Destination: return "server " + name;
    }
    return name;
}

std::shared_ptr<Queue> SharedLimit::next_in_line() {
    if (crowd_.load(std::memory_order_acquire) == 0) return nullptr;
    const std::lock_guard lock(mutex_);
    while (!line_.empty()) {
        const auto place = line_.begin() + static_cast<std::ptrdiff_t>(next_place_locked());
        const Waiting first = std::move(*place);
        line_.erase(place);
        count_locked(first, -1u);
        if (auto queue = first.alive.lock()) {
            ++woken_;
            return queue;
        }
        --crowd_;
    }
    return nullptr;
}

// One that entered the line, or left it (change -1).
void SharedLimit::count_locked(const Waiting& waiting, std::uint32_t change) {
    if (waiting.need == Need::Starved) starved_[static_cast<std::size_t>(waiting.priority)] += change;
}

// The line must not be empty.
std::size_t SharedLimit::next_place_locked() {
    std::array<std::optional<std::size_t>, kPriorities> first;
    for (std::size_t i = 0; i < line_.size(); ++i) {
        auto& place = first[static_cast<std::size_t>(line_[i].priority)];
        if (!place) place = i;
    }
    std::optional<std::size_t> chosen;
    for (std::size_t priority = 0; priority < kPriorities; ++priority) {
        if (!first[priority]) {
            passed_over_[priority] = 0;
        } else if (!chosen) {
            chosen = first[priority];
            passed_over_[priority] = 0;
        } else if (++passed_over_[priority] > kStarvationBound) {
            passed_over_[priority] = 0;
            return *first[priority];
        }
    }
    return *chosen;
}

void SharedLimit::had_its_try() {
    const std::lock_guard lock(mutex_);
    --woken_;
    --crowd_;
}

bool SharedLimit::is_before_others(const Queue& queue) const {
    if (crowd_.load(std::memory_order_relaxed) == 0) return true;
    const std::lock_guard lock(mutex_);
    return woken_ == 0 && (line_.empty() || line_.front().queue == &queue);
}

void SharedLimit::wait(const std::shared_ptr<Queue>& queue, Need need, Priority priority) {
    const std::lock_guard lock(mutex_);
    const auto known =
        std::find_if(line_.begin(), line_.end(), [&](const Waiting& w) { return w.queue == queue.get(); });
    if (known != line_.end()) {
        if (known->need == need && known->priority == priority) return;
        count_locked(*known, -1u);
        line_.erase(known);
        --crowd_;
    }
    ++crowd_;
    const auto behind = need == Need::More ? line_.end()
                                           : std::find_if(line_.begin(), line_.end(),
                                                          [](const Waiting& w) { return w.need == Need::More; });
    count_locked(*line_.insert(behind, {queue.get(), queue, need, priority}), +1);
}

void SharedLimit::leave(const Queue& queue) {
    if (crowd_.load(std::memory_order_relaxed) == 0) return;
    const std::lock_guard lock(mutex_);
    std::erase_if(line_, [&](const Waiting& waiting) {
        if (waiting.queue != &queue) return false;
        count_locked(waiting, -1u);
        --crowd_;
        return true;
    });
}

// A session that becomes idle counts itself first and then looks who waits, and who waits stands in the line before he
// looks for idle ones: so one of them sees the other.
bool SharedLimit::begin_look(SteadyTime now) {
    if (idle_.load() == 0) return false;
    if (!lacks_room(Priority::Low)) {
        // Those who want more than they have must still want it after kUnused, and are looked after so often.
        const SteadyTime::rep at = now.time_since_epoch().count(), rest = Duration(kUnused).count();
        SteadyTime::rep next = next_look_.load();
        if (at < next || !next_look_.compare_exchange_strong(next, at + rest) || at >= next + rest) return false;
    }
    return asked_.fetch_add(1) == 0;
}

bool SharedLimit::is_waiting(const Queue& queue) const {
    const std::lock_guard lock(mutex_);
    return std::any_of(line_.begin(), line_.end(), [&](const Waiting& waiting) { return waiting.queue == &queue; });
}

std::size_t SharedLimit::queues_waiting() const {
    const std::lock_guard lock(mutex_);
    return line_.size();
}

bool SharedLimit::is_idle(SteadyTime now) const {
    const LimitUse last{nullptr, limits()};
    return connections_.in_use() == 0 && messages.next(last.pace()) <= now &&
           connects.next(last.connect_pace()) <= now && queues_waiting() == 0;
}

// --- all of them ---------------------------------------------------------------------------------------

std::shared_ptr<SharedLimit> SharedLimits::find_or_make_locked(LimitScope scope, const std::string& name) {
    auto& limit = limits_[key_of(scope, name)];
    if (limit) return limit;
    limit = std::make_shared<SharedLimit>(scope, name);
    if (scope >= LimitScope::Source) ++addresses_;
    return limit;
}

void SharedLimits::configure(const config::Config& config) {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, limit] : limits_) limit->set({});
    find_or_make_locked(LimitScope::Total, {})->set(config.outbound.total);
    for (const auto& [name, provider] : config.providers) {
        find_or_make_locked(LimitScope::Provider, name)->set(provider.limits);
    }
    for (const auto& [name, identity] : config.virtual_mtas) {
        find_or_make_locked(LimitScope::VirtualMta, name)->set(identity.limits);
    }
    per_source_ = config.outbound.per_source;
    has_per_source_ = !per_source_.is_unlimited();
}

std::vector<LimitUse> SharedLimits::of_queue(const std::string& site, const std::string& virtual_mta) {
    const std::lock_guard lock(mutex_);
    std::vector<LimitUse> out;
    const auto add = [&](LimitScope scope, const std::string& name) {
        const auto limit = find_or_make_locked(scope, name);
        out.push_back({limit, limit->limits()});
    };
    add(LimitScope::VirtualMta, virtual_mta);
    if (limits_.contains(key_of(LimitScope::Provider, site))) {
        add(LimitScope::Provider, site);
    }
    add(LimitScope::Total, {});
    return out;
}

std::shared_ptr<SharedLimit> SharedLimits::of_virtual_mta(const std::string& name) {
    const std::lock_guard lock(mutex_);
    return find_or_make_locked(LimitScope::VirtualMta, name);
}

std::vector<LimitUse> SharedLimits::of_connection(const std::string& site, const std::optional<IpAddress>& source,
                                                  const IpAddress& peer, const config::FlowLimits& per_source,
                                                  const config::FlowLimits& per_destination, SteadyTime now) {
    std::vector<LimitUse> out;
    if (per_source.is_unlimited() && per_destination.is_unlimited() && !has_per_source_) return out;
    const std::lock_guard lock(mutex_);
    const auto add = [&](LimitScope scope, const std::string& name, const config::FlowLimits& allows) {
        if (allows.is_unlimited()) return;
        if (addresses_ >= forget_at_) forget_idle_locked(now);
        out.push_back({find_or_make_locked(scope, name), allows});
        out.back().limit->set(allows);  // for those who look
    };
    add(LimitScope::Destination, peer.to_string(), per_destination);
    if (!source) return out;
    add(LimitScope::SourceAtSite, source->to_string() + " at " + site, per_source);
    add(LimitScope::Source, source->to_string(), per_source_);
    return out;
}

void SharedLimits::forget_idle_locked(SteadyTime now) {
    constexpr std::size_t kFewest = 1024;
    std::erase_if(limits_, [&](const auto& entry) {
        const SharedLimit& limit = *entry.second;
        const bool goes = limit.scope >= LimitScope::Source && entry.second.use_count() == 1 && limit.is_idle(now);
        if (goes) --addresses_;
        return goes;
    });
    forget_at_ = std::max(kFewest, addresses_ * 2);
}

std::vector<LimitStatus> SharedLimits::status(SteadyTime now) const {
    const std::lock_guard lock(mutex_);
    std::vector<LimitStatus> out;
    for (const auto& [key, limit] : limits_) {
        const config::FlowLimits allows = limit->limits();
        if (allows.is_unlimited()) continue;
        LimitStatus& status = out.emplace_back();
        status.scope = limit->scope;
        status.name = limit->name;
        status.connections = limit->connections();
        status.queues_waiting = limit->queues_waiting();
        if (allows.max_connections != config::kUnlimited) status.max_connections = allows.max_connections;
        status.max_message_rate = text_of(allows.max_message_rate);
        status.max_connect_rate = text_of(allows.max_connect_rate);
        status.max_data_rate = text_of(allows.max_data_rate);
        const std::lock_guard rates(rates_mutex_);
        status.queues_waiting += limit->messages.waiting();
        const SteadyTime next = limit->messages.next(LimitUse{nullptr, allows}.pace());
        if (next > now) status.next_message_in = next - now;
    }
    std::sort(out.begin(), out.end(), [](const LimitStatus& a, const LimitStatus& b) {
        return a.scope != b.scope ? a.scope < b.scope : a.name < b.name;
    });
    return out;
}

}  // namespace postfleet::sender
