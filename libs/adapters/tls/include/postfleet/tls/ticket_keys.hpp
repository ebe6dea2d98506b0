// TicketKeys: the keys under which session tickets are sealed (RFC 5077, RFC 8446 §4.6.1), replaced as they age.
//
//   made ── seals and opens for rotate_after ── only opens, until everything sealed with it has expired ── gone
//
// All shards and all reloads of a listener share one TicketKeys, so a client resumes wherever it lands.
// Old keys are forgotten for forward secrecy: who steals the memory cannot open what was recorded before.
// At most kMaxKeys are kept, whatever the settings say.
//
// Threads: thread-safe; the lock is held for a copy of 80 octets. Time comes in as an argument.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <span>

#include "postfleet/base/time.hpp"

namespace postfleet::tls {

struct TicketKey {
    std::array<std::uint8_t, 16> name{};
    std::array<std::uint8_t, 32> cipher_key{};  // AES-256-CBC
    std::array<std::uint8_t, 32> mac_key{};     // HMAC-SHA-256
    SteadyTime made{};

    TicketKey() = default;
    TicketKey(const TicketKey&) = default;
    TicketKey& operator=(const TicketKey&) = default;
    ~TicketKey();  // wipes itself
};

class TicketKeys final {
public:
    static constexpr std::size_t kMaxKeys = 64;

    TicketKeys(Duration rotate_after, Duration ticket_lifetime)
        : rotate_after_(rotate_after), ticket_lifetime_(ticket_lifetime) {}

    // The key to seal with; made when there is none that is young enough. Empty: no randomness to be had.
    std::optional<TicketKey> to_seal(SteadyTime now);

    struct Found {
        TicketKey key;
        bool is_newest = false;  // if not, the ticket should be replaced
    };
    std::optional<Found> to_open(std::span<const std::uint8_t, 16> name, SteadyTime now);

private:
    void forget_old(SteadyTime now);

    const Duration rotate_after_, ticket_lifetime_;
    std::mutex mutex_;
    std::deque<TicketKey> keys_;  // newest first
};

}  // namespace postfleet::tls
