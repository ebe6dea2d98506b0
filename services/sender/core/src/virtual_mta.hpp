// VirtualMta: one sending identity at work: its source addresses and its counts. Its limits: shared_limit.hpp.
//
// What cannot be used is suspended: a source that cannot be bound, or the proxy, when it does not answer or does not
// keep to its protocol. It rests for kFirstRest, twice as long after each further failure up to kLongestRest, and is then probed by
// one connection. Mail that has nothing else to go out by waits. Never does a connection leave from an address
// that the virtual MTA does not have, or past its proxy (choose_source).
//
// A VirtualMta lives as long as the process, so that mail and pauses of one that is no longer configured have
// somewhere to stand (is_configured() is false then).
//
// Threads: thread-safe.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "postfleet/config/config.hpp"
#include "postfleet/ports/sender_control.hpp"

namespace postfleet::sender {

class VirtualMta final {
public:
    static constexpr Duration kFirstRest = std::chrono::seconds(5);
    static constexpr Duration kLongestRest = std::chrono::minutes(5);

    explicit VirtualMta(std::string its_name) : name(std::move(its_name)) {}

    const std::string name;

    // Null: not configured. Sources that stay keep what is known of them.
    void configure(std::shared_ptr<const config::VirtualMta> configuration);
    std::shared_ptr<const config::VirtualMta> configuration() const;
    bool is_configured() const { return is_configured_.load(std::memory_order_relaxed); }

    struct Source {
        enum class Kind { Any, Address, NoneOfFamily, AllDisabled } kind = Kind::Any;
        IpAddress address;      // Address
        SteadyTime retry_at{};  // AllDisabled: when one of them may be probed
        std::string reason;     // AllDisabled, NoneOfFamily
        // Any, Address: the way out. shared_ptr because a reload may replace it meanwhile.
        std::shared_ptr<const config::VirtualMta> identity;
    };
    // The next source, in turn, for a peer of this family.
    Source choose_source(bool v6, SteadyTime now, std::string_view site);
    // Whether it may send from an address of this family at all.
    bool has_source(bool v6) const;
    // An address that is not used, for a reason: by a reply pattern, or by an operator.
    struct Ban {
        static constexpr std::string_view kEverywhere = "*";
        std::string site;  // or kEverywhere
        IpAddress source;
        std::string reason;
        std::optional<WallTime> until;           // none: until it is enabled
        SteadyTime ends_at = SteadyTime::max();  // the same on the clock of timers
        bool covers(const IpAddress& address, std::string_view at) const {
            return source == address && (site == kEverywhere || site == at);
        }
    };
    // One for the same site and address is replaced, unless it lasts longer.
    struct Banned {
        bool is_news = false, is_in_force = false;
    };
    Banned disable(Ban ban);
    // Ends the bans of this address, at one site or (empty) at all; answers them.
    std::vector<Ban> enable(const IpAddress& source, std::string_view site);
    bool has_bans() const { return has_bans_.load(std::memory_order_relaxed); }
    bool is_banned(const IpAddress& source, std::string_view site, SteadyTime now) const;
    bool has_address(const IpAddress& source) const;
    // True if that is news (an event is due).
    bool on_bind_failed(const IpAddress& source, std::string reason, SteadyTime now);
    bool on_bound(const IpAddress& source);
    bool on_proxy_failed(std::string reason, SteadyTime now);
    bool on_proxy_worked();
    std::size_t suspended() const;  // sources, and the proxy

    struct Counts {
        std::atomic<std::uint64_t> delivered{0}, deferred{0}, bounced{0};
    };
    Counts counts;
    VirtualMtaStatus status(SteadyTime now) const;

private:
    struct Suspension {
        std::string reason;  // empty: none
        SteadyTime retry_at = SteadyTime::min();
        std::uint32_t failures = 0;  // in a row
        bool is_probed = false;
        bool fail(std::string why, SteadyTime now);
        bool end();
        bool may_probe(SteadyTime now);
    };
    struct SourceState {
        IpAddress address;
        Suspension suspension;
    };

    const Ban* ban_locked(const IpAddress& source, std::string_view site, SteadyTime now) const;

    mutable std::mutex mutex_;
    std::shared_ptr<const config::VirtualMta> configuration_;
    std::vector<SourceState> sources_;
    Suspension proxy_;
    std::vector<Ban> bans_;
    std::size_t next_source_ = 0;

    std::atomic<bool> is_configured_{false}, has_bans_{false};
};

}  // namespace postfleet::sender
