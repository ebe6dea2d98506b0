#include "order_commands.hpp"

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include "postfleet/base/json.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/mail/address.hpp"

namespace postfleet::control {
namespace {

using runtime::ControlRequest;

// A count reads every task, where a selection names what only the spool knows.
constexpr Duration kCountPatience = std::chrono::minutes(10);
constexpr std::size_t kMostAddresses = 1'000;

Error invalid(std::string text) { return Error{ErrorKind::InvalidArgument, std::move(text)}; }

struct Desk {
    Executor& executor;
    SenderControl& sender;

    Result<std::vector<Order>> give(std::vector<Order> orders) const {
        return flatten(await_sender<Result<std::vector<Order>>>(
            executor, [&](auto done) { sender.give(std::move(orders), std::move(done)); }));
    }
    Result<std::vector<Order>> withdraw(std::vector<OrderId> ids) const {
        return flatten(await_sender<Result<std::vector<Order>>>(
            executor, [&](auto done) { sender.withdraw(std::move(ids), std::move(done)); }));
    }
    Result<std::vector<Order>> list(OrderFilter filter) const {
        return await_sender<std::vector<Order>>(executor,
                                                [&](auto done) { sender.list_orders(filter, std::move(done)); });
    }
    Result<MailCount> count(const MailSelector& which) const {
        return flatten(await_sender<Result<MailCount>>(
            executor, [&](auto done) { sender.count(which, std::move(done)); }, kCountPatience));
    }
};

// --- answers -------------------------------------------------------------------------------------------

void write_order(JsonWriter& json, const Order& order) {
    json.begin_object().member("order", static_cast<std::uint32_t>(order.id));
    json.member("action", to_string(order.action)).member("mail", describe(order.which));
    if (!order.text.empty()) json.member(order.action == OrderAction::Move ? "to" : "reply", order.text);
    json.member("who", order.who);
    if (!order.why.empty()) json.member("why", order.why);
    json.member("given_at", format_rfc3339(order.given_at));
    if (order.expires_at) json.member("expires_at", format_rfc3339(*order.expires_at));
    const bool is_over = order.finished_at.has_value();
    json.member("state", is_over ? "finished" : order.is_standing() ? "in force" : "at work");
    if (is_over) json.member("finished_at", format_rfc3339(*order.finished_at));
    json.member("recipients", order.recipients).end_object();
}

void write_count(JsonWriter& json, const MailCount& count) {
    json.key("count").begin_object().member("recipients", count.recipients).member("tasks", count.tasks);
    json.member("queues", count.queues).end_object();
}

std::string render_count(const MailCount& count) {
    std::string text;
    JsonWriter json(text);
    json.begin_object();
    write_count(json, count);
    json.end_object();
    return text;
}

std::string render_orders(const std::vector<Order>& orders, bool more) {
    std::string text;
    JsonWriter json(text);
    json.begin_object().member("more", more).key("orders").begin_array();
    for (const Order& order : orders) write_order(json, order);
    json.end_array().end_object();
    return text;
}

// --- giving --------------------------------------------------------------------------------------------

Status read_common(const ControlRequest& request, Order& order) {
    order.who = request.who;
    order.why = request.argument("why");
    if (const std::string lasts = request.argument("for"); !lasts.empty()) {
        const Result<Duration> parsed = parse_duration(lasts);
        if (!parsed || *parsed <= Duration{}) {
            return invalid("'" + printable(lasts, 64) + "' is no time that an order can last; write for example 2h");
        }
        order.expires_at = wall_clock_now() + std::chrono::floor<WallTime::duration>(*parsed);
    }
    return {};
}

Result<std::string> give(const ControlRequest& request, const Desk& desk) {
    Result<MailSelector> which = selector_of(request);
    if (!which) return which.error();
    if (request.argument("dry_run") == "yes") {
        const auto count = desk.count(*which);
        return count ? render_count(*count) : Result<std::string>(count.error());
    }
    Order order;
    order.action = parse_order_action(request.command).value();
    order.which = *std::move(which);
    order.text = request.argument("text");
    if (Status read = read_common(request, order); !read) return read.error();
    const bool is_pause = order.action == OrderAction::Pause;
    const auto given = desk.give({std::move(order)});
    if (!given) return given.error();
    std::string text;
    JsonWriter json(text);
    json.begin_object().key("given");
    write_order(json, given->front());
    if (is_pause) {  // the others tell how far they have come
        if (const auto count = desk.count(given->front().which)) write_count(json, *count);
    }
    json.end_object();
    return text;
}

// One address or domain per line: "a@example.com", "example.com", "@example.com".
Result<std::vector<MailSelector>> suppressions_of(const ControlRequest& request) {
    std::vector<MailSelector> all;
    const std::string addresses = request.argument("addresses");
    for (std::string_view line : split(addresses, '\n')) {
        line = trim(line);
        if (line.empty()) continue;
        MailSelector which;
        which.tenant = request.argument("tenant");
        if (line.starts_with('@')) line.remove_prefix(1);
        if (line.find('@') == std::string_view::npos) {
            const auto domain = normalize_domain(line);
            if (!domain) return invalid("'" + printable(line, 64) + "' is no address and no domain");
            which.domain = *domain;
        } else {
            const auto mailbox = Mailbox::parse(line, Mailbox::Utf8::Allow);
            if (!mailbox) return invalid("'" + printable(line, 64) + "' is no address: " + mailbox.error().text);
            which.recipient = to_ascii_lower(mailbox->to_string());
        }
        all.push_back(std::move(which));
    }
    if (all.empty()) return invalid("name an address such as someone@example.com, or a domain");
    if (all.size() > kMostAddresses) {
        return invalid("at most " + std::to_string(kMostAddresses) + " addresses at once");
    }
    return all;
}

Result<std::string> suppress(const ControlRequest& request, const Desk& desk) {
    auto which = suppressions_of(request);
    if (!which) return which.error();
    std::vector<Order> orders;
    for (MailSelector& each : *which) {
        Order& order = orders.emplace_back();
        order.action = OrderAction::Suppress;
        order.which = std::move(each);
        if (Status read = read_common(request, order); !read) return read.error();
    }
    const auto given = desk.give(std::move(orders));
    return given ? render_orders(*given, false) : Result<std::string>(given.error());
}

// --- ending --------------------------------------------------------------------------------------------

Result<std::vector<OrderId>> ids_of(const ControlRequest& request) {
    std::vector<OrderId> ids;
    const std::string numbers = request.argument("orders");
    for (const std::string_view text : split(numbers, ' ')) {
        std::uint32_t number = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (error != std::errc() || end != text.data() + text.size() || number == 0) {
            return invalid("'" + printable(text, 64) + "' is no order; `postfleet list orders` shows their numbers");
        }
        ids.push_back(OrderId{number});
    }
    return ids;
}

Result<std::string> withdraw(const ControlRequest& request, const Desk& desk) {
    auto ids = ids_of(request);
    if (!ids) return ids.error();
    const auto withdrawn = desk.withdraw(*std::move(ids));
    return withdrawn ? render_orders(*withdrawn, false) : Result<std::string>(withdrawn.error());
}

Result<std::string> resume(const ControlRequest& request, const Desk& desk) {
    const Result<MailSelector> which = selector_of(request);
    if (!which) return which.error();
    const auto withdrawn = flatten(await_sender<Result<std::vector<Order>>>(
        desk.executor, [&](auto done) { desk.sender.resume(*which, std::move(done)); }));
    return withdrawn ? render_orders(*withdrawn, false) : Result<std::string>(withdrawn.error());
}

Result<std::string> unsuppress(const ControlRequest& request, const Desk& desk) {
    const auto which = suppressions_of(request);
    if (!which) return which.error();
    const auto all = desk.list({.action = OrderAction::Suppress, .limit = SIZE_MAX});
    if (!all) return all.error();
    std::vector<OrderId> ids;
    for (const MailSelector& each : *which) {
        const auto found = std::find_if(all->begin(), all->end(),
                                        [&](const Order& order) { return !order.finished_at && order.which == each; });
        if (found == all->end()) {
            return Error{ErrorKind::NotFound,
                         printable(each.recipient + each.domain, 256) + " is not suppressed" +
                             (each.tenant.empty() ? " for all tenants" : " for tenant " + each.tenant) +
                             "; `postfleet list orders --action suppress` shows what is"};
        }
        ids.push_back(found->id);
    }
    const auto withdrawn = desk.withdraw(std::move(ids));
    return withdrawn ? render_orders(*withdrawn, false) : Result<std::string>(withdrawn.error());
}

// --- the others ----------------------------------------------------------------------------------------

Result<std::string> retry(const ControlRequest& request, const Desk& desk) {
    const Result<MailSelector> which = selector_of(request);
    if (!which) return which.error();
    const auto count =
        request.argument("dry_run") == "yes"
            ? desk.count(*which)
            : flatten(await_sender<Result<MailCount>>(
                  desk.executor, [&](auto done) { desk.sender.retry(*which, std::move(done)); }, kCountPatience));
    return count ? render_count(*count) : Result<std::string>(count.error());
}

Result<std::string> list_orders(const ControlRequest& request, const Desk& desk) {
    const Result<std::size_t> limit = limit_of(request, 100);
    if (!limit) return limit.error();
    OrderFilter filter{.limit = *limit + 1};  // one more than asked for, to know whether there is more
    if (!request.argument("orders").empty()) {
        const auto ids = ids_of(request);
        if (!ids) return ids.error();
        filter.id = ids->front();
    }
    if (const std::string action = request.argument("action"); !action.empty()) {
        filter.action = parse_order_action(action);
        if (!filter.action) return invalid("the action is pause, suppress, delete, bounce or move");
    }
    auto orders = desk.list(filter);
    if (!orders) return orders.error();
    const bool more = orders->size() > *limit;
    if (more) orders->resize(*limit);
    return render_orders(*orders, more);
}

}  // namespace

std::optional<Result<std::string>> run_order_command(const ControlRequest& request, Executor& executor,
                                                     SenderControl& sender) {
    struct Command {
        std::string_view name;
        bool selects;  // it takes the arguments of a selection, beside these
        std::vector<std::string_view> arguments;
        Result<std::string> (*run)(const ControlRequest&, const Desk&);
    };
    static const std::vector<Command> commands{
        {"pause", true, {"why", "for", "dry_run"}, give},
        {"delete", true, {"why", "for", "dry_run"}, give},
        {"bounce", true, {"why", "for", "dry_run", "text"}, give},
        {"move", true, {"why", "for", "dry_run", "text"}, give},
        {"retry", true, {"dry_run"}, retry},
        {"resume", true, {}, resume},
        {"suppress", false, {"addresses", "tenant", "why", "for"}, suppress},
        {"unsuppress", false, {"addresses", "tenant"}, unsuppress},
        {"withdraw", false, {"orders"}, withdraw},
        {"orders", false, {"orders", "action", "limit"}, list_orders},
    };
    const auto command = std::find_if(commands.begin(), commands.end(),
                                      [&](const Command& known) { return known.name == request.command; });
    if (command == commands.end()) return std::nullopt;
    std::vector<std::string_view> known = command->arguments;
    if (command->selects) known.insert(known.end(), kSelectorArguments.begin(), kSelectorArguments.end());
    if (Status good = check_arguments(request, known); !good) return good.error();
    return command->run(request, {executor, sender});
}

}  // namespace postfleet::control
