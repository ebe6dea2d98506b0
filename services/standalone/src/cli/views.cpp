#include "postfleet/standalone/views.hpp"

#include <boost/json.hpp>
#include <fmt/format.h>

#include <algorithm>

#include "postfleet/control/json_view.hpp"
#include "postfleet/base/text.hpp"

namespace postfleet::standalone {

using control::JsonView;
using control::parse_answer;
namespace {

using Align = Table::Align;
using Cell = Table::Cell;

Cell counted(std::uint64_t count, Tone tone = Tone::Plain) {
    return {show_count(count), count == 0 ? Tone::Faint : tone};
}

std::string plural(std::uint64_t count, const char* what) {
    return show_count(count) + " " + what + (count == 1 ? "" : "s");
}

// "in 4m", "now"
std::string until(const std::optional<WallTime>& due, WallTime now) {
    if (!due) return "";
    const double seconds = std::chrono::duration<double>(*due - now).count();
    return seconds < 1 ? "now" : "in " + show_age(seconds);
}

// "backoff for 12m more: 421 4.7.28 …"
std::string backoff_text(const JsonView& queue, WallTime now) {
    std::string text = "backoff";
    if (const auto end = queue.time("backoff_until")) {
        text += " for " + show_age(std::max(0.0, std::chrono::duration<double>(*end - now).count())) + " more";
    }
    if (const std::string reason = printable(queue.text("backoff_reason")); !reason.empty()) text += ": " + reason;
    return text;
}

Cell queue_state(const JsonView& queue, WallTime now) {
    if (queue.text("mode") == "backoff" && !queue.flag("paused")) return {backoff_text(queue, now), Tone::Warning};
    if (const std::string reason = printable(queue.text("hold_reason")); !reason.empty()) {
        const bool paused = queue.flag("paused");
        return {paused && !reason.starts_with("paused") ? "paused: " + reason : reason, Tone::Warning};
    }
    if (queue.flag("paused")) return {"paused", Tone::Warning};
    if (const std::string warm_up = printable(queue.text("warm_up")); !warm_up.empty()) return {"warm-up " + warm_up};
    if (const std::string reply = printable(queue.text("last_reply")); !reply.empty()) return {reply, Tone::Faint};
    return {};
}

Table queue_table(const boost::json::array& queues, WallTime now, std::size_t most) {
    Table table({{"QUEUE", Align::Left, 100, true},
                 {"READY", Align::Right, 90},
                 {"WAITING", Align::Right, 80},
                 {"IN FLIGHT", Align::Right, 40},
                 {"CONN", Align::Right, 70},
                 {"RATE/S", Align::Right, 75},
                 {"DELIVERED", Align::Right, 50},
                 {"DEFERRED", Align::Right, 45},
                 {"BOUNCED", Align::Right, 44},
                 {"NEXT", Align::Right, 35},
                 {"STATE", Align::Left, 60, true}});
    for (const boost::json::value& value : queues) {
        if (table.rows() == most) break;
        const JsonView queue(value);
        const std::uint64_t delivered = queue.count("delivered");
        table.add_row({{printable(queue.text("name"))},
                       counted(queue.count("ready")),
                       counted(queue.count("waiting") + queue.count("held")),
                       counted(queue.count("in_flight")),
                       counted(queue.count("connections")),
                       {show_rate(queue.number("delivered_per_second")),
                        queue.number("delivered_per_second") > 0 ? Tone::Good : Tone::Faint},
                       counted(delivered),
                       counted(queue.count("deferred"), Tone::Warning),
                       counted(queue.count("bounced") + queue.count("expired"), Tone::Bad),
                       {until(queue.time("next_due"), now), Tone::Faint},
                       queue_state(queue, now)});
    }
    return table;
}

// "192.0.2.10 is disabled at google until 2026-01-01T12:00:00Z: by olaf: talking to them"
std::string disabled_sources_text(const JsonView& vmta) {
    std::string out;
    for (const boost::json::value& value : vmta.array("disabled_sources")) {
        const JsonView disabled(value);
        out += (out.empty() ? "" : "; ") + printable(disabled.text("source")) + " is disabled";
        if (disabled.has("site")) out += " at " + printable(disabled.text("site"));
        if (disabled.has("until")) out += " until " + printable(disabled.text("until"), 19) + "Z";
        out += ": " + printable(disabled.text("reason"));
    }
    return out;
}

Cell virtual_mta_state(const JsonView& vmta) {
    const std::string sources = disabled_sources_text(vmta);
    const std::string warm_up =
        vmta.has("warm_up_day") ? "warm-up day " + std::to_string(vmta.count("warm_up_day")) : "";
    if (vmta.flag("enabled") && sources.empty()) return {warm_up.empty() ? "enabled" : warm_up, Tone::Good};
    if (vmta.flag("enabled")) return {sources, Tone::Warning};
    const std::string why = sources.empty() ? printable(vmta.text("disabled_reason")) : sources;
    return {why.empty() ? "disabled" : "disabled: " + why, Tone::Bad};
}

std::string condition_line(const JsonView& status, const Style& style) {
    if (status.flag("ready")) return paint("ready", Tone::Good, style);
    std::string reasons;
    for (const boost::json::value& reason : status.array("not_ready")) {
        reasons += reasons.empty() ? "" : "; ";
        if (reason.is_string()) reasons += printable(std::string(reason.as_string()));
    }
    return paint("not ready: " + reasons, Tone::Bad, style);
}

void write_line(std::string& out, const char* label, const std::string& text) {
    out += fmt::format("{:<15}{}\n", label, text);
}

std::string head_line(const JsonView& status, const Style& style) {
    const JsonView process = status.object("process");
    return paint("Postfleet " + printable(process.text("version")), Tone::Strong, style) + " on " +
           printable(process.text("hostname")) + ", up " + show_age(process.number("uptime_seconds")) + ", " +
           condition_line(status, style) + "\n";
}

std::string queued_text(const JsonView& sender) {
    std::string text = plural(sender.count("queued_recipients"), "recipient") + " in " +
                       plural(sender.count("queues"), "queue") + ": " + show_count(sender.count("ready")) + " ready, " +
                       show_count(sender.count("waiting")) + " waiting, " + show_count(sender.count("in_flight")) +
                       " in flight";
    if (sender.count("held") > 0) text += ", " + show_count(sender.count("held")) + " held";
    if (sender.has("oldest_queued_seconds")) {
        text += "; oldest " + show_age(sender.number("oldest_queued_seconds"));
    }
    return text;
}

std::string outcome_text(const JsonView& sender) {
    std::string text = show_count(sender.count("delivered")) + " (" + show_rate(sender.number("delivered_per_second")) +
                       "/s now), deferred " + show_count(sender.count("deferred"));
    text += ", bounced " + show_count(sender.count("bounced")) + ", expired " + show_count(sender.count("expired"));
    if (sender.count("cancelled") > 0) text += ", cancelled " + show_count(sender.count("cancelled"));
    return text;
}

std::string spool_text(const JsonView& spool, const Style& style) {
    const std::string condition = printable(spool.text("condition"));
    const std::string reason = printable(spool.text("reason"));
    std::string text = paint(condition, condition == "ready" ? Tone::Good : Tone::Bad, style);
    if (!reason.empty()) text += " (" + reason + ")";
    text += ", " + show_size(spool.count("free_octets")) + " free";
    if (spool.count("quarantined") > 0) {
        text += ", " + paint(plural(spool.count("quarantined"), "bad record") + " set aside", Tone::Bad, style);
    }
    return text;
}

void write_listeners(std::string& out, const JsonView& status) {
    for (const boost::json::value& value : status.array("listeners")) {
        const JsonView listener(value);
        write_line(out, "listener",
                   printable(listener.text("name")) + " on " + printable(listener.text("address")) + ": " +
                       plural(listener.count("connections"), "connection") + " open, " +
                       plural(listener.count("messages_total"), "message") + " so far");
    }
}

void write_reports(std::string& out, const JsonView& status, const Style& style) {
    for (const boost::json::value& value : status.array("reports")) {
        const JsonView sink(value);
        std::string text = printable(sink.text("name")) + ": " + plural(sink.count("written"), "event") + " written, " +
                           show_count(sink.count("lag_events")) + " to go";
        if (const std::uint64_t dropped = sink.count("dropped"); dropped > 0) {
            text += ", " + paint(show_count(dropped) + " dropped", Tone::Bad, style);
        }
        if (sink.flag("is_full")) text += ", " + paint("full: it stops new mail", Tone::Bad, style);
        if (const std::string error = sink.text("last_error"); !error.empty()) {
            text += ", " + paint("failing: " + printable(error), Tone::Bad, style);
        }
        write_line(out, "report", text);
    }
}

}  // namespace

Result<std::string> view_status(const std::string& json, const Style& style) {
    const Result<boost::json::value> document = parse_answer(json);
    if (!document) return document.error();
    const JsonView status(*document);
    const JsonView process = status.object("process"), sender = status.object("sender");
    std::string out = head_line(status, style);
    write_line(out, "configuration",
               printable(process.text("config_path")) + ", version " + printable(process.text("config_version"), 12) +
                   ", loaded " + printable(process.text("config_loaded_at"), 19) + "Z");
    write_line(out, "spool", spool_text(status.object("spool"), style));
    write_line(out, "queued", queued_text(sender));
    write_line(out, "accepted",
               plural(sender.count("accepted_messages"), "message") + " (" +
                   show_rate(sender.number("accepted_per_second")) + "/s now)");
    write_line(out, "delivered", outcome_text(sender));
    write_line(out, "connections", show_count(sender.count("connections")) + " out");
    write_listeners(out, status);
    write_reports(out, status, style);
    return out;
}

Result<std::string> view_queues(const std::string& json, const Style& style, WallTime now) {
    const Result<boost::json::value> document = parse_answer(json);
    if (!document) return document.error();
    const JsonView answer(*document);
    const auto& queues = answer.array("queues");
    if (queues.empty()) return std::string("No queues.\n");
    std::string out = queue_table(queues, now, queues.size()).render(style);
    if (answer.count("total") > queues.size()) {
        out += paint("… " + plural(answer.count("total") - queues.size(), "queue") + " more; --limit shows more\n",
                     Tone::Faint, style);
    }
    return out;
}

Result<std::string> view_intake(const std::string& json, const Style& style) {
    const Result<boost::json::value> document = parse_answer(json);
    if (!document) return document.error();
    const JsonView intake(*document);
    std::string text = show_count(intake.count("mails")) + (intake.count("mails") == 1 ? " mail" : " mails") +
                       " for us, " + show_size(intake.count("octets")) + " of " +
                       show_size(intake.count("max_octets")) + "\n";
    const boost::json::array& listed = intake.array("listed");
    if (listed.empty()) return text;
    Table table({{"KIND", Align::Left, 90},
                 {"RECEIVED", Align::Left, 70},
                 {"SIZE", Align::Right, 60},
                 {"FROM", Align::Left, 50, true},
                 {"TO", Align::Left, 80, true},
                 {"MESSAGE", Align::Left, 40}});
    for (const boost::json::value& value : listed) {
        const JsonView mail(value);
        table.add_row({{printable(mail.text("kind"))},
                       {printable(mail.text("received_at")).substr(0, 19)},
                       {show_size(mail.count("octets"))},
                       {printable(mail.text("reverse_path"))},
                       {printable(mail.text("recipient"))},
                       {printable(mail.text("id"))}});
    }
    text += "\n" + table.render(style);
    if (listed.size() < intake.count("mails")) text += "… and more; --limit shows them\n";
    return text;
}

Result<std::string> view_virtual_mtas(const std::string& json, const Style& style) {
    const Result<boost::json::value> document = parse_answer(json);
    if (!document) return document.error();
    if (!document->is_array() || document->as_array().empty()) return std::string("No virtual MTAs.\n");
    Table table({{"VIRTUAL MTA", Align::Left, 100, true},
                 {"SOURCE", Align::Left, 80, true},
                 {"EHLO", Align::Left, 30, true},
                 {"QUEUES", Align::Right, 40},
                 {"QUEUED", Align::Right, 90},
                 {"CONN", Align::Right, 70},
                 {"DELIVERED", Align::Right, 60},
                 {"DEFERRED", Align::Right, 50},
                 {"BOUNCED", Align::Right, 45},
                 {"STATE", Align::Left, 75, true}});
    for (const boost::json::value& value : document->as_array()) {
        const JsonView vmta(value);
        std::string sources;
        for (const boost::json::value& source : vmta.array("sources")) {
            if (source.is_string())
                sources += (sources.empty() ? "" : " ") + printable(std::string(source.as_string()));
        }
        table.add_row({{printable(vmta.text("name"))},
                       {sources.empty() ? "(system)" : sources},
                       {printable(vmta.text("ehlo"))},
                       counted(vmta.count("queues")),
                       counted(vmta.count("queued")),
                       counted(vmta.count("connections")),
                       counted(vmta.count("delivered")),
                       counted(vmta.count("deferred"), Tone::Warning),
                       counted(vmta.count("bounced"), Tone::Bad),
                       virtual_mta_state(vmta)});
    }
    return table.render(style);
}

Result<std::string> view_limits(const std::string& json, const Style& style) {
    const Result<boost::json::value> document = parse_answer(json);
    if (!document) return document.error();
    if (!document->is_array() || document->as_array().empty()) {
        return std::string(
            "Nothing is limited over several queues; `postfleet show settings QUEUE` has the limits of a queue.\n");
    }
    Table table({{"WHAT", Align::Left, 100, true},
                 {"LIMIT", Align::Left, 90},
                 {"VALUE", Align::Right, 95},
                 {"CONN", Align::Right, 85},
                 {"WAITING", Align::Right, 80},
                 {"NEXT", Align::Right, 60},
                 {"FROM", Align::Left, 70, true}});
    for (const boost::json::value& value : document->as_array()) {
        const JsonView limit(value);
        std::string what = limit.text("scope") == "total" ? "all delivery" : printable(limit.text("scope"));
        std::replace(what.begin(), what.end(), '_', ' ');
        if (limit.has("name")) what += " " + printable(limit.text("name"));
        if (limit.has("sender")) what += " (" + printable(limit.text("sender")) + ")";
        for (const boost::json::value& each : limit.array("limits")) {
            const JsonView key(each);
            const bool is_of_connections = key.text("key") == "max_connections";
            table.add_row({{what},
                           {printable(key.text("key"))},
                           {printable(key.text("value")), Tone::Strong},
                           is_of_connections ? counted(limit.count("connections")) : Cell{},
                           counted(limit.count("queues_waiting"), Tone::Warning),
                           {is_of_connections || !limit.has("next_message_seconds")
                                ? ""
                                : show_age(limit.number("next_message_seconds"))},
                           {key.has("origin") ? printable(key.text("origin")) : "shaping", Tone::Faint}});
        }
    }
    return table.render(style);
}

Result<std::string> view_tasks(const std::string& json, const Style& style, WallTime now) {
    const Result<boost::json::value> document = parse_answer(json);
    if (!document) return document.error();
    const JsonView answer(*document);
    if (answer.array("tasks").empty()) return std::string("No mail.\n");
    Table table({{"MESSAGE", Align::Left, 100},
                 {"QUEUE", Align::Left, 60, true},
                 {"AGE", Align::Right, 70},
                 {"SIZE", Align::Right, 30},
                 {"TRIES", Align::Right, 65},
                 {"NEXT", Align::Right, 66},
                 {"STATE", Align::Left, 62, true},
                 {"RECIPIENT", Align::Left, 90, true},
                 {"LAST REPLY", Align::Left, 50, true}});
    for (const boost::json::value& value : answer.array("tasks")) {
        const JsonView task(value);
        const std::optional<WallTime> accepted = task.time("accepted_at");
        const double age = accepted ? std::chrono::duration<double>(now - *accepted).count() : 0;
        for (const boost::json::value& each : task.array("recipients")) {
            const JsonView recipient(each);
            table.add_row({{printable(task.text("message_id"))},
                           {printable(task.text("queue"))},
                           {show_age(age)},
                           {show_size(task.count("size_octets"))},
                           counted(recipient.count("attempts")),
                           {until(task.time("due"), now)},
                           {printable(task.text("state"))},
                           {printable(recipient.text("address"))},
                           {printable(recipient.text("last_reply")), Tone::Faint}});
        }
    }
    std::string out = table.render(style);
    if (answer.flag("more")) out += paint("… and more; --limit shows more\n", Tone::Faint, style);
    return out;
}

Result<std::string> view_settings(const std::string& json, const Style& style) {
    const Result<boost::json::value> document = parse_answer(json);
    if (!document) return document.error();
    const JsonView answer(*document);
    Table table({{"SETTING", Align::Left, 100},
                 {"VALUE", Align::Left, 90, true},
                 {"FROM", Align::Left, 80},
                 {"RULE", Align::Left, 70, true}});
    for (const boost::json::value& value : answer.array("settings")) {
        const JsonView key(value);
        const bool is_default = key.flag("default");
        const std::string rule = key.text("rule");
        table.add_row({{printable(key.text("key"))},
                       {printable(key.text("value")), is_default ? Tone::Faint : Tone::Strong},
                       {is_default ? "default" : printable(key.text("origin")), is_default ? Tone::Faint : Tone::Plain},
                       {is_default     ? ""
                        : rule.empty() ? "general"
                                       : printable(rule)}});
    }
    return "Settings of " + paint(printable(answer.text("queue")), Tone::Strong, style) + "\n" + table.render(style);
}

Result<std::string> view_affected(const std::string& json, const std::string& verb) {
    const Result<boost::json::value> document = parse_answer(json);
    if (!document) return document.error();
    const JsonView answer(*document);
    if (answer.has("virtual_mtas")) return verb + " " + plural(answer.count("virtual_mtas"), "virtual MTA") + ".\n";
    return verb + " " + plural(answer.count("queues"), "queue") + ".\n";
}

Result<std::string> view_reload(const std::string& json) {
    const Result<boost::json::value> document = parse_answer(json);
    if (!document) return document.error();
    const auto& changes = JsonView(*document).array("changes");
    if (changes.empty()) return std::string("Reloaded; nothing has changed.\n");
    std::string out = "Reloaded; " + plural(changes.size(), "change") + ":\n";
    for (const boost::json::value& value : changes) {
        const JsonView change(value);
        out += "  " + printable(change.text("text"), 4'096) + "\n";
    }
    return out;
}

Result<std::string> view_top(const std::string& status_json, const std::string& queues_json, const Style& style,
                             unsigned height, WallTime now) {
    const Result<boost::json::value> status_document = parse_answer(status_json);
    if (!status_document) return status_document.error();
    const Result<boost::json::value> queues_document = parse_answer(queues_json);
    if (!queues_document) return queues_document.error();
    const JsonView status(*status_document);
    const JsonView sender = status.object("sender");
    std::string out = head_line(status, style);
    write_line(out, "spool", spool_text(status.object("spool"), style));
    write_line(out, "in",
               show_rate(sender.number("accepted_per_second")) + "/s, " +
                   plural(sender.count("accepted_messages"), "message") + " so far");
    write_line(out, "out", outcome_text(sender));
    write_line(out, "queued", queued_text(sender));
    out += '\n';
    const auto& queues = JsonView(*queues_document).array("queues");
    const auto used = static_cast<unsigned>(std::count(out.begin(), out.end(), '\n')) + 2;  // titles, last line
    if (queues.empty()) return out + "No queues.\n";
    return out + queue_table(queues, now, height > used ? height - used : 1).render(style);
}

}  // namespace postfleet::standalone
