// The history of one message as text for people.

#include <boost/json.hpp>
#include <algorithm>
#include <initializer_list>
#include <utility>
#include <vector>

#include "postfleet/control/json_view.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/standalone/views.hpp"

namespace postfleet::standalone {

using control::JsonView;
using control::parse_answer;
namespace {

using Align = Table::Align;

// "2026-11-22 10:11:12"
std::string show_time(const JsonView& of, const char* name) {
    std::string text = printable(of.text(name)).substr(0, 19);
    if (text.size() > 10) text[10] = ' ';
    return text;
}

void write_line(std::string& out, std::string_view title, const std::string& text) {
    if (text.empty()) return;
    out += std::string(title) + std::string(title.size() < 11 ? 11 - title.size() : 1, ' ') + text + "\n";
}

std::string join(std::initializer_list<std::pair<const char*, std::string>> parts) {
    std::string out;
    for (const auto& [title, text] : parts) {
        if (text.empty()) continue;
        out += (out.empty() ? "" : ", ") + (*title == '\0' ? text : std::string(title) + " " + text);
    }
    return out;
}

std::string facts_text(const JsonView& message, WallTime now) {
    std::string out = "message " + printable(message.text("message_id")) + "\n\n";
    const auto accepted = message.time("accepted_at");
    const std::string age =
        accepted ? show_age(std::max(0.0, std::chrono::duration<double>(now - *accepted).count())) + " ago" : "";
    write_line(out, "accepted",
               join({{"", show_time(message, "accepted_at") + " UTC"},
                     {"", age},
                     {"by listener", printable(message.text("listener"))},
                     {"from", printable(message.text("client_address"))},
                     {"as", printable(message.text("helo"))}}));
    const std::string sender = printable(message.text("sender"));
    write_line(out, "sender", sender.empty() ? "<>" : sender);
    write_line(out, "owner",
               join({{"tenant", printable(message.text("tenant"))},
                     {"user", printable(message.text("user"))},
                     {"job", printable(message.text("job"))}}));
    write_line(out, "size", show_size(message.count("size_octets")));
    write_line(out, "From", printable(message.text("from")));
    write_line(out, "Subject", printable(message.text("subject")));
    write_line(out, "Message-ID", printable(message.text("rfc_message_id")));
    write_line(out, "ENVID", printable(message.text("envelope_id")));
    write_line(out, "not before", show_time(message, "send_at"));
    write_line(out, "expires", show_time(message, "expires_at"));
    return out;
}

Tone tone_of(const std::string& state) {
    if (state == "delivered") return Tone::Good;
    if (state == "bounced" || state == "expired" || state == "rendering_failed") return Tone::Bad;
    if (state.starts_with("held")) return Tone::Warning;
    return Tone::Plain;
}

std::string when_text(const JsonView& recipient, WallTime now) {
    if (recipient.has("ended_at")) return show_time(recipient, "ended_at");
    const auto next = recipient.time("next_attempt_at");
    if (!next) return "";
    const double seconds = std::chrono::duration<double>(*next - now).count();
    return seconds < 1 ? "now" : "in " + show_age(seconds);
}

// "450 4.2.1 mailbox busy; deleted by root: wrong list (order 2)"
std::string with_reason(std::string reply, const JsonView& of) {
    const std::string reason = printable(of.text("reason"));
    if (!reason.empty()) reply += (reply.empty() ? "" : "; ") + reason;
    return reply;
}

Table recipient_table(const boost::json::array& recipients, WallTime now) {
    Table table({{"RECIPIENT", Align::Left, 100, true},
                 {"STATE", Align::Left, 95, true},
                 {"WHEN", Align::Left, 90},
                 {"QUEUE", Align::Left, 70, true},
                 {"POOL", Align::Left, 30, true},
                 {"ATTEMPTS", Align::Right, 60},
                 {"LAST REPLY", Align::Left, 80, true}});
    for (const boost::json::value& value : recipients) {
        const JsonView recipient(value);
        const std::string state = printable(recipient.text("state"));
        table.add_row({{printable(recipient.text("recipient"))},
                       {state, tone_of(state)},
                       {when_text(recipient, now)},
                       {printable(recipient.text("queue"))},
                       {printable(recipient.text("pool"))},
                       {show_count(recipient.count("attempts"))},
                       {with_reason(printable(recipient.text("last_reply")), recipient)}});
    }
    return table;
}

// "mx.example.net [192.0.2.1] from 192.0.2.9 TLSv1.3"
std::string way_text(const JsonView& facts) {
    const JsonView delivery = facts.object("delivery");
    std::string text = printable(delivery.text("mx_host"));
    if (const std::string ip = delivery.text("mx_ip"); !ip.empty()) text += (text.empty() ? "[" : " [") + ip + "]";
    if (const std::string source = facts.text("source_ip"); !source.empty()) text += " from " + source;
    if (const std::string tls = delivery.object("tls").text("version"); !tls.empty()) text += " " + printable(tls);
    return text;
}

std::string reply_text(const JsonView& facts) {
    const JsonView delivery = facts.object("delivery");
    std::string text = delivery.has("code") ? std::to_string(delivery.count("code")) : std::string();
    for (const std::string& part : {delivery.text("enhanced_code"), delivery.text("response")}) {
        if (!part.empty()) text += (text.empty() ? "" : " ") + printable(part);
    }
    text = with_reason(std::move(text), facts);
    if (const std::string category = facts.object("bounce").text("category"); !category.empty()) {
        text += " (" + printable(category) + ")";
    }
    return text;
}

// "/senders/s0" → "s0"
std::string reporter_of(const JsonView& event) {
    const std::string source = printable(event.text("source"));
    return source.substr(source.rfind('/') + 1);
}

// In a cluster with who reports each event.
Table event_table(const boost::json::array& events, bool of_several) {
    std::vector<Table::Column> columns{{"TIME", Align::Left, 100},           {"EVENT", Align::Left, 95},
                                       {"RECIPIENT", Align::Left, 90, true}, {"TRY", Align::Right, 60},
                                       {"QUEUE", Align::Left, 50, true},     {"SERVER", Align::Left, 70, true},
                                       {"REPLY", Align::Left, 80, true}};
    if (of_several) columns.insert(columns.begin() + 1, {"BY", Align::Left, 85, true});
    Table table(std::move(columns));
    for (const boost::json::value& value : events) {
        const JsonView event(value), facts = event.object("data");
        std::string type = printable(event.text("type"));
        if (type.starts_with("email.")) type.erase(0, 6);
        const std::uint64_t attempt = facts.count("attempt");
        std::vector<Table::Cell> row{{show_time(event, "time")},
                                     {type, tone_of(type)},
                                     {printable(facts.text("recipient"))},
                                     {attempt == 0 ? "" : show_count(attempt)},
                                     {printable(facts.text("queue"))},
                                     {way_text(facts)},
                                     {reply_text(facts)}};
        if (of_several) row.insert(row.begin() + 1, {reporter_of(event)});
        table.add_row(std::move(row));
    }
    return table;
}

}  // namespace

Result<std::string> view_message(const std::string& json, const Style& style, WallTime now) {
    const Result<boost::json::value> document = parse_answer(json);
    if (!document) return document.error();
    const JsonView history(*document);
    std::string out = facts_text(history.object("message"), now);
    out += "\n" + recipient_table(history.array("recipients"), now).render(style);
    if (!history.array("events").empty())
        out += "\n" + event_table(history.array("events"), history.has("processes")).render(style);
    if (!history.array("notes").empty()) out += "\n";
    for (const boost::json::value& note : history.array("notes")) {
        if (note.is_string()) out += paint("Note: " + printable(note.as_string(), 500), Tone::Faint, style) + "\n";
    }
    return out;
}

}  // namespace postfleet::standalone
