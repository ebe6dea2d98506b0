#include "login_memory.hpp"

#include <algorithm>
#include <utility>

namespace postfleet::sender {

bool LoginMemory::begin_try(const Access& access, SteadyTime now) {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(access);
    if (found == entries_.end()) return true;
    Entry& entry = found->second;
    if (now < std::max(entry.hold.until, entry.tried_until)) return false;
    entry.tried_until = now + kRecheck;
    return true;
}

bool LoginMemory::on_refused(const Access& access, std::string reason, SteadyTime now) {
    const std::lock_guard lock(mutex_);
    // Those of earlier configurations are nobody's any more.
    std::erase_if(entries_, [&](const auto& entry) { return entry.first.use_count() == 1 && entry.first != access; });
    Entry& entry = entries_[access];
    if (now < entry.hold.until) return false;
    Duration rest = kFirstRest;
    for (std::uint32_t i = 0; i < entry.refusals && rest < kLongestRest; ++i) rest *= 2;
    ++entry.refusals;
    entry.hold = {std::move(reason), now + std::min(rest, kLongestRest)};
    return true;
}

void LoginMemory::on_accepted(const Access& access) {
    const std::lock_guard lock(mutex_);
    entries_.erase(access);
}

std::optional<LoginMemory::Hold> LoginMemory::hold_of(const Access& access, SteadyTime now) const {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(access);
    if (found == entries_.end()) return std::nullopt;
    const SteadyTime until = std::max(found->second.hold.until, found->second.tried_until);
    if (now >= until) return std::nullopt;
    return Hold{found->second.hold.reason, until};
}

void LoginMemory::end_rests() {
    const std::lock_guard lock(mutex_);
    for (auto& [access, entry] : entries_) entry.hold.until = entry.tried_until = SteadyTime::min();
}

}  // namespace postfleet::sender
