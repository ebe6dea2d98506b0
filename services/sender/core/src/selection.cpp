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

// An empty pattern was not given.
bool fits(const std::string& pattern, std::string_view text) {
    return pattern.empty() || pattern == text || matches_wildcard(pattern, text);
}

}  // namespace

bool is_pattern(std::string_view text) { return text.find('*') != std::string_view::npos; }

Result<Selection> Selection::parse(const MailSelector& which) {
    Selection selection;
    selection.which_ = which;
    MailSelector& own = selection.which_;
    for (std::string* text : {&own.domain, &own.recipient, &own.reverse_path}) *text = to_ascii_lower(*text);
    selection.names_waiting_ = !own.domain.empty() || !own.tenant.empty() || !own.job.empty() ||
                               own.message.has_value() || own.accepted_before.has_value();
    const bool names_queue = !which.queue.empty() || !which.virtual_mta.empty() || !which.site.empty();
    if (!names_queue && !selection.names_waiting_ && !selection.needs_reading() && !which.everything) {
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
        return invalid("the selection contradicts itself: the queue and the site or virtual MTA beside it differ");
    }
    return selection;
}

bool Selection::covers_queue(std::string_view site, std::string_view virtual_mta) const {
    return fits(site_, site) && fits(virtual_mta_, virtual_mta);
}

bool Selection::covers_waiting(const MailFacts& mail, const SiteTable& sites) const {
    if (!covers_queue(mail.site, mail.virtual_mta)) return false;
    if (which_.message && *which_.message != mail.message) return false;
    if (which_.accepted_before && mail.message.made_at() > *which_.accepted_before) return false;
    if (!fits(which_.tenant, mail.tenant) || !fits(which_.job, mail.job)) return false;
    return which_.domain.empty() || fits(which_.domain, mail.domain_name(sites));
}

bool Selection::covers_stored(const Task& task, const Message& message) const {
    return fits(which_.pool, task.pool) &&
           (which_.reverse_path.empty() || fits(which_.reverse_path, to_ascii_lower(message.reverse_path)));
}

bool Selection::covers_recipient(const Recipient& recipient) const {
    return which_.recipient.empty() || fits(which_.recipient, to_ascii_lower(recipient.address));
}

bool Selection::covers(const Task& task, const Message& message) const {
    return covers_stored(task, message) && std::any_of(task.recipients.begin(), task.recipients.end(),
                                                       [&](const Recipient& r) { return covers_recipient(r); });
}

}  // namespace postfleet::sender
