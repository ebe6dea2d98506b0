// MeterTable: RateMeters by client network, kMeters for each. Bounded.
//
// Full, the network that was looked at longest ago is forgotten, and what it had used with it. To push somebody out takes
// as many other networks as a sixteenth of the table holds (its stripe); a limit over all clients stops those.
//
// Threads: thread-safe; an uncontended lock for the network's stripe.
#pragma once

#include <array>
#include <cstddef>
#include <list>
#include <map>
#include <mutex>

#include "postfleet/base/network.hpp"
#include "postfleet/throttle/rate_meter.hpp"

namespace postfleet::ingest {

class MeterTable final {
public:
    static constexpr std::size_t kMeters = 4;
    static constexpr std::size_t kStripes = 16;

    // Networks, some 200 octets each when they are in use.
    explicit MeterTable(std::size_t capacity = 65'536) : capacity_of_stripe_((capacity + kStripes - 1) / kStripes) {}
    MeterTable(const MeterTable&) = delete;
    MeterTable& operator=(const MeterTable&) = delete;

    // As the RateMeter's. `network` is the first address of the client's network, `meter` is below kMeters.
    Duration take(const IpAddress& network, std::size_t meter, SteadyTime now, const throttle::Allowance& allowance);
    Duration wait(const IpAddress& network, std::size_t meter, SteadyTime now, const throttle::Allowance& allowance) const;
    void give_back(const IpAddress& network, std::size_t meter, const throttle::Allowance& allowance);

    std::size_t size() const;

private:
    struct Entry {
        explicit Entry(const IpAddress& of) : network(of) {}
        bool is_idle(SteadyTime now) const;
        IpAddress network;
        std::array<throttle::RateMeter, kMeters> meters;
    };
    using Entries = std::list<Entry>;
    struct alignas(64) Stripe {
        mutable std::mutex mutex;
        Entries entries;  // the latest first
        // A tree and no hash table: who has a large IPv6 network chooses the keys.
        std::map<IpAddress, Entries::iterator> by_network;
    };
    static std::size_t stripe_of(const IpAddress& network);
    Entry& find_or_add(Stripe& stripe, const IpAddress& network, SteadyTime now) const;

    const std::size_t capacity_of_stripe_;
    std::array<Stripe, kStripes> stripes_;
};

}  // namespace postfleet::ingest
