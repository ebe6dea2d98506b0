#include "order_desk.hpp"

#include <algorithm>
#include <utility>

#include "postfleet/base/text.hpp"
#include "postfleet/smtp/reply_parser.hpp"

namespace postfleet::sender {

namespace {

Error invalid(std::string text) { return {ErrorKind::InvalidArgument, std::move(text)}; }

std::optional<Reply> parse_reply(const std::string& text) {
    smtp::ReplyParser parser;
    const std::string line = text + "\r\n";
    std::string_view input = line;
    if (parser.parse(input) != smtp::ReplyParser::Status::Complete || !input.empty()) return std::nullopt;
    return parser.to_reply();
}

std::string reason_of(const Order& order) {
    std::string reason;
    switch (order.action) {
        case OrderAction::Pause: break;
        case OrderAction::Suppress: reason = "suppressed "; break;
        case OrderAction::Delete: reason = "deleted "; break;
        case OrderAction::Bounce: reason = "bounced "; break;
        case OrderAction::Move: reason = "moved "; break;
    }
    reason += "by " + order.who;
    if (!order.why.empty()) reason += ": " + order.why;
    return reason + " (order " + std::to_string(static_cast<std::uint32_t>(order.id)) + ")";
}

// Whether no mail can be both's, whatever virtual MTA it has.
bool are_apart(const MailSelector& a, const MailSelector& b) {
    const auto differ = [](const std::string& x, const std::string& y) {
        return !x.empty() && !y.empty() && !is_pattern(x) && !is_pattern(y) && x != y;
    };
    return differ(a.job, b.job) || differ(a.tenant, b.tenant) || differ(a.domain, b.domain) || differ(a.site, b.site) ||
           differ(a.recipient, b.recipient) || differ(a.reverse_path, b.reverse_path) ||
           (a.message && b.message && a.message != b.message);
}

// Then it is over at every sender.
bool has_expired(const Order& finished) { return finished.expires_at && *finished.expires_at <= *finished.finished_at; }

// Whether the store may take the same later.
bool may_pass(const Error& error) {
    return error.kind == ErrorKind::Unavailable || error.kind == ErrorKind::DeadlineExceeded ||
           error.kind == ErrorKind::ResourceExhausted;
}

template <class T>
void answer(Completion<T>&& done, T value) {
    Executor& on = *done.on;
    on.post([done = std::move(done), value = std::move(value)]() mutable { done.run(std::move(value)); });
}

std::string first_names(const auto& named) {
    std::string out;
    for (const auto& [name, value] : named) {
        if (out.size() > 200) return out + ", …";
        out += (out.empty() ? "" : ", ") + name;
    }
    return out;
}

}  // namespace

OrderDesk::OrderDesk(Engine& engine)
    : engine_(engine), sweeps_(engine, [this](const OrderPointer& order) { finish(order, "order-finished"); }) {}

// --- checking ------------------------------------------------------------------------------------------

Status OrderDesk::check(Order& order) const {
    const MailSelector& which = order.which;
    for (const std::string* text : {&which.queue, &which.virtual_mta, &which.site, &which.domain, &which.tenant,
                                    &which.job, &which.recipient, &which.reverse_path, &which.pool,
                                    &std::as_const(order).text, &std::as_const(order).who, &std::as_const(order).why}) {
        if (text->size() > kMostText) {
            return invalid("a text of an order has at most " + std::to_string(kMostText) + " octets");
        }
    }
    const auto selection = Selection::parse(which);
    if (!selection) return selection.error();
    if (order.expires_at && *order.expires_at <= executor().wall_now()) {
        return invalid("the order is over before it begins: its end is in the past");
    }
    switch (order.action) {
        case OrderAction::Pause:
        case OrderAction::Delete: return {};
        case OrderAction::Suppress: {
            MailSelector rest = selection->selector();
            rest.recipient.clear();
            rest.domain.clear();
            rest.tenant.clear();
            if (rest != MailSelector{} || (which.recipient.empty() == which.domain.empty())) {
                return invalid("a suppression names one recipient or one domain, and a tenant if it is only theirs");
            }
            order.which = selection->selector();
            return {};
        }
        case OrderAction::Bounce: {
            const auto reply = parse_reply(order.text);
            if (!reply || !reply->is_permanent()) {
                return invalid("'" + printable(order.text, 200) +
                               "' is no reply that ends mail; write for example \"550 5.7.1 No longer wanted\"");
            }
            return {};
        }
        case OrderAction::Move: return check_move(order, *selection);
    }
    return {};
}

Status OrderDesk::check_move(const Order& order, const Selection& selection) const {
    const std::vector<std::string> targets = targets_of(order.text);
    if (targets.empty()) {
        const auto config = engine_.configuration();
        return invalid("there is no virtual MTA or pool '" + printable(order.text, 64) +
                       "'; there are: " + first_names(config->virtual_mtas) +
                       (config->pools.empty() ? "" : ", " + first_names(config->pools)));
    }
    const auto takes_from = [](const Selection& which, const std::vector<std::string>& names) {
        return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
            return which.virtual_mta() == name || matches_wildcard(which.virtual_mta(), name);
        });
    };
    for (const OrderPointer& other : engine_.orders.all()) {
        if (other->order.action != OrderAction::Move || are_apart(selection.selector(), other->selection.selector())) {
            continue;
        }
        // Otherwise two orders could hand mail to each other for ever.
        if (takes_from(other->selection, targets) || takes_from(selection, other->targets)) {
            return invalid("order " + std::to_string(other->number()) + " moves some of the same mail to " +
                           other->order.text + "; wait until it is finished, or withdraw it (`postfleet withdraw " +
                           std::to_string(other->number()) + "`)");
        }
    }
    return {};
}

