#include "postfleet/reporting/confirmed_sending.hpp"

#include <algorithm>
#include <deque>
#include <utility>

namespace postfleet::reporting {
namespace {

// How soon finish_by() is noticed.
constexpr auto kSlice = std::chrono::milliseconds(100);

}  // namespace

class ConfirmedSending::Inbox final : public Executor {
public:
    void post(Callback task) override {
        const std::lock_guard lock(mutex_);
        tasks_.push_back(std::move(task));
        if (tasks_.size() == 1) arrived_.notify_one();
    }
    // Runs what is there; waits for something at most so long.
    void run(Duration wait) {
        std::deque<Callback> tasks;
        {
            std::unique_lock lock(mutex_);
            arrived_.wait_for(lock, wait, [&] { return !tasks_.empty(); });
            tasks.swap(tasks_);
        }
        for (Callback& task : tasks) task();
    }

    // Publishers post and nothing else.
    TimerId schedule_at(SteadyTime, Callback) override {
        require(false);
        return {};
    }
    void cancel(TimerId) override {}
    SteadyTime now() const override { return steady_clock_now(); }
    WallTime wall_now() const override { return wall_clock_now(); }
    bool is_current_thread() const override { return false; }
    unsigned shard() const override { return 0; }

private:
    std::mutex mutex_;
    std::condition_variable arrived_;
    std::deque<Callback> tasks_;
};

ConfirmedSending::ConfirmedSending(std::unique_ptr<BrokerPublisher> publisher, Options options)
    : options_(options),
      finish_by_(SteadyTime::max().time_since_epoch().count()),
      inbox_(std::make_unique<Inbox>()),
      publisher_(std::move(publisher)) {}

ConfirmedSending::~ConfirmedSending() { publisher_.reset(); }

Status ConfirmedSending::send(BrokerAddress to, BrokerMessage message,
                              std::function<void(const std::string& why)> refused) {
    if (Status room = wait_until_unconfirmed(options_.window - 1); !room) return room;
    ++unconfirmed_;
    publisher_->publish(std::move(to), std::move(message),
                        {inbox_.get(), [this, turn = turn_, refused = std::move(refused)](Status status) {
                             on_confirm(turn, status, refused);
                         }});
    return {};
}

Status ConfirmedSending::await_all() { return wait_until_unconfirmed(0); }

void ConfirmedSending::finish_by(SteadyTime when) { finish_by_.store(when.time_since_epoch().count()); }

Status ConfirmedSending::wait_until_unconfirmed(std::size_t at_most) {
    const SteadyTime latest = steady_clock_now() + options_.deadline;
    for (;;) {
        inbox_->run(Duration::zero());
        if (!failed_) return give_up(failed_.error());
        if (unconfirmed_ <= at_most) return {};
        const SteadyTime until = std::min(latest, SteadyTime(SteadyTime::duration(finish_by_.load())));
        const Duration left = until - steady_clock_now();
        if (left <= Duration::zero()) {
            const std::string obstacle = publisher_->obstacle();
            return give_up({ErrorKind::DeadlineExceeded,
                            "the broker has not confirmed in time" + (obstacle.empty() ? "" : ": " + obstacle)});
        }
        inbox_->run(std::min<Duration>(left, kSlice));
    }
}

void ConfirmedSending::on_confirm(std::uint64_t turn, const Status& status,
                                  const std::function<void(const std::string&)>& refused) {
    if (turn != turn_) return;
    --unconfirmed_;
    if (status) return;
    if (status.error().kind == ErrorKind::InvalidArgument) return refused(status.error().text);
    if (failed_) failed_ = status;
}

Error ConfirmedSending::give_up(Error error) {
    ++turn_;
    unconfirmed_ = 0;
    failed_ = {};
    return error;
}

}  // namespace postfleet::reporting
