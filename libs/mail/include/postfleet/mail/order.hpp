// Order: what an operator or an application wants done with mail that is queued, or will be (docs/ORDERS.md).
//
//   Pause     its mail waits until the order is withdrawn
//   Suppress  its recipients get nothing: email.suppressed
//   Delete    its recipients end without a bounce: email.cancelled
//   Bounce    its recipients end with `text` as the reply: email.bounced
//   Move      its mail goes out by the virtual MTA or pool that `text` names
//
// Where several cover the same recipient, the first of this list but Pause decides; Pause comes last. A standing order
// holds for mail that comes later, too: Pause and Suppress always, the others when they have an expiry. The rest are
// about the mail that was accepted before they were given, and are finished when they have been carried out on it.
//
// Threads: value types.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "postfleet/base/id.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/base/time.hpp"

namespace postfleet {

// Which mail an order is about. All given fields must match; at least one must be given, or `everything`. "*" in a
// field stands for any text. Addresses and domains match without regard to case.
struct MailSelector {
    std::string queue;  // "site/vmta"
    std::string virtual_mta, site, domain, tenant, job;
    std::string recipient, reverse_path;
    std::optional<MessageId> message;
    bool everything = false;
    std::string pool;
    std::optional<WallTime> accepted_before;
    friend bool operator==(const MailSelector&, const MailSelector&) = default;
};
// "job promo-* to domain x.test": what is given, for people; "everything".
std::string describe(const MailSelector& which);
// Whether `wide` covers whatever `narrow` does, as far as their texts tell: "*" covers every name, a name itself.
bool includes(const MailSelector& wide, const MailSelector& narrow);

enum class OrderId : std::uint32_t {};
inline constexpr OrderId kNoOrder{0};

enum class OrderAction : std::uint8_t { Pause = 1, Suppress = 2, Delete = 3, Bounce = 4, Move = 5 };
const char* to_string(OrderAction action);  // "pause"
std::optional<OrderAction> parse_order_action(std::string_view name);

struct Order {
    OrderId id = kNoOrder;  // given by the store; never used twice
    OrderAction action = OrderAction::Pause;
    MailSelector which;
    std::string text;  // Bounce: "550 5.7.1 no longer wanted"; Move: the virtual MTA or pool
    std::string who, why;
    WallTime given_at{};
    std::optional<WallTime> expires_at;
    std::optional<WallTime> finished_at;  // carried out on all that it was about
    std::uint64_t recipients = 0;         // on whom it was carried out; after a crash it may be too low
    friend bool operator==(const Order&, const Order&) = default;

    bool is_standing() const {
        return action == OrderAction::Pause || action == OrderAction::Suppress || expires_at.has_value();
    }
};

}  // namespace postfleet
