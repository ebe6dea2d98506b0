#include "selectors.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "postfleet/base/text.hpp"

namespace postfleet::control {
namespace {

Error invalid(std::string text) { return Error{ErrorKind::InvalidArgument, std::move(text)}; }

}  // namespace

Status check_arguments(const runtime::ControlRequest& request, ArgumentNames known) {
    for (const auto& [name, value] : request.arguments) {
        if (std::find(known.begin(), known.end(), name) == known.end()) {
            return invalid("the command '" + request.command + "' does not take '" + printable(name, 64) + "'");
        }
    }
    return {};
}

Result<std::size_t> limit_of(const runtime::ControlRequest& request, std::size_t otherwise) {
    const std::string text = request.argument("limit");
    if (text.empty()) return otherwise;
    std::size_t limit = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
    if (error != std::errc() || end != text.data() + text.size() || limit == 0 || limit > ControlCommands::kMaxListed) {
        return invalid("limit must be 1 to " + std::to_string(ControlCommands::kMaxListed) + ", not '" +
                       printable(text, 64) + "'");
    }
    return limit;
}

Result<MailSelector> selector_of(const runtime::ControlRequest& request) {
    MailSelector which;
    which.queue = request.argument("queue");
    which.virtual_mta = request.argument("virtual_mta");
    which.pool = request.argument("pool");
    which.site = request.argument("site");
    which.domain = to_ascii_lower(request.argument("domain"));
    which.tenant = request.argument("tenant");
    which.job = request.argument("job");
    which.reverse_path = to_ascii_lower(request.argument("mail_from"));
    which.recipient = to_ascii_lower(request.argument("recipient"));
    which.everything = request.argument("everything") == "yes";
    if (!which.queue.empty() && which.queue.find('/') == std::string::npos) {
        return invalid("a queue is SITE/VMTA, as `postfleet show queues` names it, and each side may be *; '" +
                       printable(which.queue, 64) + "' has no slash");
    }
    if (const std::string id = request.argument("message"); !id.empty()) {
        const Result<MessageId> parsed = MessageId::parse(id);
        if (!parsed) return invalid("'" + printable(id, 64) + "' is not a message id; `postfleet list` shows them");
        which.message = *parsed;
    }
    if (const std::string age = request.argument("older_than"); !age.empty()) {
        const Result<Duration> parsed = parse_duration(age);
        if (!parsed) return invalid("the age '" + printable(age, 64) + "' is no time; write for example 90m or 2d");
        which.accepted_before = wall_clock_now() - std::chrono::floor<WallTime::duration>(*parsed);
    }
    if (which == MailSelector{}) {
        return invalid("say which mail: a queue, a selection such as --job or --recipient, or --all");
    }
    return which;
}

}  // namespace postfleet::control
