#include "postfleet/ingest/task_list.hpp"

#include <algorithm>
#include <utility>

namespace postfleet::ingest {
namespace {

constexpr std::size_t kSearchedInOrder = 16;

}  // namespace

void TaskList::add(Mailbox&& mailbox) {
    Recipient recipient;
    recipient.index = recipients_++;
    recipient.address = mailbox.to_string();
    task_of(std::move(mailbox.domain)).recipients.push_back(std::move(recipient));
}

Task& TaskList::task_of(std::string&& domain) {
    if (tasks_.size() <= kSearchedInOrder) {
        const auto found =
            std::find_if(tasks_.begin(), tasks_.end(), [&domain](const Task& task) { return task.domain == domain; });
        if (found != tasks_.end()) return *found;
    } else {
        for (std::size_t i = by_domain_.size(); i < tasks_.size(); ++i) by_domain_.emplace(tasks_[i].domain, i);
        const auto found = by_domain_.find(domain);
        if (found != by_domain_.end()) return tasks_[found->second];
    }
    Task& task = tasks_.emplace_back();
    task.key.number = static_cast<std::uint32_t>(tasks_.size() - 1);
    task.domain = std::move(domain);
    return task;
}

std::string_view TaskList::only_recipient() const {
    return recipients_ == 1 ? std::string_view(tasks_.front().recipients.front().address) : std::string_view();
}

}  // namespace postfleet::ingest
