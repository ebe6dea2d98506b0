#include "line.hpp"

#include <pthread.h>

#include <algorithm>
#include <iterator>

#include "tables.hpp"

namespace postfleet::sql_state {

namespace {

constexpr std::size_t kMostInGroup = 64;
constexpr int kMostCollisions = 10;
constexpr Duration kForgetEvery = std::chrono::minutes(1);

Status unavailable(const std::string& why) { return Error{ErrorKind::Unavailable, "the state store is away: " + why}; }
Status lost_in_commit(const Error& error) {
    return Error{ErrorKind::DeadlineExceeded, "the connection was lost in a commit: " + error.text};
}

}  // namespace

SqlStateStore::Line::Line(StoreSettings settings) : settings_(std::move(settings)), pause_(settings_.first_pause) {
    if (!settings_.connection) obstacle_ = "not connected yet";
    thread_ = std::thread([this] {
        pthread_setname_np(pthread_self(), "state");
        work();
    });
}

SqlStateStore::Line::~Line() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    came_.notify_all();
    thread_.join();
}

void SqlStateStore::Line::submit(std::unique_ptr<Call> call) {
    call->submitted = steady_clock_now();
    {
        const std::lock_guard lock(mutex_);
        if (line_.size() < kMostWaiting) {
            line_.push_back(std::move(call));
            came_.notify_one();
            return;
        }
    }
    call->finish(Error{ErrorKind::ResourceExhausted, "too many changes of the state wait; try again"});
}

std::string SqlStateStore::Line::obstacle() const {
    const std::lock_guard lock(mutex_);
    return obstacle_;
}

void SqlStateStore::Line::work() {
    for (;;) {
        if (!settings_.connection && steady_clock_now() >= next_attempt_) connect();
        {
            std::unique_lock lock(mutex_);
            const bool is_connected = settings_.connection != nullptr;
            const auto is_needed = [&] { return stopping_ || (is_connected && !line_.empty()); };
            if (is_connected) {
                came_.wait(lock, is_needed);
            } else {
                // Somebody's patience may end before the next attempt.
                constexpr Duration kLook = std::chrono::milliseconds(50);
                came_.wait_until(lock, std::min(next_attempt_, steady_clock_now() + kLook), is_needed);
            }
            if (stopping_ && (line_.empty() || !is_connected)) {
                lock.unlock();
                return fail_waiting("we are stopping", true);
            }
        }
        if (!settings_.connection) {
            fail_waiting(obstacle(), false);
            continue;
        }
        carry_out(next_group());
        if (settings_.connection) forget_keys_now_and_then();
        drop_lost_connection();
    }
}

void SqlStateStore::Line::connect() {
    std::string why = "the connection was lost";
    if (settings_.connect) {
        auto made = settings_.connect();
        if (made) {
            settings_.connection = *std::move(made);
            pause_ = settings_.first_pause;
            const std::lock_guard lock(mutex_);
            obstacle_.clear();
            return;
        }
        why = made.error().text;
    }
    next_attempt_ = steady_clock_now() + pause_;
    pause_ = std::min<Duration>(pause_ * 2, settings_.longest_pause);
    const std::lock_guard lock(mutex_);
    obstacle_ = why;
}

void SqlStateStore::Line::drop_lost_connection() {
    if (!settings_.connection || !settings_.connection->is_lost()) return;
    settings_.connection.reset();
    next_attempt_ = {};
    const std::lock_guard lock(mutex_);
    obstacle_ = "the connection was lost";
}

// Those whose patience is over, or all.
void SqlStateStore::Line::fail_waiting(const std::string& why, bool all) {
    Calls failed;
    {
        const std::lock_guard lock(mutex_);
        const SteadyTime before = steady_clock_now() - settings_.patience;
        while (!line_.empty() && (all || line_.front()->submitted <= before)) {
            failed.push_back(std::move(line_.front()));
            line_.pop_front();
        }
    }
    for (const auto& call : failed) call->finish(unavailable(why));
}

SqlStateStore::Line::Calls SqlStateStore::Line::next_group() {
    const std::lock_guard lock(mutex_);
    Calls group;
    while (!line_.empty() && group.size() < kMostInGroup) {
        group.push_back(std::move(line_.front()));
        line_.pop_front();
    }
    return group;
}

void SqlStateStore::Line::carry_out(Calls group) {
    if (carry_out_together(group)) return;
    // One of them failed, or met another process: each for itself, so that none suffers for its neighbours.
    for (auto call = group.begin(); call != group.end(); ++call) {
        if (carry_out_alone(**call)) continue;
        // The connection is gone and nothing of these was committed: they wait for the next one.
        const std::lock_guard lock(mutex_);
        line_.insert(line_.begin(), std::make_move_iterator(call), std::make_move_iterator(group.end()));
        return;
    }
}

bool SqlStateStore::Line::carry_out_together(Calls& group) {
    Connection& database = *settings_.connection;
    database.set_deadline(steady_clock_now() + settings_.call_deadline);
    Status done = database.begin();
    if (!done) return false;
    for (const auto& call : group) {
        if (call->run(database)) continue;
        database.roll_back();
        return false;
    }
    done = database.commit();
    if (!done && !database.is_lost()) {
        database.roll_back();
        return false;
    }
    // Lost while it committed: nobody knows whether it did.
    const Status outcome = done ? Status() : lost_in_commit(done.error());
    for (const auto& call : group) call->finish(outcome);
    return true;
}

bool SqlStateStore::Line::carry_out_alone(Call& call) {
    Connection& database = *settings_.connection;
    for (int attempt = 1;; ++attempt) {
        database.set_deadline(steady_clock_now() + settings_.call_deadline);
        Status done = database.begin();
        if (database.is_lost()) return false;
        if (!done) {
            call.finish(done);
            return true;
        }
        const bool good = call.run(database);
        if (good) done = database.commit();
        if (good && done) {
            call.finish({});
            return true;
        }
        if (good && database.is_lost()) {
            call.finish(lost_in_commit(done.error()));
            return true;
        }
        if (database.is_lost()) return false;
        const bool again = database.has_collided() && attempt < kMostCollisions;
        database.roll_back();
        if (again) continue;
        call.finish(done);  // of a call that has failed, its own failure counts
        return true;
    }
}

void SqlStateStore::Line::forget_keys_now_and_then() {
    const SteadyTime now = steady_clock_now();
    if (now < next_forgetting_) return;
    next_forgetting_ = now + kForgetEvery;
    Connection& database = *settings_.connection;
    database.set_deadline(now + settings_.call_deadline);
    if (!database.begin()) return;
    // If it fails, the next time does more.
    if (!forget_keys(database, wall_clock_now()) || !database.commit()) database.roll_back();
}

}  // namespace postfleet::sql_state
