#include "postfleet/ingest/meter_table.hpp"

#include <algorithm>
#include <iterator>

namespace postfleet::ingest {

using throttle::Allowance;
using throttle::RateMeter;

bool MeterTable::Entry::is_idle(SteadyTime now) const {
    return std::all_of(meters.begin(), meters.end(), [now](const RateMeter& meter) { return meter.is_idle(now); });
}

std::size_t MeterTable::stripe_of(const IpAddress& network) {
    std::size_t hash = 0;
    for (const std::uint8_t octet : network.octets) hash = hash * 31 + octet;
    return hash % kStripes;
}

MeterTable::Entry& MeterTable::find_or_add(Stripe& stripe, const IpAddress& network, SteadyTime now) const {
    const auto found = stripe.by_network.find(network);
    if (found != stripe.by_network.end()) {
        stripe.entries.splice(stripe.entries.begin(), stripe.entries, found->second);
        return stripe.entries.front();
    }
    const auto forget_last = [&stripe] {
        stripe.by_network.erase(stripe.entries.back().network);
        stripe.entries.pop_back();
    };
    if (stripe.entries.size() >= std::max<std::size_t>(capacity_of_stripe_, 1)) forget_last();
    // Two of the oldest at most, so that no call takes long and idle networks do not stay for ever.
    for (int i = 0; i < 2 && !stripe.entries.empty() && stripe.entries.back().is_idle(now); ++i) forget_last();
    stripe.entries.emplace_front(network);
    stripe.by_network.emplace(network, stripe.entries.begin());
    return stripe.entries.front();
}

Duration MeterTable::take(const IpAddress& network, std::size_t meter, SteadyTime now, const Allowance& allowance) {
    if (allowance.is_unlimited()) return Duration::zero();
    Stripe& stripe = stripes_[stripe_of(network)];
    const std::lock_guard lock(stripe.mutex);
    return find_or_add(stripe, network, now).meters.at(meter).take(now, allowance);
}

Duration MeterTable::wait(const IpAddress& network, std::size_t meter, SteadyTime now,
                          const Allowance& allowance) const {
    if (allowance.is_unlimited()) return Duration::zero();
    const Stripe& stripe = stripes_[stripe_of(network)];
    const std::lock_guard lock(stripe.mutex);
    const auto found = stripe.by_network.find(network);
    return found == stripe.by_network.end() ? Duration::zero() : found->second->meters.at(meter).wait(now, allowance);
}

void MeterTable::give_back(const IpAddress& network, std::size_t meter, const Allowance& allowance) {
    Stripe& stripe = stripes_[stripe_of(network)];
    const std::lock_guard lock(stripe.mutex);
    const auto found = stripe.by_network.find(network);
    if (found != stripe.by_network.end()) found->second->meters.at(meter).give_back(allowance);
}

std::size_t MeterTable::size() const {
    std::size_t total = 0;
    for (const Stripe& stripe : stripes_) {
        const std::lock_guard lock(stripe.mutex);
        total += stripe.entries.size();
    }
    return total;
}

}  // namespace postfleet::ingest
