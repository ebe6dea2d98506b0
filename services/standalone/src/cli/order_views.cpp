// The answers about orders as text for people.

#include <boost/json.hpp>
#include <algorithm>

#include "postfleet/control/json_view.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/standalone/views.hpp"

namespace postfleet::standalone {

using control::JsonView;
using control::parse_answer;
namespace {

using Align = Table::Align;

std::string plural(std::uint64_t count, const char* what) {
    return show_count(count) + " " + what + (count == 1 ? "" : "s");
}

// "pauses", "paused": what an order does, and did.
std::string does(const std::string& action) { return action + "s"; }

std::string did(const std::string& action) {
    if (action == "suppress") return "Suppressed";
    std::string past = action + (action.ends_with('e') ? "d" : "ed");
    past[0] = static_cast<char>(past[0] - 'a' + 'A');
    return past;
}

std::string span_until(const JsonView& order, const char* name, WallTime now) {
    const auto time = order.time(name);
    if (!time) return "";
    return show_age(std::max(0.0, std::chrono::duration<double>(*time - now).count()));
}

std::string count_text(const JsonView& count) {
    if (count.count("recipients") == 0) return "no mail";
    return plural(count.count("recipients"), "recipient") + " in " + plural(count.count("queues"), "queue");
}

Result<boost::json::value> first_order(const std::string& json) {
    Result<boost::json::value> document = parse_answer(json);
    if (!document) return document;
    const JsonView answer(*document);
    const auto& orders = answer.array("orders");
    if (!orders.empty()) return orders.front();
    if (answer.has("given")) return answer.object("given").value();
    return Error{ErrorKind::NotFound, "there is no such order any more"};
}

}  // namespace

Result<std::string> number_of_order(const std::string& json) {
    const auto order = first_order(json);
    if (!order) return order.error();
    return std::to_string(JsonView(*order).count("order"));
}

Result<OrderProgress> order_progress(const std::string& json) {
    const auto order = first_order(json);
    if (!order) return order.error();
    const JsonView view(*order);
    return OrderProgress{view.text("state") == "finished",
                         "Order " + std::to_string(view.count("order")) + " is at work: " +
                             plural(view.count("recipients"), "recipient") + " so far (Ctrl-C leaves it at work)"};
}

Result<std::string> view_finished(const std::string& json) {
    const auto order = first_order(json);
    if (!order) return order.error();
    const JsonView view(*order);
    return did(view.text("action")) + " " + plural(view.count("recipients"), "recipient") + " (order " +
           std::to_string(view.count("order")) + ").\n";
}

Result<std::string> view_given(const std::string& json) {
    const Result<boost::json::value> document = parse_answer(json);
    if (!document) return document.error();
    const auto order = first_order(json);
    if (!order) return order.error();
    const JsonView answer(*document), view(*order);
    const std::string number = std::to_string(view.count("order")), action = view.text("action");
    std::string out = "Order " + number + " " + does(action) + " " + printable(view.text("mail"));
    if (const std::string to = view.text("to"); !to.empty()) out += " to " + printable(to);
    if (answer.has("count")) out += ": " + count_text(answer.object("count")) + " now, and what comes later";
    out += ".\n";
    if (view.has("expires_at")) out += "It ends by itself at " + printable(view.text("expires_at"), 19) + "Z.\n";
    if (action == "pause") out += "`postfleet resume " + number + "` lets it go again.\n";
    return out;
}

Result<std::string> view_withdrawn(const std::string& json) {
    const Result<boost::json::value> document = parse_answer(json);
    if (!document) return document.error();
    std::string out;
    for (const boost::json::value& value : JsonView(*document).array("orders")) {
        const JsonView order(value);
        const std::string action = order.text("action");
        out += "Order " + std::to_string(order.count("order")) + " is withdrawn: it " +
               (action == "pause"      ? "paused "
                : action == "suppress" ? "suppressed "
                                       : "was to " + action + " ") +
               printable(order.text("mail"));
        if (order.count("recipients") > 0) out += "; " + plural(order.count("recipients"), "recipient") + " so far";
        out += ".\n";
    }
    return out;
}

Result<std::string> view_count(const std::string& json, const std::string& verb) {
    const Result<boost::json::value> document = parse_answer(json);
    if (!document) return document.error();
    return verb + " " + count_text(JsonView(*document).object("count")) + ".\n";
}

Result<std::string> view_orders(const std::string& json, const Style& style, WallTime now) {
    const Result<boost::json::value> document = parse_answer(json);
    if (!document) return document.error();
    const JsonView answer(*document);
    if (answer.array("orders").empty()) return std::string("No orders.\n");
    Table table({{"ORDER", Align::Right, 100},
                 {"ACTION", Align::Left, 95},
                 {"MAIL", Align::Left, 90, true},
                 {"STATE", Align::Left, 85},
                 {"RECIPIENTS", Align::Right, 70},
                 {"AGE", Align::Right, 60},
                 {"ENDS IN", Align::Right, 50},
                 {"WHO", Align::Left, 65},
                 {"WHY", Align::Left, 55, true}});
    for (const boost::json::value& value : answer.array("orders")) {
        const JsonView order(value);
        const std::string state = order.text("state"), to = order.text("to");
        const auto given = order.time("given_at");
        const bool is_over = state == "finished";
        table.add_row({{std::to_string(order.count("order"))},
                       {printable(order.text("action")) + (to.empty() ? "" : " to " + printable(to))},
                       {printable(order.text("mail"))},
                       {state, is_over              ? Tone::Faint
                               : state == "at work" ? Tone::Good
                                                    : Tone::Warning},
                       {order.count("recipients") > 0 ? show_count(order.count("recipients")) : ""},
                       {given ? show_age(std::chrono::duration<double>(now - *given).count()) : ""},
                       {is_over ? "" : span_until(order, "expires_at", now)},
                       {printable(order.text("who"))},
                       {printable(order.text("why"))}});
    }
    std::string out = table.render(style);
    if (answer.flag("more")) out += paint("… and more; --limit shows more\n", Tone::Faint, style);
    return out;
}

Result<std::string> view_trace(const std::string& json, const Style& style) {
    const Result<boost::json::value> document = parse_answer(json);
    if (!document) return document.error();
    const JsonView answer(*document);
    std::string out;
    for (const boost::json::value& value : answer.array("lines")) {
        const JsonView line(value);
        const std::string direction = line.text("direction"), time = line.text("time");
        const bool is_note = direction == "note";
        out += paint(time.size() >= 23 ? time.substr(11, 12) : time, Tone::Faint, style) + ' ';
        if (answer.flag("several")) out += std::to_string(line.count("session")) + ' ';
        const std::string text = printable(line.text("text"), 4'096);
        out += is_note               ? paint("* " + text, Tone::Faint, style)
               : direction == "sent" ? paint("> " + text, Tone::Strong, style)
                                     : "< " + text;
        out += '\n';
    }
    if (answer.count("left_out") > 0) {
        out += paint("* " + plural(answer.count("left_out"), "line") + " left out\n", Tone::Warning, style);
    }
    return out;
}

}  // namespace postfleet::standalone
