#include "postfleet/control/message_history.hpp"

#include <boost/json.hpp>
#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "postfleet/control/json_view.hpp"
#include "postfleet/report/cloud_event.hpp"
#include "report_search.hpp"

namespace postfleet::control {
namespace {

constexpr std::size_t kPendingAtOnce = 1'000;

// What the events of all recipients have in common.
constexpr const char* kFacts[] = {
    "rfc_message_id", "envelope_id", "sender",   "from",           "subject",     "tenant",  "job",        "user",
    "template",       "metadata",    "listener", "client_address", "accepted_at", "send_at", "size_octets"};

class History final {
public:
    History(const MessageId& id, const HistorySources& from) : id_(id), from_(from) {}

    Status gather();
    bool is_empty() const { return tasks_.empty() && events_.empty(); }
    std::string tell() const;
    std::string why_nothing() const;

private:
    void read_reports();
    void read_outbox();
    void add(boost::json::value event);
    boost::json::object facts() const;
    boost::json::array recipients() const;

    const MessageId id_;
    const HistorySources& from_;
    std::vector<QueuedTask> tasks_;
    std::vector<boost::json::value> events_;
    std::set<std::string> known_;  // ids of events
    boost::json::array files_, notes_;
    bool has_reports_ = false;
};

boost::json::value render(const Event& event, std::uint64_t sequence, const HistorySources& from) {
    const std::string& name = from.own_sender.empty() ? from.config->hostname : from.own_sender;
    std::string text;
    report::render_cloud_event(event, sequence, {"/senders/" + name}, text);
    return boost::json::parse(text);
}

// "email.delivered" → "delivered"
std::string_view short_type(std::string_view type) {
    constexpr std::string_view kPrefix = "email.";
    return type.starts_with(kPrefix) ? type.substr(kPrefix.size()) : type;
}

// "550 5.1.1 no such user": as for those that wait.
std::string reply_of(const JsonView& delivery) {
    std::string text = delivery.has("code") ? std::to_string(delivery.count("code")) : std::string();
    for (const char* name : {"enhanced_code", "response"}) {
        const std::string part = delivery.text(name);
        if (!part.empty()) text += (text.empty() ? "" : " ") + part;
    }
    return text;
}

void set_if_known(boost::json::object& to, const char* name, std::string_view text) {
    if (!text.empty()) to[name] = text;
}

boost::json::object waiting(const QueuedTask& queued, const Recipient& recipient) {
    const Task& task = queued.task;
    boost::json::object out{{"recipient", recipient.address},
                            {"state", queued.state},
                            {"queue", queued.queue},
                            {"virtual_mta", task.virtual_mta}};
    set_if_known(out, "pool", task.pool);
    out["attempts"] = recipient.attempts;
    out["next_attempt_at"] = format_rfc3339(task.due);
    if (task.expires_at) out["expires_at"] = format_rfc3339(*task.expires_at);
    if (recipient.last_reply) out["last_reply"] = recipient.last_reply->to_string();
    set_if_known(out, "last_mx", recipient.last_mx);
    return out;
}

// What an event says of a recipient who waits no more.
void tell_end(const JsonView& event, EventType type, boost::json::object& recipient) {
    const JsonView facts = event.object("data");
    recipient["recipient"] = facts.text("recipient");
    recipient["state"] = is_terminal(type) ? short_type(event.text("type")) : "not known";
    for (const char* name : {"queue", "virtual_mta", "pool", "reason"}) set_if_known(recipient, name, facts.text(name));
    recipient["attempts"] = facts.count("attempt");
    if (is_terminal(type)) recipient["ended_at"] = event.text("time");
    if (facts.has("delivery")) {
        set_if_known(recipient, "last_reply", reply_of(facts.object("delivery")));
        set_if_known(recipient, "last_mx", facts.object("delivery").text("mx_host"));
    }
}

void sort_by_time(std::vector<boost::json::value>& events) {
    std::stable_sort(events.begin(), events.end(), [](const auto& a, const auto& b) {
        const JsonView x(a), y(b);
        return std::pair(x.time("time"), x.object("data").count("sequence")) <
               std::pair(y.time("time"), y.object("data").count("sequence"));
    });
}

// --- gathering -----------------------------------------------------------------------------------------

Status History::gather() {
    if (from_.waiting) {
        MailSelector which;
        which.message = id_;
        Result<std::vector<QueuedTask>> tasks = from_.waiting(which);
        if (!tasks) return tasks.error();
        tasks_ = std::move(*tasks);
    }
    // After what waits: who ends in between is found here. The outbox before the files: what leaves it is in those.
    if (from_.outbox != nullptr) read_outbox();
    if (from_.has_reports) read_reports();
    sort_by_time(events_);
    return {};
}

void History::add(boost::json::value event) {
    if (known_.insert(JsonView(event).text("id")).second) events_.push_back(std::move(event));
}

void History::read_outbox() {
    std::uint64_t after = 0;
    for (std::size_t seen = 0; seen < HistorySources::kMostPending;) {
        const auto part = from_.outbox->read(after, kPendingAtOnce);
        if (!part) {
            notes_.push_back(boost::json::string("the outbox cannot be read: " + part.error().text));
            return;
        }
        if (part->empty()) return;
        for (const LoggedEvent& logged : *part) {
            const Event& event = *logged.event;
            if (event.message && event.message->id == id_) add(render(event, logged.number, from_));
        }
        after = part->back().number;
        seen += part->size();
    }
    notes_.push_back("a report sink is far behind: only the oldest of the events that wait for it were looked through");
}

void History::read_reports() {
    ReportFindings found;
    const ReportSearch search{
        .message = id_, .since = id_.made_at(), .until = steady_clock_now() + HistorySources::kPatience};
    std::set<EventType> types;
    for (const config::Report& report : from_.config->reports) {
        if (report.type != config::ReportType::File) continue;
        has_reports_ = true;
        types.insert(report.types.begin(), report.types.end());
        search_reports(report, search, found);
    }
    for (boost::json::value& event : found.events) add(std::move(event));
    for (const std::string& file : found.files) files_.emplace_back(file);
    for (const std::string& trouble : found.troubles) notes_.emplace_back(trouble);
    if (!has_reports_) {
        notes_.push_back("no report of type file is configured: what is over is not kept");
        return;
    }
    if (!found.reaches_back && found.begin) {
        notes_.emplace_back("the reports before " + format_rfc3339(*found.begin) + " are gone");
    }
    std::string left_out;
    for (const EventType type : {EventType::Accepted, EventType::Delivered, EventType::Deferred, EventType::Bounced,
                                 EventType::Expired, EventType::Suppressed, EventType::Cancelled}) {
        if (!types.contains(type)) left_out += (left_out.empty() ? "" : ", ") + std::string(to_string(type));
    }
    if (!left_out.empty()) notes_.emplace_back("no report file takes " + left_out);
}

// --- telling -------------------------------------------------------------------------------------------

boost::json::object History::facts() const {
    boost::json::object out{{"message_id", id_.to_string()}};
    boost::json::value event;
    if (tasks_.empty()) {
        event = events_.back();
    } else {
        Event made;
        made.message = tasks_.front().message;
        event = render(made, 0, from_);
    }
    const JsonView known = JsonView(event).object("data");
    for (const char* name : kFacts) {
        if (known.has(name)) out[name] = known.value().as_object().at(name);
    }
    if (tasks_.empty()) return out;
    const Message& message = *tasks_.front().message;
    set_if_known(out, "helo", message.helo);
    set_if_known(out, "server_address", message.server_address);
    if (message.expires_at) out["expires_at"] = format_rfc3339(*message.expires_at);
    return out;
}

boost::json::array History::recipients() const {
    std::map<std::uint64_t, boost::json::object> by_index;
    for (const QueuedTask& queued : tasks_) {
        for (const Recipient& recipient : queued.task.recipients) {
            by_index[recipient.index] = waiting(queued, recipient);
        }
    }
    for (const boost::json::value& value : events_) {
        const JsonView event(value);
        const auto type = parse_event_type(event.text("type"));
        if (!type) continue;
        const std::string subject = event.text("subject");  // "id/index"
        boost::json::object& recipient = by_index[std::strtoull(subject.c_str() + subject.rfind('/') + 1, nullptr, 10)];
        const bool is_settled = recipient.contains("next_attempt_at") || recipient.contains("ended_at");
        if (is_settled && !is_terminal(*type)) continue;
        recipient.erase("next_attempt_at");
        tell_end(event, *type, recipient);
    }
    boost::json::array out;
    for (auto& [index, recipient] : by_index) {
        recipient["index"] = index;
        out.push_back(std::move(recipient));
    }
    return out;
}

std::string History::tell() const {
    boost::json::array events(events_.begin(), events_.end());
    return boost::json::serialize(boost::json::object{{"message", facts()},
                                                      {"recipients", recipients()},
                                                      {"events", std::move(events)},
                                                      {"files", files_},
                                                      {"notes", notes_}});
}

std::string History::why_nothing() const {
    std::string text = "nothing is known of message " + id_.to_string() + ": it does not wait";
    if (has_reports_) text += ", and no report that is kept tells of it";
    for (const boost::json::value& note : notes_) text += "; " + std::string(note.as_string());
    return text;
}

// --- several of them ------------------------------------------------------------------------------------

// What is over counts before what waits, and that before what somebody does not know.
int rank_of(const boost::json::object& recipient) {
    if (recipient.contains("ended_at")) return 2;
    return recipient.contains("next_attempt_at") ? 1 : 0;
}

struct Merged {
    boost::json::object message;
    std::map<std::uint64_t, boost::json::object> recipients;  // by index
    std::vector<boost::json::value> events;
    std::set<std::string> known;  // their ids
    boost::json::array processes, files, notes;

