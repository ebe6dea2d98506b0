#include "selection.hpp"

#include <algorithm>

#include "postfleet/base/text.hpp"

namespace postfleet::sender {

namespace {

Error invalid(std::string text) { return {ErrorKind::InvalidArgument, std::move(text)}; }

// "*" gives way to a name; two names must agree.
bool narrow(std::string& side, const std::string& name) {
    if (name.empty() || name == "*") return true;
    if (side != "*" && side != name) return false;
    side = name;
    return true;
}

}  // namespace

Result<Selection> Selection::parse(const MailSelector& which) {
    Selection selection;
    selection.which_ = which;
    selection.names_mail_ = !which.domain.empty() || !which.tenant.empty() || !which.job.empty() ||
                            !which.recipient.empty() || !which.reverse_path.empty() || which.message.has_value();
    const bool names_queue = !which.queue.empty() || !which.virtual_mta.empty() || !which.site.empty();
    if (!names_queue && !selection.names_mail_ && !which.everything) {
        return invalid("nothing is selected: name a queue, a virtual MTA, a message …, or everything");
    }
    if (!which.queue.empty()) {
        const std::size_t slash = which.queue.rfind('/');
        if (slash == std::string::npos) return invalid("'" + which.queue + "' is not a queue: write SITE/VMTA");
        if (!narrow(selection.site_, which.queue.substr(0, slash)) ||
            !narrow(selection.virtual_mta_, which.queue.substr(slash + 1))) {
            return invalid("'" + which.queue + "' is not a queue: write SITE/VMTA");
        }
    }
    if (!narrow(selection.site_, which.site) || !narrow(selection.virtual_mta_, which.virtual_mta)) {
        return invalid("the selection contradicts itself");
    }
    return selection;
}

bool Selection::covers(const Queue& queue) const {
    return (site_ == "*" || site_ == queue.site) && (virtual_mta_ == "*" || virtual_mta_ == queue.virtual_mta->name);
}

bool Selection::covers(const Task& task) const {
    if (which_.recipient.empty()) return true;
    return std::any_of(task.recipients.begin(), task.recipients.end(),
                       [&](const Recipient& r) { return ascii_iequals(r.address, which_.recipient); });
}

Queue::TaskTest Selection::task_test(Engine& engine) const {
    return [which = which_, &engine](const schedule::WaitingTask& task, std::string_view tenant, std::string_view job) {
        if (which.message && *which.message != task.key.message) return false;
        if (!which.tenant.empty() && which.tenant != tenant) return false;
        if (!which.job.empty() && which.job != job) return false;
        return which.domain.empty() || engine.sites.name_of(task.domain) == which.domain;
    };
}

}  // namespace postfleet::sender
