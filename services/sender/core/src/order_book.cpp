#include "order_book.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

#include "postfleet/base/text.hpp"

namespace postfleet::sender {

namespace {

// What ends mail goes before what keeps it; among equals the older one.
std::pair<int, OrderId> rank(const ActiveOrder& order) {
    const bool is_pause = order.is_pause();
    return {is_pause ? 100 : static_cast<int>(order.order.action), order.order.id};
}

void keep_first(OrderPointer& best, const OrderPointer& other) {
    if (!best || rank(*other) < rank(*best)) best = other;
}

std::string_view octets_of(const MessageId& id) {
    return {reinterpret_cast<const char*>(id.octets.data()), id.octets.size()};
}

}  // namespace

bool ActiveOrder::has_moved(std::string_view virtual_mta) const {
    return targets.empty() || std::find(targets.begin(), targets.end(), virtual_mta) != targets.end();
}

// --- what there is -------------------------------------------------------------------------------------

std::optional<OrderBook::Key> OrderBook::key_of(const Selection& selection) {
    const MailSelector& which = selection.selector();
    if (which.message) return Key{Kind::Message, std::string(octets_of(*which.message))};
    const std::pair<Kind, const std::string*> named[]{
        {Kind::Recipient, &which.recipient},
        {Kind::Sender, &which.reverse_path},
        {Kind::Job, &which.job},
        {Kind::Domain, &which.domain},
        {Kind::Tenant, &which.tenant},
        {Kind::VirtualMta, &selection.virtual_mta()},
        {Kind::Pool, &which.pool},
        {Kind::Site, &selection.site()},
    };
    for (const auto& [kind, text] : named) {
        if (!text->empty() && !is_pattern(*text)) return Key{kind, *text};
    }
    return std::nullopt;
}

bool OrderBook::is_broad(const Selection& selection) { return !key_of(selection); }

Status OrderBook::has_room_for(std::size_t orders, std::size_t patterns) const {
    const std::shared_lock lock(mutex_);
    if (orders_.size() + orders > kMostOrders) {
        return Error{ErrorKind::ResourceExhausted, "there are " + std::to_string(orders_.size()) +
                                                       " orders, and at most " + std::to_string(kMostOrders) +
                                                       " are kept; withdraw some (`postfleet list orders`)"};
    }
    if (patterns > 0 && broad_.size() + patterns > kMostPatterns) {
        return Error{ErrorKind::ResourceExhausted,
                     "there are " + std::to_string(broad_.size()) +
                         " orders that name nothing exactly, and each of them costs every mail a look; name a job, "
                         "tenant, domain … without *, or withdraw some (`postfleet list orders`)"};
    }
    return {};
}

void OrderBook::add(const OrderPointer& order) {
    const std::unique_lock lock(mutex_);
    if (!orders_.emplace(order->order.id, order).second) return;
    if (auto key = key_of(order->selection)) {
        index_[static_cast<std::size_t>(key->kind)].emplace(std::move(key->text), order);
    } else {
        broad_.push_back(order);
    }
    size_.store(orders_.size(), std::memory_order_relaxed);
}

OrderPointer OrderBook::remove(OrderId id) {
    const std::unique_lock lock(mutex_);
    const auto found = orders_.find(id);
    if (found == orders_.end()) return nullptr;
    OrderPointer order = std::move(found->second);
    orders_.erase(found);
    if (const auto key = key_of(order->selection)) {
        Index& index = index_[static_cast<std::size_t>(key->kind)];
        const auto [begin, end] = index.equal_range(key->text);
        index.erase(std::find_if(begin, end, [&](const auto& entry) { return entry.second == order; }));
    } else {
        std::erase(broad_, order);
    }
    size_.store(orders_.size(), std::memory_order_relaxed);
    return order;
}

OrderPointer OrderBook::get(OrderId id) const {
    const std::shared_lock lock(mutex_);
    const auto found = orders_.find(id);
    return found == orders_.end() ? nullptr : found->second;
}

std::vector<OrderPointer> OrderBook::all() const {
    const std::shared_lock lock(mutex_);
    std::vector<OrderPointer> out;
    out.reserve(orders_.size());
    for (const auto& [id, order] : orders_) out.push_back(order);
    return out;
}

void OrderBook::visit(const std::function<bool(const OrderPointer&)>& visit) const {
    const std::shared_lock lock(mutex_);
    for (const auto& [id, order] : orders_) {
        if (!visit(order)) return;
    }
}

OrderPointer OrderBook::find_suppression(const MailSelector& which) const {
    const auto selection = Selection::parse(which);
    if (!selection) return nullptr;
    const auto key = key_of(*selection);
    const std::shared_lock lock(mutex_);
    OrderPointer found;
    const auto look = [&](const OrderPointer& order) {
        if (order->order.action == OrderAction::Suppress && order->selection.selector() == selection->selector()) {
            found = order;
        }
    };
    if (key) {
        visit_locked(key->kind, key->text, look);
    } else {
        for (const OrderPointer& order : broad_) look(order);
    }
    return found;
}

// --- which one decides ---------------------------------------------------------------------------------

template <class Visit>
void OrderBook::visit_locked(Kind kind, std::string_view text, Visit&& visit) const {
    const Index& index = index_[static_cast<std::size_t>(kind)];
    if (index.empty()) return;
    const auto [begin, end] = index.equal_range(text);
    for (auto it = begin; it != end; ++it) visit(it->second);
}

// Those that may cover it, as far as what the waiting task knows leads to them.
template <class Visit>
void OrderBook::visit_waiting_locked(const MailFacts& mail, Visit&& visit) const {
    visit_locked(Kind::Message, octets_of(mail.message), visit);
    visit_locked(Kind::Job, mail.job, visit);
    if (!index_[static_cast<std::size_t>(Kind::Domain)].empty()) {
        visit_locked(Kind::Domain, mail.domain_name(sites_), visit);
    }
    visit_locked(Kind::Tenant, mail.tenant, visit);
    visit_locked(Kind::VirtualMta, mail.virtual_mta, visit);
    visit_locked(Kind::Site, mail.site, visit);
    for (const OrderPointer& order : broad_) visit(order);
}

OrderPointer OrderBook::find(const MailFacts& mail) const {
    OrderPointer best;
    const std::shared_lock lock(mutex_);
    visit_waiting_locked(mail, [&](const OrderPointer& order) {
        if (order->is_queue_pause() || order->selection.needs_reading()) return;
        if (order->order.action == OrderAction::Move && order->has_moved(mail.virtual_mta)) return;
        if (order->selection.covers_waiting(mail, sites_)) keep_first(best, order);
    });
    return best;
}

std::vector<OrderPointer> OrderBook::find_all(const MailFacts& mail, const Task& task, const Message& message) const {
    OrderPointer best;                 // over all of its recipients
    std::vector<OrderPointer> narrow;  // of some recipients, perhaps
    std::vector<OrderPointer> out;
    const std::shared_lock lock(mutex_);
    const auto look = [&](const OrderPointer& order) {
        if (order->order.action == OrderAction::Move && order->has_moved(mail.virtual_mta)) return;
        if (!order->selection.covers_waiting(mail, sites_) || !order->selection.covers_stored(task, message)) return;
        if (order->selection.selector().recipient.empty()) {
            keep_first(best, order);
        } else {
            narrow.push_back(order);
        }
    };
    visit_waiting_locked(mail, look);
    if (!index_[static_cast<std::size_t>(Kind::Sender)].empty()) {
        visit_locked(Kind::Sender, to_ascii_lower(message.reverse_path), look);
    }
    visit_locked(Kind::Pool, task.pool, look);
    const bool by_recipient = !index_[static_cast<std::size_t>(Kind::Recipient)].empty();
    if (!best && narrow.empty() && !by_recipient) return out;
    bool is_any = false;
    const std::vector<OrderPointer> patterns = std::exchange(narrow, {});
    for (const Recipient& recipient : task.recipients) {
        OrderPointer& own = out.emplace_back(best);
        narrow.clear();
        if (by_recipient) visit_locked(Kind::Recipient, to_ascii_lower(recipient.address), look);
        for (const auto* candidates : {&patterns, &std::as_const(narrow)}) {
            for (const OrderPointer& order : *candidates) {
                if (order->selection.covers_recipient(recipient)) keep_first(own, order);
            }
        }
        is_any |= own != nullptr;
    }
    if (!is_any) out.clear();
    return out;
}

OrderPointer OrderBook::pause_of(std::string_view site, std::string_view virtual_mta) const {
    OrderPointer best;
    const std::shared_lock lock(mutex_);
    const auto look = [&](const OrderPointer& order) {
        if (order->is_queue_pause() && order->selection.covers_queue(site, virtual_mta)) keep_first(best, order);
    };
    visit_locked(Kind::VirtualMta, virtual_mta, look);
    visit_locked(Kind::Site, site, look);
    for (const OrderPointer& order : broad_) look(order);
    return best;
}

}  // namespace postfleet::sender
