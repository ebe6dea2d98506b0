// OrderBook: the orders in force, and which of them decides over a piece of mail.
//
// Mail for which there is no order asks one relaxed word (is_empty). Otherwise an order is found by the rarest thing
// that its selection names exactly (message, recipient, sender, job, domain, tenant, virtual MTA, pool, site), in a hash
// table; only those that name nothing but patterns are looked at one by one, and there are at most kMostPatterns.
//
//   find()      by what the waiting task knows: while it waits, when it arrives, when it is taken
//   find_all()  by all that is known of it, recipient by recipient: before its transaction
//
// What pauses whole queues is not find()'s: the queue itself is paused (pause_of).
//
// Threads: thread-safe; readers share the lock. Errors: ResourceExhausted beyond kMostOrders or kMostPatterns.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "postfleet/mail/order.hpp"
#include "postfleet/mail/reply.hpp"
#include "selection.hpp"

namespace postfleet::sender {

// An order at work.
struct ActiveOrder {
    ActiveOrder(Order given, Selection its_selection) : order(std::move(given)), selection(std::move(its_selection)) {}

    const Order order;  // `recipients` is what it was at the start of the process
    const Selection selection;
    Reply reply;                       // Bounce
    std::vector<std::string> targets;  // Move: the virtual MTAs that its mail may end at; empty: it cannot move
    std::string reason;                // "deleted by op: wrong list (order 7)"
    mutable std::atomic<std::uint64_t> recipients{0};

    std::uint32_t number() const { return static_cast<std::uint32_t>(order.id); }
    bool is_pause() const { return order.action == OrderAction::Pause; }
    bool is_queue_pause() const { return is_pause() && selection.is_about_queues(); }
    bool is_terminal() const { return !is_pause() && order.action != OrderAction::Move; }
    bool has_moved(std::string_view virtual_mta) const;
};
using OrderPointer = std::shared_ptr<const ActiveOrder>;  // shared: sweeps and mail in hand outlive its withdrawal

class OrderBook final {
public:
    static constexpr std::size_t kMostOrders = 250'000;  // about 1 KiB each
    static constexpr std::size_t kMostPatterns = 1'000;

    explicit OrderBook(const SiteTable& sites) : sites_(sites) {}

    bool is_empty() const { return size_.load(std::memory_order_relaxed) == 0; }

    // Before an order is stored, so that what is stored can be carried out.
    Status has_room_for(std::size_t orders, std::size_t patterns) const;
    void add(const OrderPointer& order);
    OrderPointer remove(OrderId id);  // null: it is not there
    OrderPointer get(OrderId id) const;
    std::vector<OrderPointer> all() const;  // by id
    // By id, until `visit` says false; it must not call back.
    void visit(const std::function<bool(const OrderPointer&)>& visit) const;
    // The same suppression, if there is one.
    OrderPointer find_suppression(const MailSelector& which) const;

    OrderPointer find(const MailFacts& mail) const;
    // One for each recipient, null where there is none; nothing when there is none at all.
    std::vector<OrderPointer> find_all(const MailFacts& mail, const Task& task, const Message& message) const;
    OrderPointer pause_of(std::string_view site, std::string_view virtual_mta) const;

    // Whether it names nothing exactly, so that it is looked at for every mail.
    static bool is_broad(const Selection& selection);

private:
    enum class Kind : std::uint8_t { Message, Recipient, Sender, Job, Domain, Tenant, VirtualMta, Pool, Site };
    static constexpr std::size_t kKinds = 9;
    struct Key {
        Kind kind;
        std::string text;
    };
    static std::optional<Key> key_of(const Selection& selection);

    struct TextHash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
    };
    using Index = std::unordered_multimap<std::string, OrderPointer, TextHash, std::equal_to<>>;

    template <class Visit>
    void visit_locked(Kind kind, std::string_view text, Visit&& visit) const;
    template <class Visit>
    void visit_waiting_locked(const MailFacts& mail, Visit&& visit) const;

    const SiteTable& sites_;
    std::atomic<std::size_t> size_{0};
    mutable std::shared_mutex mutex_;
    std::map<OrderId, OrderPointer> orders_;
    std::array<Index, kKinds> index_;
    std::vector<OrderPointer> broad_;
};

}  // namespace postfleet::sender