std::vector<std::string> OrderDesk::targets_of(const std::string& name) const {
    const auto config = engine_.configuration();
    if (config->virtual_mtas.contains(name)) return {name};
    std::vector<std::string> members;
    if (const auto pool = config->pools.find(name); pool != config->pools.end()) {
        for (const auto& [member, weight] : pool->second.members) members.push_back(member);
    }
    return members;
}

// In a cluster others may be another sender's: mail does not leave its sender by an order.
std::vector<std::string> OrderDesk::targets_here(const std::string& name) const {
    std::vector<std::string> targets = targets_of(name);
    const auto routing = engine_.routing();
    std::erase_if(targets, [&](const std::string& one) { return routing->choose_from_pool(one, {}, 0).empty(); });
    return targets;
}

Result<std::shared_ptr<ActiveOrder>> OrderDesk::activate(Order order) const {
    auto selection = Selection::parse(order.which);
    if (!selection) return selection.error();
    auto active = std::make_shared<ActiveOrder>(std::move(order), *std::move(selection));
    active->reason = reason_of(active->order);
    active->recipients = active->order.recipients;
    if (active->order.action == OrderAction::Bounce) active->reply = parse_reply(active->order.text).value_or(Reply{});
    if (active->order.action == OrderAction::Move) active->targets = targets_here(active->order.text);
    return active;
}

// --- giving --------------------------------------------------------------------------------------------

void OrderDesk::give(std::vector<Order> orders, Completion<Result<std::vector<Order>>> done) {
    std::size_t patterns = 0;
    std::vector<Order> fresh;
    struct Given {
        std::vector<Order> orders;
        std::vector<std::size_t> fresh;  // places of those that are new
        Completion<Result<std::vector<Order>>> done;
    };
    auto given = std::make_shared<Given>();  // shared: the completion is moved about
    for (Order& order : orders) {
        order.given_at = executor().wall_now();
        order.finished_at.reset();
        order.recipients = 0;
        if (Status good = check(order); !good) return answer(std::move(done), Result<std::vector<Order>>(good.error()));
        if (!order.is_standing()) {
            auto& before = order.which.accepted_before;
            before = std::min(before.value_or(order.given_at), order.given_at);
        }
        patterns += OrderBook::is_broad(Selection::parse(order.which).value()) ? 1 : 0;
        OrderPointer known;
        if (order.action == OrderAction::Suppress) known = engine_.orders.find_suppression(order.which);
        if (known) {
            given->orders.push_back(known->order);
        } else {
            given->fresh.push_back(given->orders.size());
            given->orders.push_back(order);
            fresh.push_back(std::move(order));
        }
    }
    if (Status room = engine_.orders.has_room_for(fresh.size(), patterns); !room) {
        return answer(std::move(done), Result<std::vector<Order>>(room.error()));
    }
    given->done = std::move(done);
    // Durable first: an order that a crash forgets was never given.
    engine_.dependencies.state.add_orders(
        std::move(fresh), {&executor(), [this, given](Result<std::vector<OrderId>> ids) {
                               if (!ids) return answer(std::move(given->done), Result<std::vector<Order>>(ids.error()));
                               std::vector<OrderPointer> active;
                               for (std::size_t i = 0; i < ids->size(); ++i) {
                                   Order& order = given->orders[given->fresh[i]];
                                   order.id = (*ids)[i];
                                   if (is_known(order.id)) continue;           // follow() was told first
                                   active.push_back(activate(order).value());  // it was checked
                                   add(active.back());
                                   log("order-given", order);
                               }
                               if (!active.empty()) engine_.queues.apply_pauses();
                               for (const OrderPointer& order : active) put_in_force(order);
                               set_timer();
                               answer(std::move(given->done), Result<std::vector<Order>>(std::move(given->orders)));
                           }});
}

