#include "postfleet/ingest/task_list.hpp"

#include <algorithm>
#include <utility>

#include "postfleet/base/text.hpp"

namespace postfleet::ingest {
namespace {

constexpr std::size_t kSearchedInOrder = 16;

bool needs_utf8(const Task& task) { return !is_ascii(task.recipients.front().address); }

std::string key_of(const std::string& domain, bool utf8) { return utf8 ? domain + " utf-8" : domain; }

}  // namespace

void TaskList::add(smtp::RcptRequest&& request) {
    Recipient recipient;
    recipient.index = recipients_++;
    recipient.address = request.mailbox.to_string();
    recipient.notify = request.notify;
    recipient.original = std::move(request.original);
    recipient.variables = std::move(request.variables);
    task_of(request.mailbox).recipients.push_back(std::move(recipient));
}

Task& TaskList::task_of(const Mailbox& mailbox) {
    const bool utf8 = !is_ascii(mailbox.local_part);
    if (apart_) return add_task(mailbox);
    if (tasks_.size() <= kSearchedInOrder) {
        const auto found = std::find_if(tasks_.begin(), tasks_.end(), [&mailbox, utf8](const Task& task) {
            return task.domain == mailbox.domain && needs_utf8(task) == utf8;
        });
        if (found != tasks_.end()) return *found;
    } else {
        for (std::size_t i = by_domain_.size(); i < tasks_.size(); ++i) {
            by_domain_.emplace(key_of(tasks_[i].domain, needs_utf8(tasks_[i])), i);
        }
        const auto found = by_domain_.find(key_of(mailbox.domain, utf8));
        if (found != by_domain_.end()) return tasks_[found->second];
    }
    return add_task(mailbox);
}

Task& TaskList::add_task(const Mailbox& mailbox) {
    Task& task = tasks_.emplace_back();
    task.key.number = static_cast<std::uint32_t>(tasks_.size() - 1);
    task.domain = mailbox.domain;
    return task;
}

std::string_view TaskList::only_recipient() const {
    return recipients_ == 1 ? std::string_view(tasks_.front().recipients.front().address) : std::string_view();
}

}  // namespace postfleet::ingest
