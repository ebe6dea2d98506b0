#include "virtual_mta.hpp"

#include <algorithm>
#include <utility>

namespace postfleet::sender {

void VirtualMta::configure(std::shared_ptr<const config::VirtualMta> configuration) {
    const std::lock_guard lock(mutex_);
    std::vector<SourceState> sources;
    if (configuration) {
        for (const IpAddress& address : configuration->sources) {
            const auto known = std::find_if(sources_.begin(), sources_.end(),
                                            [&](const SourceState& s) { return s.address == address; });
            sources.push_back(known != sources_.end() ? *known : SourceState{address, {}});
        }
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
    std::erase_if(bans_, [&](const Ban& ban) { return ban.ends_at <= now; });
    has_bans_ = !bans_.empty();
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
            none.reason = "source " + source.address.to_string() +
                          (ban->site == Ban::kEverywhere ? " is disabled: " : " is disabled here: ") + ban->reason;
            none.retry_at = std::min(none.retry_at, ban->ends_at);
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

VirtualMta::Banned VirtualMta::disable(Ban ban) {
    const std::lock_guard lock(mutex_);
    has_bans_ = true;
    for (Ban& known : bans_) {
        if (known.site != ban.site || known.source != ban.source) continue;
        const bool is_longer = ban.ends_at >= known.ends_at;
        if (is_longer) known = std::move(ban);
        return {.is_news = false, .is_in_force = is_longer};
    }
    bans_.push_back(std::move(ban));
    return {.is_news = true, .is_in_force = true};
}

std::vector<VirtualMta::Ban> VirtualMta::enable(const IpAddress& source, std::string_view site) {
    const std::lock_guard lock(mutex_);
    std::vector<Ban> ended;
    std::erase_if(bans_, [&](Ban& ban) {
        if (ban.source != source || (!site.empty() && ban.site != site)) return false;
        ended.push_back(std::move(ban));
        return true;
    });
    has_bans_ = !bans_.empty();
    return ended;
}

bool VirtualMta::is_banned(const IpAddress& source, std::string_view site, SteadyTime now) const {
    const std::lock_guard lock(mutex_);
    return ban_locked(source, site, now) != nullptr;
}

bool VirtualMta::has_address(const IpAddress& source) const {
    const std::lock_guard lock(mutex_);
    return std::any_of(sources_.begin(), sources_.end(), [&](const SourceState& s) { return s.address == source; });
}

const VirtualMta::Ban* VirtualMta::ban_locked(const IpAddress& source, std::string_view site, SteadyTime now) const {
    for (const Ban& ban : bans_) {
        if (ban.covers(source, site) && now < ban.ends_at) return &ban;
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

VirtualMtaStatus VirtualMta::status(SteadyTime now) const {
    VirtualMtaStatus out;
    out.name = name;
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
    for (const Ban& ban : bans_) {
        if (ban.ends_at > now)
            out.disabled_sources.push_back({ban.source.to_string(), ban.site, ban.reason, ban.until});
    }
    const bool has_one_left =
        sources_.empty() || std::any_of(sources_.begin(), sources_.end(), [&](const auto& source) {
            return ban_locked(source.address, Ban::kEverywhere, now) == nullptr;
        });
    if (!has_one_left && out.enabled) {
        out.enabled = false;
        out.disabled_reason = ban_locked(sources_.front().address, Ban::kEverywhere, now)->reason;
    }
    return out;
}

}  // namespace postfleet::sender