void OrderDesk::add(const OrderPointer& order) {
    engine_.orders.add(order);
    if (order->order.expires_at) expiries_.emplace(*order->order.expires_at, order->order.id);
}

// Suppressions are met before each transaction; there may be very many of them.
void OrderDesk::put_in_force(const OrderPointer& order) {
    if (order->order.action != OrderAction::Suppress && !order->is_queue_pause()) sweeps_.apply(order);
}

void OrderDesk::withdraw(std::vector<OrderId> ids, Completion<Result<std::vector<Order>>> done) {
    std::vector<Order> orders;
    for (const OrderId id : ids) {
        const OrderPointer order = engine_.orders.get(id);
        if (!order) {
            return answer(std::move(done), Result<std::vector<Order>>(Error{
                                               ErrorKind::NotFound,
                                               "order " + std::to_string(static_cast<std::uint32_t>(id)) +
                                                   " is not in force; `postfleet list orders` shows those that are"}));
        }
        orders.push_back(order->order);
        orders.back().recipients = order->recipients.load();
    }
    auto call = std::make_shared<std::pair<std::vector<Order>, Completion<Result<std::vector<Order>>>>>(
        std::move(orders), std::move(done));
    engine_.dependencies.state.remove_orders(
        std::move(ids), {&executor(), [this, call](Status status) {
                             auto& [withdrawn, completion] = *call;
                             if (!status) {
                                 return answer(std::move(completion), Result<std::vector<Order>>(status.error()));
                             }
                             for (const Order& order : withdrawn) {
                                 if (const OrderPointer active = engine_.orders.remove(order.id)) end(active);
                                 log("order-withdrawn", order);
                             }
                             answer(std::move(completion), Result<std::vector<Order>>(std::move(withdrawn)));
                         }});
}

// --- following -----------------------------------------------------------------------------------------

bool OrderDesk::is_known(OrderId id) const {
    return engine_.orders.get(id) != nullptr || elsewhere_.contains(id) ||
           std::any_of(finished_.begin(), finished_.end(), [&](const Order& order) { return order.id == id; });
}

void OrderDesk::follow(const OrderChanges& changes) {
    is_following_ = true;
    follow_removals(changes);
    for (const Order& order : changes.changed) follow_progress(order);
    const WallTime now = executor().wall_now();
    std::vector<OrderPointer> fresh;
    for (const Order& order : changes.changed) {
        // What is finished here has been carried out here, however far others are.
        if (is_known(order.id) || order.finished_at || (order.expires_at && *order.expires_at <= now)) continue;
        Order ours = order;
        ours.recipients = 0;  // of this sender
        auto active = activate(std::move(ours));
        Status room = active ? engine_.orders.has_room_for(1, OrderBook::is_broad((*active)->selection) ? 1 : 0)
                             : Status(active.error());
        if (!room) {
            engine_.dependencies.log.line(LogLevel::Error, "order-not-followed")
                .field("order", static_cast<std::uint32_t>(order.id))
                .field("reason", room.error().text);
            continue;
        }
        add(*active);
        log("order-followed", order);
        fresh.push_back(*active);
    }
    if (!fresh.empty()) engine_.queues.apply_pauses();
    for (const OrderPointer& order : fresh) put_in_force(order);
    set_timer();
}

