#include "merge_answers.hpp"

#include <boost/json.hpp>
#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <utility>

#include "postfleet/control/json_view.hpp"
#include "postfleet/control/message_history.hpp"

namespace postfleet::standalone {

using control::JsonView;
using control::parse_answer;

namespace {

using boost::json::array;
using boost::json::object;
using boost::json::value;

struct Parsed {
    std::string sender;
    value json;
};
using Answers = std::vector<Parsed>;

void add_rows(array& to, const array& rows, const std::string& sender) {
    for (const value& row : rows) {
        to.push_back(row);
        if (to.back().is_object()) to.back().as_object()["sender"] = sender;
    }
}

// --- numbers

void add_number(value& to, const value& more) {
    if (to.is_double() || more.is_double()) to = to.to_number<double>() + more.to_number<double>();
    else to = to.to_number<std::uint64_t>() + more.to_number<std::uint64_t>();
}

// Adds what is a number in both; other members stay as the first answer has them.
void add_numbers(object& to, const object& more) {
    for (const auto& [name, number] : more) {
        if (!number.is_number()) continue;
        value* const known = to.if_contains(name);
        if (known != nullptr && known->is_number()) add_number(*known, number);
        else to[name] = number;
    }
}

value merge_counts(const Answers& answers) {
    value all = answers.front().json;
    for (std::size_t i = 1; i < answers.size(); ++i) {
        for (const auto& [name, part] : answers[i].json.as_object()) {
            value& known = all.as_object()[name];
            if (known.is_object() && part.is_object()) add_numbers(known.as_object(), part.as_object());
            else if (known.is_number() && part.is_number()) add_number(known, part);
        }
    }
    return all;
}

// --- lists

value merge_arrays(const Answers& answers) {
    array all;
    for (const Parsed& answer : answers) {
        if (answer.json.is_array()) add_rows(all, answer.json.as_array(), answer.sender);
    }
    return all;
}

std::uint64_t queued_in(const value& queue) {
    const JsonView view(queue);
    return view.count("ready") + view.count("waiting") + view.count("held") + view.count("in_flight");
}

void sort_queues(array& queues, const std::string& by) {
    const auto key = [&](const value& queue) {
        if (by == "queued") return static_cast<double>(queued_in(queue));
        if (by == "rate") return JsonView(queue).number("delivered_per_second");
        if (by == "connections") return static_cast<double>(JsonView(queue).count("connections"));
        return 0.0;
    };
    std::stable_sort(queues.begin(), queues.end(), [&](const value& a, const value& b) {
        if (key(a) != key(b)) return key(a) > key(b);
        return JsonView(a).text("name") < JsonView(b).text("name");
    });
}

std::size_t limit_in(const runtime::ControlArguments& arguments, std::size_t otherwise) {
    const auto found = arguments.find("limit");
    return found == arguments.end() ? otherwise : std::strtoull(found->second.c_str(), nullptr, 10);
}

value merge_queues(const Answers& answers, const runtime::ControlArguments& arguments) {
    array queues;
    std::uint64_t total = 0;
    for (const Parsed& answer : answers) {
        const JsonView view(answer.json);
        total += view.count("total");
        add_rows(queues, view.array("queues"), answer.sender);
    }
    const auto sort = arguments.find("sort");
    sort_queues(queues, sort == arguments.end() ? "" : sort->second);
    const std::size_t limit = limit_in(arguments, queues.size());
    if (queues.size() > limit) queues.erase(queues.begin() + static_cast<std::ptrdiff_t>(limit), queues.end());
    return object{{"total", total}, {"queues", std::move(queues)}};
}

value merge_tasks(const Answers& answers, const runtime::ControlArguments& arguments) {
    array tasks;
    bool more = false;
    for (const Parsed& answer : answers) {
        const JsonView view(answer.json);
        more = more || view.flag("more");
        add_rows(tasks, view.array("tasks"), answer.sender);
    }
    const std::size_t limit = limit_in(arguments, 100);
    more = more || tasks.size() > limit;
    if (tasks.size() > limit) tasks.erase(tasks.begin() + static_cast<std::ptrdiff_t>(limit), tasks.end());
    return object{{"more", more}, {"tasks", std::move(tasks)}};
}

// --- the whole

// One page for all: what is true of any that is not well is said of all, by name.
value merge_status(const Answers& answers) {
    object all = answers.front().json.as_object();
    array not_ready;
    std::map<std::string, object> reports;
    object spool;
    for (std::size_t i = 0; i < answers.size(); ++i) {
        const JsonView view(answers[i].json);
        for (const value& reason : view.array("not_ready")) {
            if (reason.is_string()) not_ready.emplace_back(answers[i].sender + ": " + std::string(reason.as_string()));
        }
        for (const value& report : view.array("reports")) {
            object& known = reports.try_emplace(JsonView(report).text("name"), object()).first->second;
            if (known.empty()) known = report.as_object();
            else add_numbers(known, report.as_object());
        }
        const value& part = view.object("spool").value();
        const bool is_worse = JsonView(part).text("condition") != "ready" && !spool.contains("reason");
        if (spool.empty() || is_worse) {
            object worse = part.as_object();
            add_numbers(worse, spool);
            spool = std::move(worse);
        } else {
            add_numbers(spool, part.as_object());
        }
        if (i > 0) add_numbers(all["sender"].as_object(), view.object("sender").value().as_object());
    }
    array report_rows;
    for (auto& [name, report] : reports) report_rows.push_back(std::move(report));
    all["ready"] = not_ready.empty();
    all["not_ready"] = std::move(not_ready);
    all["spool"] = std::move(spool);
    all["reports"] = std::move(report_rows);
    all["process"].as_object()["hostname"] = std::to_string(answers.size()) + " senders";
    return all;
}

}  // namespace

bool is_of_router(const std::string& command) {
    static const std::set<std::string> all{"senders",      "takeover",         "release",
                                           "suppressions", "suppressions-add", "suppressions-remove"};
    return all.contains(command);
}

Recipients recipients_of(const std::string& command, const runtime::ControlArguments& arguments) {
    static const std::set<std::string> every{"status",  "queues", "vmtas",    "limits",         "list",
                                             "history", "retry",  "set-mode", "disable-source", "enable-source"};
    static const std::set<std::string> one{"trace", "trace-read"};
    static const std::set<std::string> none{"reload", "intake"};
    if (every.contains(command) || arguments.contains("dry_run")) return Recipients::EverySender;
    if (one.contains(command)) return Recipients::OneSender;
    return none.contains(command) || is_of_router(command) ? Recipients::NoSender : Recipients::AnySender;
}

Result<std::string> merge_answers(const std::string& command, const runtime::ControlArguments& arguments,
                                  const std::vector<SenderAnswer>& answers) {
    if (command == "history") {
        std::vector<control::HistoryPart> parts;
        for (const SenderAnswer& answer : answers) parts.push_back({answer.sender, answer.json});
        return control::merge_histories(parts);
    }
    Answers parsed;
    for (const SenderAnswer& answer : answers) {
        auto json = parse_answer(answer.json);
        const bool is_list = command == "vmtas" || command == "limits";
        if (!json || (is_list ? !json->is_array() : !json->is_object())) {
            return Error{ErrorKind::InvalidArgument,
                         answer.sender + " has answered what cannot be read; it may be of another version"};
        }
        parsed.push_back({answer.sender, *std::move(json)});
    }
    value all;
    if (command == "queues") all = merge_queues(parsed, arguments);
    else if (command == "vmtas" || command == "limits") all = merge_arrays(parsed);
    else if (command == "list") all = merge_tasks(parsed, arguments);
    else if (command == "status") all = merge_status(parsed);
    else all = merge_counts(parsed);
    return boost::json::serialize(all);
}

}  // namespace postfleet::standalone
