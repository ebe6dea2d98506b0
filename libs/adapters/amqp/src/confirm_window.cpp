#include "confirm_window.hpp"

#include <algorithm>

namespace postfleet::amqp {

void ConfirmWindow::sent(Unconfirmed message, SteadyTime deadline) {
    entries_.push_back({std::move(message), deadline, {}});
    ++open_;
}

bool ConfirmWindow::confirm(std::uint64_t number, bool multiple, Confirm how, SteadyTime now, Finished& out) {
    // AMQP 0-9-1: with `multiple`, 0 stands for everything so far.
    const std::uint64_t last = multiple && number == 0 ? first_ + entries_.size() - 1 : number;
    if (last < first_) return multiple;  // all of it was confirmed before
    if (last - first_ >= entries_.size()) return false;
    const std::size_t end = last - first_ + 1;
    for (std::size_t i = multiple ? 0 : end - 1; i < end; ++i) finish(entries_[i], how, now, out);
    drop_confirmed();
    return true;
}

void ConfirmWindow::finish(Entry& entry, Confirm how, SteadyTime now, Finished& out) {
    if (std::exchange(entry.is_confirmed, true)) return;
    if (how == Confirm::Nack) refused_.try_emplace(entry.message.to.routing_key, now);
    else if (!refused_.empty()) refused_.erase(entry.message.to.routing_key);
    if (!std::exchange(entry.is_open, false)) return;
    --open_;
    Status status;
    if (!entry.came_back.empty()) {
        status = Error{ErrorKind::NotFound, std::move(entry.came_back)};
    } else if (how == Confirm::Nack) {
        status = Error{ErrorKind::Unavailable,
                       "the broker refused it: its queue " + entry.message.to.routing_key + " is full, or has failed"};
    }
    out.emplace_back(std::move(entry.message.done), std::move(status));
}

void ConfirmWindow::drop_confirmed() {
    while (!entries_.empty() && entries_.front().is_confirmed) {
        entries_.pop_front();
        ++first_;
    }
}

bool ConfirmWindow::came_back(std::string_view message_id, std::string_view exchange, std::string_view routing_key,
                              std::string_view why) {
    const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
        return !entry.is_confirmed && entry.came_back.empty() && entry.message.message_id == message_id &&
               entry.message.to.exchange == exchange && entry.message.to.routing_key == routing_key;
    });
    if (found == entries_.end()) return false;
    found->came_back = "it came back from exchange '" + std::string(exchange) + "', key '" + std::string(routing_key) +
                       "': " + std::string(why);
    return true;
}

std::size_t ConfirmWindow::expire(SteadyTime now, Finished& out) {
    std::size_t count = 0;
    for (Entry& entry : entries_) {
        if (entry.deadline > now) break;
        if (!std::exchange(entry.is_open, false)) continue;
        --open_;
        ++count;
        out.emplace_back(std::move(entry.message.done),
                         Error{ErrorKind::DeadlineExceeded, "the broker has not confirmed it in time"});
    }
    return count;
}

void ConfirmWindow::fail_all(const std::string& why, std::uint64_t too_large, Finished& out) {
    for (Entry& entry : entries_) {
        if (!entry.is_open) continue;
        const bool is_too_large = entry.message.octets > too_large;
        out.emplace_back(std::move(entry.message.done),
                         is_too_large ? Error{ErrorKind::InvalidArgument, "the broker takes no message of this size"}
                                      : Error{ErrorKind::DeadlineExceeded, "not confirmed: " + why});
    }
    entries_.clear();
    refused_.clear();
    first_ = 1;
    open_ = 0;
}

SteadyTime ConfirmWindow::refused_since() const {
    SteadyTime since = SteadyTime::max();
    for (const auto& [key, first] : refused_) since = std::min(since, first);
    return since;
}

SteadyTime ConfirmWindow::next_deadline() const {
    for (const Entry& entry : entries_) {
        if (entry.is_open) return entry.deadline;
    }
    return SteadyTime::max();
}

}  // namespace postfleet::amqp