// How far all senders together are with what is finished here.
void OrderDesk::follow_progress(const Order& order) {
    if (engine_.orders.get(order.id)) return;
    const auto ours =
        std::find_if(finished_.begin(), finished_.end(), [&](const Order& one) { return one.id == order.id; });
    const bool is_here = ours != finished_.end();
    if (order.finished_at) {
        if (elsewhere_.erase(order.id) > 0 && !is_here) keep_finished(order);
    } else if (is_here && !has_expired(*ours)) {
        elsewhere_.emplace(order.id, ours->given_at);
    }
}

// What was given here after the list was made is younger than all that was heard of.
std::vector<OrderId> OrderDesk::missing_in(const std::vector<Order>& all) {
    std::set<OrderId> there;
    for (const Order& order : all) there.insert(order.id);
    const auto is_missing = [&](OrderId id) { return id <= newest_heard_ && !there.contains(id); };
    // A store from a backup gives the same numbers again, to others.
    std::erase_if(finished_, [&](const Order& order) { return is_missing(order.id); });
    std::erase_if(elsewhere_, [&](const auto& order) { return is_missing(order.first); });
    std::vector<OrderId> missing;
    for (const OrderPointer& order : engine_.orders.all()) {
        if (is_missing(order->order.id)) missing.push_back(order->order.id);
    }
    newest_heard_ = kNoOrder;
    return missing;
}

void OrderDesk::follow_removals(const OrderChanges& changes) {
    std::vector<OrderId> gone = changes.removed;
    if (changes.complete) gone = missing_in(changes.changed);
    for (const Order& order : changes.changed) newest_heard_ = std::max(newest_heard_, order.id);
    for (const OrderId id : gone) {
        elsewhere_.erase(id);
        const OrderPointer order = engine_.orders.remove(id);
        if (!order) continue;  // withdrawn here, or finished
        log("order-withdrawn", order->order);
        end(order);
    }
}

// --- ending --------------------------------------------------------------------------------------------

// What a queue's pause kept was never out of its lane; what other pauses held is let go slice by slice.
void OrderDesk::end(const OrderPointer& order) {
    if (!order->is_pause()) return;
    if (order->is_queue_pause()) {
        engine_.queues.apply_pauses();
        engine_.pump_all();
    } else {
        sweeps_.release(order);
    }
}

void OrderDesk::finish(const OrderPointer& order, std::string_view how) {
    if (!engine_.orders.remove(order->order.id)) return;
    Order finished = order->order;
    finished.recipients = order->recipients.load();
    finished.finished_at = executor().wall_now();
    log(how, finished);
    if (is_following_ && !has_expired(finished)) elsewhere_.emplace(finished.id, finished.given_at);
    unreported_.push_back(finished);
    if (unreported_.size() == 1) report_next();
    keep_finished(std::move(finished));
}

// Should it not become durable in our time, the next process finds nothing left to do and says so again.
void OrderDesk::report_next() {
    if (unreported_.empty()) return;
    const auto told = [this](const Status& status) {
        if (!status && may_pass(status.error())) {
            executor().schedule_at(executor().now() + kReportAgain, [this] { report_next(); });
            return;
        }
        unreported_.pop_front();
        report_next();
    };
    engine_.dependencies.state.update_order(unreported_.front(), {&executor(), told});
}

void OrderDesk::keep_finished(Order order) {
    finished_.push_back(std::move(order));
    forget_old(executor().wall_now());
}

void OrderDesk::forget_old(WallTime now) {
    std::vector<OrderId> old;
    while (old.size() < kMostAtOnce && !finished_.empty() &&
           (finished_.size() > kMostFinished || now - *finished_.front().finished_at > kKeepFinished)) {
        if (!elsewhere_.contains(finished_.front().id)) old.push_back(finished_.front().id);
        finished_.pop_front();
    }
    while (old.size() < kMostAtOnce && !elsewhere_.empty() && now - elsewhere_.begin()->second > kWaitForOthers) {
        old.push_back(elsewhere_.begin()->first);
        elsewhere_.erase(elsewhere_.begin());
    }
    // If it fails, the next start tries again; what is too much for a request, the next call.
    if (!old.empty()) engine_.dependencies.state.remove_orders(std::move(old), {&executor(), [](Status) {}});
}

