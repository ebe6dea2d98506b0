#include "postfleet/support/fake_spool.hpp"

#include <algorithm>
#include <utility>

namespace postfleet::support {

namespace {

template <class T>
void complete(Completion<T>&& done, T value) {
    if (done.on == nullptr) return;
    done.on->post([run = std::move(done.run), value = std::move(value)]() mutable { run(std::move(value)); });
}

}  // namespace

void FakeSpool::take(UniqueFunction<Status()> apply, Completion<Status> done, SpoolBatch::Urgency urgency) {
    statistics_.commits++;
    if (state_.condition == SpoolCondition::Latched) {
        return complete(std::move(done), Status(Error{ErrorKind::Unavailable, "spool latched: " + state_.reason}));
    }
    if (state_.condition == SpoolCondition::SpaceLow && urgency == SpoolBatch::Urgency::Acceptance) {
        return complete(std::move(done), Status(Error{ErrorKind::ResourceExhausted, "spool: " + state_.reason}));
    }
    if (failures_left_ > 0) {
        failures_left_--;
        return complete(std::move(done), Status(failure_));
    }
    if (holding_) {
        held_.push_back({std::move(apply), std::move(done)});
        return;
    }
    auto status = apply();
    statistics_.synced_writes++;
    complete(std::move(done), std::move(status));
}

void FakeSpool::commit(SpoolBatch batch, Completion<Status> done) {
    std::lock_guard lock(mutex_);
    auto urgency = batch.urgency;
    take([this, batch = std::move(batch)]() mutable { return apply(batch); }, std::move(done), urgency);
}

Status FakeSpool::apply(SpoolBatch& batch) {
    if (batch.taken_as && taken_.contains(*batch.taken_as)) {
        drop_repeated(batch);
        return Error{ErrorKind::AlreadyExists, "this was taken before"};
    }
    for (auto& put : batch.put_messages) {
        if (!batch.taken_as || !messages_.contains(put.message->id)) continue;
        return Error{ErrorKind::InvalidArgument, "its message is here from another hand-over, and not finished"};
    }
    if (batch.taken_as) taken_.insert(*batch.taken_as);
    for (auto& put : batch.put_messages) {
        auto& id = put.message->id;
        if (put.message->content_chunks > 0) {
            content_[{id, put.message->content_chunks - 1}] = std::move(put.last_chunk);
        }
        messages_[id] = std::move(put.message);
    }
    for (auto& task : batch.put_tasks) tasks_.insert_or_assign(task.key, std::move(task));
    for (auto& key : batch.remove_tasks) tasks_.erase(key);
    for (auto& removed : batch.remove_messages) {
        messages_.erase(removed.id);
        for (std::uint32_t chunk = 0; chunk < removed.content_chunks; chunk++) content_.erase({removed.id, chunk});
    }
    for (auto& event : batch.events) {
        events_[++last_number_] = history_.emplace_back(std::make_shared<const Event>(std::move(event)));
    }
    if (!batch.events.empty()) arrived_.notify_all();
    drop_passed_events();
    return {};
}

void FakeSpool::drop_repeated(const SpoolBatch& batch) {
    statistics_.repeated++;
    for (auto& put : batch.put_messages) {
        if (messages_.contains(put.message->id)) continue;
        std::erase_if(content_, [&](auto& chunk) { return chunk.first.first == put.message->id; });
    }
}

void FakeSpool::append_content(MessageId id, std::uint32_t chunk, SharedOctets octets, Completion<Status> done) {
    std::lock_guard lock(mutex_);
    take(
        [this, id, chunk, octets = std::move(octets)] {
            content_[{id, chunk}] = octets;
            return Status();
        },
        std::move(done), SpoolBatch::Urgency::Acceptance);
}

void FakeSpool::discard_content(MessageId id, std::uint32_t chunks) {
    std::lock_guard lock(mutex_);
    take(
        [this, id, chunks] {
            if (messages_.contains(id)) return Status();
            for (std::uint32_t chunk = 0; chunk < chunks; chunk++) content_.erase({id, chunk});
            return Status();
        },
        {}, SpoolBatch::Urgency::Outcome);
}

Result<SharedOctets> FakeSpool::chunk_of(const MessageId& id, std::uint32_t chunk) const {
    if (corrupt_.contains(id)) {
        return Error{ErrorKind::Corruption, "spool: content of " + id.to_string() + " does not check out"};
    }
    auto found = content_.find({id, chunk});
    if (found == content_.end()) {
        return Error{ErrorKind::NotFound, "spool: no content " + std::to_string(chunk) + " of " + id.to_string()};
    }
    return found->second;
}

void FakeSpool::load(TaskKey key, Completion<Result<Loaded>> done) {
    std::lock_guard lock(mutex_);
    auto load_now = [&]() -> Result<Loaded> {
        auto task = tasks_.find(key);
        if (task == tasks_.end()) {
            return Error{ErrorKind::NotFound,
                         "spool: no task " + std::to_string(key.number) + " of " + key.message.to_string()};
        }
        auto message = messages_.find(key.message);
        if (message == messages_.end()) {
            return Error{ErrorKind::Corruption, "spool: message " + key.message.to_string() + " is missing"};
        }
        Loaded loaded{task->second, message->second, std::make_shared<const std::string>()};
        if (message->second->content_chunks > 0) {
            auto first = chunk_of(key.message, 0);
            if (!first) return Error{ErrorKind::Corruption, first.error().text};
            loaded.first_chunk = *std::move(first);
        }
        return loaded;
    };
    complete(std::move(done), load_now());
}

void FakeSpool::load_facts(std::vector<TaskKey> keys, Completion<Result<std::vector<Loaded>>> done) {
    std::lock_guard lock(mutex_);
    std::vector<Loaded> found;
    for (auto& key : keys) {
        auto task = tasks_.find(key);
        auto message = messages_.find(key.message);
        if (task != tasks_.end() && message != messages_.end()) {
            found.push_back({task->second, message->second, nullptr});
        }
    }
    complete(std::move(done), Result<std::vector<Loaded>>(std::move(found)));
}

void FakeSpool::has_message(MessageId id, Completion<Result<bool>> done) {
    std::lock_guard lock(mutex_);
    complete(std::move(done), Result<bool>(messages_.contains(id)));
}

void FakeSpool::was_taken(MessageId taken_as, Completion<Result<bool>> done) {
    std::lock_guard lock(mutex_);
    complete(std::move(done), Result<bool>(taken_.contains(taken_as)));
}

void FakeSpool::read_chunk(MessageId id, std::uint32_t chunk, Completion<Result<SharedOctets>> done) {
    std::lock_guard lock(mutex_);
    complete(std::move(done), chunk_of(id, chunk));
}

void FakeSpool::load_tasks(std::vector<TaskKey> keys, Completion<Result<std::vector<Task>>> done) {
    std::lock_guard lock(mutex_);
    std::vector<Task> found;
    for (auto& key : keys) {
        if (auto task = tasks_.find(key); task != tasks_.end()) found.push_back(task->second);
    }
    complete(std::move(done), Result<std::vector<Task>>(std::move(found)));
}

Status FakeSpool::scan_tasks(UniqueFunction<void(Task&&)> visit) {
    std::vector<Task> all;
    {
        std::lock_guard lock(mutex_);
        drop_orphans();
        for (auto& [key, task] : tasks_) all.push_back(task);
    }
    for (auto& task : all) visit(std::move(task));
    return {};
}

void FakeSpool::put_note(std::string name, std::string value, Completion<Status> done) {
    std::lock_guard lock(mutex_);
    take(
        [this, name = std::move(name), value = std::move(value)] {
            notes_[name] = value;
            return Status();
        },
        std::move(done), SpoolBatch::Urgency::Outcome);
}

std::vector<std::pair<std::string, std::string>> FakeSpool::notes() {
    std::lock_guard lock(mutex_);
    return {notes_.begin(), notes_.end()};
}

SpoolState FakeSpool::state() const {
    std::lock_guard lock(mutex_);
    return state_;
}

void FakeSpool::on_state_change(Executor& on, UniqueFunction<void(SpoolState)> changed) {
    std::lock_guard lock(mutex_);
    watcher_ = &on;
    changed_ = std::make_shared<UniqueFunction<void(SpoolState)>>(std::move(changed));
}

void FakeSpool::change(SpoolCondition condition, std::string reason) {
    if (state_.condition == condition) return;
    state_ = {condition, std::move(reason)};
    if (condition == SpoolCondition::Latched) statistics_.latches++;
    if (watcher_ != nullptr) watcher_->post([changed = changed_, state = state_] { (*changed)(state); });
}

Spool::Statistics FakeSpool::statistics() const {
    std::lock_guard lock(mutex_);
    return statistics_;
}

Result<std::uint64_t> FakeSpool::open_cursor(const std::string& name) {
    std::lock_guard lock(mutex_);
    readers_known_ = true;
    auto oldest = events_.empty() ? last_number_ : events_.begin()->first - 1;
    return cursors_.try_emplace(name, oldest).first->second;
}

Status FakeSpool::keep_only_cursors(const std::vector<std::string>& names) {
    std::lock_guard lock(mutex_);
    readers_known_ = true;
    std::erase_if(cursors_, [&](auto& cursor) { return std::ranges::find(names, cursor.first) == names.end(); });
    drop_passed_events();
    return {};
}

Result<std::vector<LoggedEvent>> FakeSpool::read(std::uint64_t after, std::size_t max_events) {
    std::lock_guard lock(mutex_);
    std::vector<LoggedEvent> found;
    for (auto at = events_.upper_bound(after); at != events_.end() && found.size() < max_events; ++at) {
        found.push_back({at->first, at->second});
    }
    return found;
}

void FakeSpool::wait(std::uint64_t after, SteadyTime until) {
    std::unique_lock lock(mutex_);
    arrived_.wait_until(lock, until, [&] { return stopped_ || last_number_ > after; });
}

Status FakeSpool::advance(const std::string& cursor, std::uint64_t number) {
    std::lock_guard lock(mutex_);
    auto found = cursors_.find(cursor);
    if (found == cursors_.end()) return Error{ErrorKind::NotFound, "spool: no cursor " + cursor};
    found->second = std::max(found->second, number);
    drop_passed_events();
    return {};
}

void FakeSpool::drop_passed_events() {
    if (!readers_known_) return;
    auto passed = last_number_;
    for (auto& [name, number] : cursors_) passed = std::min(passed, number);
    events_.erase(events_.begin(), events_.upper_bound(passed));
}

std::uint64_t FakeSpool::octets_after(std::uint64_t number) const {
    std::lock_guard lock(mutex_);
    return 100 * static_cast<std::uint64_t>(std::distance(events_.upper_bound(number), events_.end()));
}

std::uint64_t FakeSpool::last_number() const {
    std::lock_guard lock(mutex_);
    return last_number_;
}

void FakeSpool::stop() {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    arrived_.notify_all();
}

void FakeSpool::fail_next_commits(unsigned count, Error error) {
    std::lock_guard lock(mutex_);
    failures_left_ = count;
    failure_ = std::move(error);
}

void FakeSpool::latch(std::string reason) {
    std::lock_guard lock(mutex_);
    change(SpoolCondition::Latched, std::move(reason));
    while (!held_.empty()) {
        complete(std::move(held_.front().done),
                 Status(Error{ErrorKind::Unavailable, "spool latched: " + state_.reason}));
        held_.pop_front();
    }
}

void FakeSpool::recover() {
    std::lock_guard lock(mutex_);
    change(SpoolCondition::Ready, "");
}

void FakeSpool::space_low(bool on) {
    std::lock_guard lock(mutex_);
    change(on ? SpoolCondition::SpaceLow : SpoolCondition::Ready, on ? "space is low" : "");
}

void FakeSpool::hold() {
    std::lock_guard lock(mutex_);
    holding_ = true;
}

void FakeSpool::release(std::size_t count) {
    std::lock_guard lock(mutex_);
    if (count == SIZE_MAX) holding_ = false;
    for (; count > 0 && !held_.empty(); count--) {
        auto status = held_.front().apply();
        statistics_.synced_writes++;
        complete(std::move(held_.front().done), std::move(status));
        held_.pop_front();
    }
}

void FakeSpool::lose_unconfirmed() {
    std::lock_guard lock(mutex_);
    held_.clear();
}

void FakeSpool::restart() {
    std::lock_guard lock(mutex_);
    held_.clear();
    holding_ = false;
    failures_left_ = 0;
    stopped_ = false;
    state_ = {};
    watcher_ = nullptr;
    changed_ = nullptr;
    drop_orphans();
}

void FakeSpool::drop_orphans() {
    std::erase_if(content_, [&](auto& chunk) { return !messages_.contains(chunk.first.first); });
}

void FakeSpool::corrupt_content(const MessageId& id) {
    std::lock_guard lock(mutex_);
    if (corrupt_.insert(id).second) statistics_.quarantined++;
}

void FakeSpool::forget_taken() {
    std::lock_guard lock(mutex_);
    taken_.clear();
}

std::size_t FakeSpool::held() const {
    std::lock_guard lock(mutex_);
    return held_.size();
}

std::vector<Task> FakeSpool::tasks() const {
    std::lock_guard lock(mutex_);
    std::vector<Task> all;
    for (auto& [key, task] : tasks_) all.push_back(task);
    return all;
}

std::vector<Event> FakeSpool::events() const {
    std::lock_guard lock(mutex_);
    std::vector<Event> all;
    for (auto& event : history_) all.push_back(*event);
    return all;
}

std::size_t FakeSpool::messages() const {
    std::lock_guard lock(mutex_);
    return messages_.size();
}

}  // namespace postfleet::support
