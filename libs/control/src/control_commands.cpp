#include "postfleet/control/control_commands.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "postfleet/control/explain_domain.hpp"
#include "postfleet/control/message_history.hpp"
#include "order_commands.hpp"
#include "postfleet/base/json.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/shaping/settings.hpp"
#include "postfleet/control/render.hpp"
#include "selectors.hpp"

namespace postfleet::control {
namespace {

using runtime::ControlRequest;
using Names = ArgumentNames;

constexpr Names kNone;
constexpr auto kQueueArguments = std::to_array<std::string_view>({"match", "sort", "limit", "only"});
constexpr auto kIntakeArguments = std::to_array<std::string_view>({"limit"});
constexpr auto kSettingsArguments = std::to_array<std::string_view>({"queue"});
constexpr auto kResolveArguments = std::to_array<std::string_view>({"domain", "virtual_mta"});
constexpr auto kListArguments =
    std::to_array<std::string_view>({"queue", "virtual_mta", "pool", "site", "domain", "tenant", "job", "mail_from",
                                     "recipient", "message", "older_than", "everything", "limit"});
constexpr auto kHistoryArguments = std::to_array<std::string_view>({"message"});
constexpr auto kTraceArguments = std::to_array<std::string_view>({"queue", "sessions", "content"});
constexpr auto kTraceReadArguments = std::to_array<std::string_view>({"trace"});
constexpr auto kModeArguments =
    std::to_array<std::string_view>({"queue", "virtual_mta", "site", "everything", "why", "mode"});
constexpr auto kEnableArguments = std::to_array<std::string_view>({"source", "virtual_mta", "site"});
constexpr auto kDisableArguments = std::to_array<std::string_view>({"source", "virtual_mta", "site", "for", "why"});

Error invalid(std::string text) { return Error{ErrorKind::InvalidArgument, std::move(text)}; }

constexpr std::uint64_t kMostTraced = 1'000;  // sessions

std::optional<std::uint64_t> number_of(const std::string& text) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

bool is_shown(const QueueStatus& queue, std::string_view match, std::string_view only) {
    if (!match.empty()) {
        const std::size_t slash = match.find('/');
        if (!matches_wildcard(match.substr(0, slash), queue.site)) return false;
        if (slash != std::string_view::npos && !matches_wildcard(match.substr(slash + 1), queue.virtual_mta)) {
            return false;
        }
    }
    if (only == "paused") return queue.paused;
    if (only == "backoff") return queue.backoff_since.has_value();
    if (only == "connected") return queue.connections > 0;
    if (only == "errors") return !queue.last_reply.empty();
    if (only == "held") return !queue.hold_reason.empty();
    return true;
}

std::uint64_t queued_in(const QueueStatus& queue) { return queue.ready + queue.waiting + queue.held + queue.in_flight; }

Status sort_queues(std::vector<QueueStatus>& queues, const std::string& by) {
    const auto sort_by = [&](auto key) {
        std::sort(queues.begin(), queues.end(), [&](const QueueStatus& a, const QueueStatus& b) {
            if (key(a) != key(b)) return key(a) > key(b);
            return a.name < b.name;
        });
        return Status();
    };
    if (by == "queued") return sort_by(queued_in);
    if (by == "rate") return sort_by([](const QueueStatus& q) { return q.delivered_per_second; });
    if (by == "connections") return sort_by([](const QueueStatus& q) { return q.connections; });
    if (!by.empty() && by != "name") return invalid("sort must be name, queued, rate or connections");
    std::sort(queues.begin(), queues.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    return {};
}

std::string render_affected(const char* what, std::uint64_t count) {
    std::string text;
    JsonWriter(text).begin_object().member(what, count).end_object();
    return text;
}

}  // namespace

Result<std::string> ControlCommands::run(const ControlRequest& request) const {
    struct Command {
        std::string_view name;
        Names arguments;
        Result<std::string> (ControlCommands::*run)(const ControlRequest&) const;
    };
    static constexpr auto kCommands = std::to_array<Command>({
        {"status", kNone, &ControlCommands::status},
        {"queues", kQueueArguments, &ControlCommands::queues},
        {"vmtas", kNone, &ControlCommands::virtual_mtas},
        {"limits", kNone, &ControlCommands::limits},
        {"settings", kSettingsArguments, &ControlCommands::settings},
        {"providers", kNone, &ControlCommands::providers},
        {"resolve", kResolveArguments, &ControlCommands::resolve},
        {"list", kListArguments, &ControlCommands::list},
        {"history", kHistoryArguments, &ControlCommands::history},
        {"trace", kTraceArguments, &ControlCommands::trace},
        {"trace-read", kTraceReadArguments, &ControlCommands::trace_read},
        {"set-mode", kModeArguments, &ControlCommands::set_mode},
        {"disable-source", kDisableArguments, &ControlCommands::disable_source},
        {"enable-source", kEnableArguments, &ControlCommands::enable_source},
        {"reload", kNone, &ControlCommands::reload},
        {"intake", kIntakeArguments, &ControlCommands::intake},
    });
    const auto command = std::find_if(kCommands.begin(), kCommands.end(),
                                      [&](const Command& known) { return known.name == request.command; });
    if (command == kCommands.end()) {
        if (auto answer = run_order_command(request, ports_.executor, ports_.sender)) return *std::move(answer);
        return invalid("the running process does not know the command '" + printable(request.command, 64) +
                       "'; it may be of another version, or the command a router's");
    }
    if (Status known = check_arguments(request, command->arguments); !known) return known.error();
    return (this->*command->run)(request);
}

Result<std::string> ControlCommands::status(const ControlRequest&) const {
    const Result<SenderStatus> sender =
        await_sender<SenderStatus>(ports_.executor, [&](auto done) { ports_.sender.status(std::move(done)); });
    if (!sender) return sender.error();
    return ports_.render_status(*sender);
}

Result<std::string> ControlCommands::queues(const ControlRequest& request) const {
    const std::string only = request.argument("only");
    constexpr std::array<std::string_view, 6> kOnly{"", "paused", "backoff", "connected", "errors", "held"};
    if (std::find(kOnly.begin(), kOnly.end(), only) == kOnly.end()) {
        return invalid("only must be paused, backoff, connected, errors or held");
    }
    const Result<std::size_t> limit = limit_of(request, kMaxListed);
    if (!limit) return limit.error();
    Result<std::vector<QueueStatus>> all = await_sender<std::vector<QueueStatus>>(
        ports_.executor, [&](auto done) { ports_.sender.list_queues(std::move(done)); });
    if (!all) return all.error();
    const std::string match = request.argument("match");
    std::erase_if(*all, [&](const QueueStatus& queue) { return !is_shown(queue, match, only); });
    if (Status sorted = sort_queues(*all, request.argument("sort")); !sorted) return sorted.error();
    const std::size_t total = all->size();
    if (all->size() > *limit) all->resize(*limit);
    return render_queues(*all, total);
}

Result<std::string> ControlCommands::virtual_mtas(const ControlRequest&) const {
    Result<std::vector<VirtualMtaStatus>> all = await_sender<std::vector<VirtualMtaStatus>>(
        ports_.executor, [&](auto done) { ports_.sender.list_virtual_mtas(std::move(done)); });
    if (!all) return all.error();
    const auto config = ports_.configuration();
    std::erase_if(*all, [&](const VirtualMtaStatus& vmta) {
        const auto known = config->virtual_mtas.find(vmta.name);
        const bool is_ours = ports_.own_sender.empty() || vmta.queued > 0 || known == config->virtual_mtas.end();
        return !is_ours && known->second.sender != ports_.own_sender;
    });
    std::sort(all->begin(), all->end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    return render_virtual_mtas(*all);
}

Result<std::string> ControlCommands::limits(const ControlRequest&) const {
    const Result<std::vector<LimitStatus>> all = await_sender<std::vector<LimitStatus>>(
        ports_.executor, [&](auto done) { ports_.sender.list_limits(std::move(done)); });
    if (!all) return all.error();
    return render_limits(*all, *ports_.configuration());
}

Result<std::string> ControlCommands::settings(const ControlRequest& request) const {
    const std::string queue = request.argument("queue");
    const auto keys = explain_queue(*ports_.configuration(), queue);
    if (!keys) return keys.error();
    return render_settings(queue, *keys);
}

Result<std::string> ControlCommands::providers(const ControlRequest&) const {
    return render_providers(*ports_.configuration());
}

Result<std::string> ControlCommands::resolve(const ControlRequest& request) const {
    const DomainQuestion question{request.argument("domain"), request.argument("virtual_mta")};
    return explain_domain(question, *ports_.configuration(), {ports_.resolver, ports_.executor, ports_.http});
}

Result<std::string> ControlCommands::list(const ControlRequest& request) const {
    const Result<MailSelector> which = selector_of(request);
    if (!which) return which.error();
    const Result<std::size_t> limit = limit_of(request, 100);
    if (!limit) return limit.error();
    using Tasks = std::vector<QueuedTask>;
    // One more than asked for, to know whether there is more.
    Result<Tasks> tasks = flatten(await_sender<Result<Tasks>>(
        ports_.executor, [&](auto done) { ports_.sender.list_tasks(*which, *limit + 1, std::move(done)); }));
    if (!tasks) return tasks.error();
    const bool more = tasks->size() > *limit;
    if (more) tasks->resize(*limit);
    return render_tasks(*tasks, more);
}

Result<std::string> ControlCommands::history(const ControlRequest& request) const {
    const Result<MailSelector> which = selector_of(request);
    if (!which) return which.error();
    const auto waiting = [&](const MailSelector& of) {
        using Tasks = std::vector<QueuedTask>;
        return flatten(await_sender<Result<Tasks>>(
            ports_.executor, [&](auto done) { ports_.sender.list_tasks(of, kMaxListed, std::move(done)); }));
    };
    return tell_history(*which->message, {.waiting = waiting,
                                          .outbox = &ports_.outbox,
                                          .has_reports = ports_.own_sender.empty(),  // in a cluster feedback has them
                                          .config = ports_.configuration(),
                                          .own_sender = ports_.own_sender});
}

Result<std::string> ControlCommands::trace(const ControlRequest& request) const {
    TraceRequest wanted{.queue = request.argument("queue"), .with_content = request.argument("content") == "yes"};
    if (const auto sessions = number_of(request.argument("sessions"))) {
        wanted.sessions = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(*sessions, 1, kMostTraced));
    }
    const Result<std::uint64_t> begun = flatten(await_sender<Result<std::uint64_t>>(
        ports_.executor, [&](auto done) { ports_.sender.begin_trace(wanted, std::move(done)); }));
    if (!begun) return begun.error();
    std::string text;
    JsonWriter(text).begin_object().member("trace", *begun).end_object();
    return text;
}

Result<std::string> ControlCommands::trace_read(const ControlRequest& request) const {
    const auto trace = number_of(request.argument("trace"));
    if (!trace) return invalid("a trace is named by its number");
    const Result<TracePart> part = flatten(await_sender<Result<TracePart>>(
        ports_.executor, [&](auto done) { ports_.sender.read_trace(*trace, std::move(done)); }));
    if (!part) return part.error();
    return render_trace(*part, part->sessions > 1);
}

Result<std::string> ControlCommands::set_mode(const ControlRequest& request) const {
    const Result<MailSelector> which = selector_of(request);
    if (!which) return which.error();
    const std::string mode = request.argument("mode");
    if (mode != "backoff" && mode != "normal") return invalid("the mode must be backoff or normal");
    using Mode = SenderControl::QueueModeOrder;
    const Result<std::uint64_t> touched = flatten(await_sender<Result<std::uint64_t>>(ports_.executor, [&](auto done) {
        ports_.sender.set_mode(*which, mode == "backoff" ? Mode::Backoff : Mode::Normal, request.who,
                               request.argument("why"), std::move(done));
    }));
    if (!touched) return touched.error();
    return render_affected("queues", *touched);
}

Result<std::string> ControlCommands::disable_source(const ControlRequest& request) const {
    std::optional<Duration> duration;
    if (const std::string text = request.argument("for"); !text.empty()) {
        const auto parsed = parse_duration(text);
        if (!parsed || *parsed <= Duration::zero()) {
            return invalid("'" + printable(text, 64) +
                           "' is not a duration; write numbers with s, m, h or d, such as 2h");
        }
        duration = *parsed;
    }
    const SourceSelector which{request.argument("source"), request.argument("virtual_mta"), request.argument("site")};
    const Result<std::uint64_t> touched = flatten(await_sender<Result<std::uint64_t>>(ports_.executor, [&](auto done) {
        ports_.sender.disable_source(which, duration, request.who, request.argument("why"), std::move(done));
    }));
    if (!touched) return touched.error();
    return render_affected("virtual_mtas", *touched);
}

Result<std::string> ControlCommands::enable_source(const ControlRequest& request) const {
    const SourceSelector which{request.argument("source"), request.argument("virtual_mta"), request.argument("site")};
    const Result<std::uint64_t> touched = flatten(await_sender<Result<std::uint64_t>>(
        ports_.executor, [&](auto done) { ports_.sender.enable_source(which, std::move(done)); }));
    if (!touched) return touched.error();
    return render_affected("virtual_mtas", *touched);
}

Result<std::string> ControlCommands::reload(const ControlRequest&) const { return ports_.reload(); }

Result<std::string> ControlCommands::intake(const ControlRequest& request) const {
    if (!ports_.render_intake) return invalid("this process takes no mail in");
    const Result<std::size_t> limit = limit_of(request, 100);
    if (!limit) return limit.error();
    return ports_.render_intake(*limit);
}

}  // namespace postfleet::control
