// SqlStateStore::Line: the calls that wait, and the thread that carries them out in groups.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "postfleet/base/function.hpp"
#include "postfleet/sql_state/state_store.hpp"

namespace postfleet::sql_state {

// A call: what is done to the tables, and who waits for the answer.
class Call {
public:
    virtual ~Call() = default;
    // False: the answer is a failure. May be run again.
    virtual bool run(Connection& database) = 0;
    // After the commit of what run() did, or with why it was undone.
    virtual void finish(const Status& committed) = 0;
    SteadyTime submitted{};
};

template <class T>
class TypedCall final : public Call {
public:
    using Work = UniqueFunction<T(Connection&)>;
    TypedCall(Work work, Completion<T> done) : work_(std::move(work)), done_(std::move(done)) {}

    bool run(Connection& database) override {
        result_.emplace(work_(database));
        return result_->has_value();
    }
    void finish(const Status& committed) override {
        if (!committed && (!result_ || result_->has_value())) result_.emplace(committed.error());
        Executor& on = *done_.on;
        on.post([done = std::move(done_), value = *std::move(result_)]() mutable { done.run(std::move(value)); });
    }

private:
    Work work_;
    Completion<T> done_;
    std::optional<T> result_;
};

class SqlStateStore::Line final {
public:
    explicit Line(StoreSettings settings);
    ~Line();

    template <class T>
    void call(typename TypedCall<T>::Work work, Completion<T> done) {
        submit(std::make_unique<TypedCall<T>>(std::move(work), std::move(done)));
    }
    void submit(std::unique_ptr<Call> call);
    std::string obstacle() const;

private:
    using Calls = std::vector<std::unique_ptr<Call>>;

    void work();
    void connect();
    void fail_waiting(const std::string& why, bool all);
    Calls next_group();
    void carry_out(Calls group);
    // False: the group was undone.
    bool carry_out_together(Calls& group);
    // False: the connection was lost before the commit.
    bool carry_out_alone(Call& call);
    void drop_lost_connection();
    void forget_keys_now_and_then();

    StoreSettings settings_;  // its connection: the thread's
    Duration pause_;
    SteadyTime next_attempt_{}, next_forgetting_{};

    mutable std::mutex mutex_;  // the rest
    std::condition_variable came_;
    std::deque<std::unique_ptr<Call>> line_;
    std::string obstacle_;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace postfleet::sql_state