    void add(const std::string& by, const JsonView& part) {
        const boost::json::object& facts = part.object("message").value().as_object();
        for (const auto& [name, fact] : facts) message.insert_or_assign(name, fact);
        for (const boost::json::value& value : part.array("recipients")) {
            if (!value.is_object()) continue;
            boost::json::object& recipient = recipients[JsonView(value).count("index")];
            if (recipient.empty() || rank_of(value.as_object()) > rank_of(recipient)) recipient = value.as_object();
        }
        for (const boost::json::value& event : part.array("events")) {
            if (known.insert(JsonView(event).text("id")).second) events.push_back(event);
        }
        const auto add_texts = [&](const char* name, boost::json::array& to) {
            for (const boost::json::value& text : part.array(name)) {
                if (text.is_string()) to.emplace_back(by + ": " + std::string(text.as_string()));
            }
        };
        processes.emplace_back(by);
        add_texts("files", files);
        add_texts("notes", notes);
    }
};

}  // namespace

Result<std::string> merge_histories(const std::vector<HistoryPart>& parts) {
    Merged all;
    for (const HistoryPart& part : parts) {
        const auto json = parse_answer(part.json);
        if (!json || !json->is_object()) {
            return Error{ErrorKind::InvalidArgument,
                         part.by + " has answered what cannot be read; it may be of another version"};
        }
        all.add(part.by, JsonView(*json));
    }
    sort_by_time(all.events);
    boost::json::array recipients;
    for (auto& [index, recipient] : all.recipients) recipients.push_back(std::move(recipient));
    return boost::json::serialize(
        boost::json::object{{"message", std::move(all.message)},
                            {"recipients", std::move(recipients)},
                            {"events", boost::json::array(all.events.begin(), all.events.end())},
                            {"processes", std::move(all.processes)},
                            {"files", std::move(all.files)},
                            {"notes", std::move(all.notes)}});
}

Result<std::string> tell_history(const MessageId& message, const HistorySources& from) {
    History history(message, from);
    if (Status gathered = history.gather(); !gathered) return gathered.error();
    if (history.is_empty()) return Error{ErrorKind::NotFound, history.why_nothing()};
    return history.tell();
}

}  // namespace postfleet::control