// --- time ----------------------------------------------------------------------------------------------

// Expiries are wall time and timers steady time: a step of the wall clock is noticed after kLongestSleep.
void OrderDesk::set_timer() {
    executor().cancel(timer_);
    timer_ = {};
    if (expiries_.empty()) return;
    const Duration wait =
        std::clamp<Duration>(expiries_.begin()->first - executor().wall_now(), Duration{}, kLongestSleep);
    timer_ = executor().schedule_at(executor().now() + wait, [this] { on_timer(); });
}

void OrderDesk::on_timer() {
    timer_ = {};
    const WallTime now = executor().wall_now();
    while (!expiries_.empty() && expiries_.begin()->first <= now) {
        const OrderId id = expiries_.begin()->second;
        expiries_.erase(expiries_.begin());
        const OrderPointer order = engine_.orders.get(id);
        if (!order) continue;  // withdrawn
        finish(order, "order-expired");
        end(order);
    }
    set_timer();
}

// --- over restarts and reloads -------------------------------------------------------------------------

Status OrderDesk::restore() {
    auto stored = engine_.dependencies.state.orders();
    if (!stored) return stored.error();
    const WallTime now = executor().wall_now();
    for (Order& order : *stored) {
        newest_heard_ = std::max(newest_heard_, order.id);
        if (!order.finished_at && order.expires_at && *order.expires_at <= now) order.finished_at = order.expires_at;
        if (order.finished_at) {
            finished_.push_back(std::move(order));
            continue;
        }
        auto active = activate(order);
        if (!active)
            return Error{ErrorKind::Corruption,
                         "order " + std::to_string(static_cast<std::uint32_t>(order.id)) + ": " + active.error().text};
        add(*active);
    }
    std::stable_sort(finished_.begin(), finished_.end(),
                     [](const Order& a, const Order& b) { return *a.finished_at < *b.finished_at; });
    forget_old(now);
    set_timer();
    return {};
}

void OrderDesk::resume_sweeps() {
    for (const OrderPointer& order : engine_.orders.all()) {
        // What waiting tasks tell was looked at when they arrived.
        if (!order->is_pause() || order->selection.needs_reading()) put_in_force(order);
    }
}

void OrderDesk::on_reload() {
    for (const OrderPointer& order : engine_.orders.all()) {
        if (order->order.action != OrderAction::Move) continue;
        std::vector<std::string> targets = targets_here(order->order.text);
        if (targets == order->targets) continue;
        Order again = order->order;
        again.recipients = order->recipients.load();
        auto active = activate(std::move(again)).value();
        engine_.orders.remove(order->order.id);
        engine_.orders.add(active);
        sweeps_.apply(active);  // the one before is over with its order
        if (active->targets.empty()) log("order-without-target", active->order);
    }
}

std::vector<Order> OrderDesk::list(const OrderFilter& filter) const {
    std::vector<Order> out;
    const auto is_wanted = [&](const Order& order) {
        return (!filter.id || order.id == *filter.id) && (!filter.action || order.action == *filter.action);
    };
    engine_.orders.visit([&](const OrderPointer& order) {
        if (is_wanted(order->order)) {
            out.push_back(order->order);
            out.back().recipients = order->recipients.load();
        }
        return out.size() < filter.limit;
    });
    for (auto order = finished_.rbegin(); order != finished_.rend() && out.size() < filter.limit; ++order) {
        if (is_wanted(*order)) out.push_back(*order);
    }
    return out;
}

void OrderDesk::log(std::string_view what, const Order& order) const {
    auto line = engine_.dependencies.log.line(LogLevel::Info, what);
    line.field("order", static_cast<std::uint32_t>(order.id)).field("action", to_string(order.action));
    line.field("mail", describe(order.which)).field("who", order.who);
    if (!order.why.empty()) line.field("why", order.why);
    if (!order.text.empty()) line.field("text", order.text);
    if (order.expires_at) line.field("expires", format_rfc3339(*order.expires_at));
    if (order.recipients > 0) line.field("recipients", order.recipients);
}

}  // namespace postfleet::sender
