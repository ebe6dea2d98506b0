#include "virtual_mta.hpp"

#include <algorithm>
#include <utility>

namespace postfleet::sender {

namespace {
// So that the one before has really gone when its successor wakes.
constexpr Duration kNextInLine = std::chrono::microseconds(20);
}  // namespace

void VirtualMta::configure(std::shared_ptr<const config::VirtualMta> configuration) {
    const std::lock_guard lock(mutex_);
    std::vector<SourceState> sources;
    if (configuration) {
        for (const IpAddress& address : configuration->sources) {
            const auto known = std::find_if(sources_.begin(), sources_.end(),
                                            [&](const SourceState& s) { return s.address == address; });
            sources.push_back(known != sources_.end() ? *known : SourceState{address, {}});
        }
        max_connections_ = configuration->max_connections;
        message_interval_ = configuration->max_message_rate.interval().count();
        connect_interval_ = configuration->max_connect_rate.interval().count();
    }
    sources_ = std::move(sources);
    if (!configuration || !configuration_ || configuration->proxy != configuration_->proxy) proxy_ = {};
    is_configured_ = configuration != nullptr;
    configuration_ = std::move(configuration);
}

std::shared_ptr<const config::VirtualMta> VirtualMta::configuration() const {
    const std::lock_guard lock(mutex_);
    return configuration_;
}

// --- sources -------------------------------------------------------------------------------------------

bool VirtualMta::Suspension::fail(std::string why, SteadyTime now) {
    constexpr std::uint32_t kMostDoublings = 6;
    const bool news = reason.empty();
    reason = std::move(why);
    if (!news && !std::exchange(is_probed, false)) return false;  // one that was under way when it was suspended
    retry_at = now + std::min<Duration>(kFirstRest * (1 << std::min(failures, kMostDoublings)), kLongestRest);
    ++failures;
    return news;
}

bool VirtualMta::Suspension::end() {
    const bool news = !reason.empty();
    *this = {};
    return news;
}

// Not suspended, or this is the probe; then nobody else tries before the next time.
bool VirtualMta::Suspension::may_probe(SteadyTime now) {
    if (reason.empty()) return true;
    if (now < retry_at) return false;
    retry_at = now + kLongestRest;
    is_probed = true;
    return true;
}

VirtualMta::Source VirtualMta::choose_source(bool v6, SteadyTime now, std::string_view site) {
    const std::lock_guard lock(mutex_);
    std::erase_if(bans_, [&](const Ban& ban) { return ban.until <= now; });
    if (!proxy_.reason.empty() && now < proxy_.retry_at) {
        return {Source::Kind::AllDisabled, {}, proxy_.retry_at, proxy_.reason, nullptr};
    }
    if (sources_.empty()) {
        proxy_.may_probe(now);
        return {Source::Kind::Any, {}, {}, {}, configuration_};
    }
    Source none{Source::Kind::NoneOfFamily,
                {},
                SteadyTime::max(),
                name + (v6 ? " has no IPv6 source address" : " has no IPv4 source address"),
                nullptr};
    for (std::size_t i = 0; i < sources_.size(); ++i) {
        const std::size_t at = (next_source_ + i) % sources_.size();
        SourceState& source = sources_[at];
        if (source.address.v6 != v6) continue;
        if (const Ban* ban = ban_locked(source.address, site, now)) {
            none.kind = Source::Kind::AllDisabled;
            none.reason = "source " + source.address.to_string() + " is disabled here: " + ban->reason;
            none.retry_at = std::min(none.retry_at, ban->until);
            continue;
        }
        if (source.suspension.may_probe(now)) {
            proxy_.may_probe(now);
            next_source_ = at + 1;
            return {Source::Kind::Address, source.address, {}, {}, configuration_};
        }
        none.kind = Source::Kind::AllDisabled;
        none.reason = source.suspension.reason;
        none.retry_at = std::min(none.retry_at, source.suspension.retry_at);
    }
    return none;
}

bool VirtualMta::has_source(bool v6) const {
    const std::lock_guard lock(mutex_);
    return sources_.empty() || std::any_of(sources_.begin(), sources_.end(),
                                           [&](const SourceState& source) { return source.address.v6 == v6; });
}

bool VirtualMta::disable_at(const std::string& site, const IpAddress& source, std::string reason, SteadyTime until) {
    const std::lock_guard lock(mutex_);
    for (Ban& ban : bans_) {
        if (ban.site != site || ban.source != source) continue;
        ban.until = std::max(ban.until, until);
        return false;
    }
    bans_.push_back({site, source, std::move(reason), until});
    return true;
}

const VirtualMta::Ban* VirtualMta::ban_locked(const IpAddress& source, std::string_view site, SteadyTime now) const {
    for (const Ban& ban : bans_) {
        if (ban.source == source && ban.site == site && now < ban.until) return &ban;
    }
    return nullptr;
}

bool VirtualMta::on_bind_failed(const IpAddress& address, std::string reason, SteadyTime now) {
    const std::lock_guard lock(mutex_);
    for (SourceState& source : sources_) {
        if (source.address == address) return source.suspension.fail(std::move(reason), now);
    }
    return false;
}

bool VirtualMta::on_bound(const IpAddress& address) {
    const std::lock_guard lock(mutex_);
    for (SourceState& source : sources_) {
        if (source.address == address) return source.suspension.end();
    }
    return false;
}

bool VirtualMta::on_proxy_failed(std::string reason, SteadyTime now) {
    const std::lock_guard lock(mutex_);
    return proxy_.fail(std::move(reason), now);
}

bool VirtualMta::on_proxy_worked() {
    const std::lock_guard lock(mutex_);
    return proxy_.end();
}

std::size_t VirtualMta::suspended() const {
    const std::lock_guard lock(mutex_);
    const auto sources = std::count_if(sources_.begin(), sources_.end(),
                                       [](const SourceState& s) { return !s.suspension.reason.empty(); });
    return static_cast<std::size_t>(sources) + (proxy_.reason.empty() ? 0 : 1);
}

// --- limits --------------------------------------------------------------------------------------------

bool VirtualMta::take_connection() { return connections_.try_take(max_connections_); }

void VirtualMta::give_back_connection(std::vector<std::shared_ptr<Queue>>& to_wake) {
    connections_.give_back();
    if (max_connections_ == config::kUnlimited) return;
    const std::lock_guard lock(mutex_);
    while (!connection_line_.empty() && to_wake.empty()) {
        if (auto queue = connection_line_.front().alive.lock()) to_wake.push_back(std::move(queue));
        connection_line_.pop_front();
    }
}

void VirtualMta::wait_for_connection(const std::shared_ptr<Queue>& queue) {
    const std::lock_guard lock(mutex_);
    for (const Waiting& waiting : connection_line_) {
        if (waiting.queue == queue.get()) return;
    }
    connection_line_.push_back({queue.get(), queue});
}

bool VirtualMta::is_waiting_for_connection(const Queue& queue) const {
    const std::lock_guard lock(mutex_);
    return std::any_of(connection_line_.begin(), connection_line_.end(),
                       [&](const Waiting& waiting) { return waiting.queue == &queue; });
}

std::optional<SteadyTime> VirtualMta::take_connect(shaping::RateLimit& of_queue, Duration interval, SteadyTime now) {
    const Duration own = Duration(connect_interval_.load(std::memory_order_relaxed));
    if (own == Duration::zero()) return of_queue.try_take(now, interval);
    const std::lock_guard lock(mutex_);
    const SteadyTime next = std::max(of_queue.next_permit(interval), connect_rate_.next_permit(own));
    if (now < next) return next;
    if (const auto wait = connect_rate_.try_take(now, own)) return wait;
    return of_queue.try_take(now, interval);
}

std::optional<SteadyTime> VirtualMta::take_message(const Queue& queue, shaping::RateLimit& of_queue, Duration interval,
                                                   SteadyTime now) {
    const Duration own = Duration(message_interval_.load(std::memory_order_relaxed));
    if (own == Duration::zero()) return of_queue.try_take(now, interval);
    const std::lock_guard lock(mutex_);
    // A queue whose own permit is not due yet holds up nobody.
    const SteadyTime due = of_queue.next_permit(interval);
    if (now < due) return due;
    auto place = std::find(message_line_.begin(), message_line_.end(), &queue);
    const SteadyTime next = message_rate_.next_permit(own);
    if (now < next || (!message_line_.empty() && place != message_line_.begin())) {
        if (place == message_line_.end()) place = message_line_.insert(place, &queue);
        // Whoever stands before takes one interval each, so that everybody wakes about once.
        const auto before = static_cast<Duration::rep>(place - message_line_.begin());
        return std::max(next, now) + before * (own + shaping::RateLimit::guard(own)) + kNextInLine;
    }
    if (const auto wait = message_rate_.try_take(now, own)) return wait;
    if (!message_line_.empty()) message_line_.pop_front();
    return of_queue.try_take(now, interval);
}

void VirtualMta::leave_message_line(const Queue& queue) {
    if (!has_message_rate()) return;
    const std::lock_guard lock(mutex_);
    std::erase(message_line_, &queue);
}

SteadyTime VirtualMta::next_message_permit() const {
    return message_rate_.next_permit(Duration(message_interval_.load(std::memory_order_relaxed)));
}

VirtualMtaStatus VirtualMta::status() const {
    VirtualMtaStatus out;
    out.name = name;
    out.connections = connections_.in_use();
    out.delivered = counts.delivered;
    out.deferred = counts.deferred;
    out.bounced = counts.bounced;
    const std::lock_guard lock(mutex_);
    out.enabled = configuration_ != nullptr;
    if (!configuration_) {
        out.disabled_reason = "virtual-mta-missing";
        return out;
    }
    out.ehlo = configuration_->ehlo;
    for (const SourceState& source : sources_) {
        out.sources.push_back(source.address.to_string());
        if (source.suspension.reason.empty()) continue;
        out.enabled = false;
        out.disabled_reason = source.suspension.reason;
    }
    if (!proxy_.reason.empty()) {
        out.enabled = false;
        out.disabled_reason = proxy_.reason;
    }
    return out;
}

}  // namespace postfleet::sender
