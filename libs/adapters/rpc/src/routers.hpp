// Routers: the addresses of the routers, which of them is asked now, and what a call does when that one does not answer.
//
//   attempt at the current router ── no answer ──▶ the next router, while time and budget last ──▶ failed
//
// Threads: thread-safe.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "credentials.hpp"
#include "postfleet/rpc/router_link.hpp"
#include "postfleet/v1/control.grpc.pb.h"

namespace postfleet::rpc {

class Routers final {
public:
    explicit Routers(const RouterLinkSettings& settings);

    std::size_t current() const { return current_.load() % stubs_.size(); }
    v1::Router::Stub& stub(std::size_t router) { return *stubs_[router]; }
    // It did not answer: the next one is asked from now on, if nobody has changed that meanwhile.
    void leave(std::size_t router);
    void succeeded(std::size_t router);
    void failed(std::size_t router, const Error& error);
    bool may_retry();
    std::string obstacle() const;

    // Every call counts itself, so that close() can wait. False: it is closed. When a call ends its ClientContext is gone: it
    // keeps the channel, and gRPC must not be left to drop the last reference to one on the thread that serves it.
    bool begin_call();
    void end_call();
    bool is_closing() const { return closing_.load(); }
    // No new attempts from here on; waits for those under way, and closes the channels.
    void close();

    const Duration attempt_deadline, call_deadline;

private:
    static constexpr int kMostRetries = 20, kCostOfRetry = 10;  // in the budget: a tenth per call that went well
    std::vector<std::string> addresses_;
    std::vector<std::unique_ptr<v1::Router::Stub>> stubs_;
    std::atomic<std::size_t> current_{0};
    std::atomic<int> budget_{kMostRetries * kCostOfRetry};
    std::atomic<bool> closing_{false};
    Counter& calls_;
    Counter& failures_;
    Counter& retries_;
    mutable std::mutex mutex_;  // the rest
    std::condition_variable ended_;
    std::size_t under_way_ = 0;
    std::string obstacle_ = "no router has answered yet";
    std::optional<SteadyTime> away_told_;  // when the log was last told that they are away
    bool is_away_told_ = true;             // and not yet that they are back
    const Log log_;
};

inline std::chrono::system_clock::time_point deadline_in(Duration duration) {
    return std::chrono::system_clock::now() + std::chrono::duration_cast<std::chrono::system_clock::duration>(duration);
}

// May the call be sent again when nobody knows whether the first one arrived?
enum class Repeatable { Yes, No };

// One call, over as many attempts as it takes. Owns itself until it has answered.
template <class Request, class Response>
class RemoteCall final : public std::enable_shared_from_this<RemoteCall<Request, Response>> {
public:
    using Method = void (v1::Router::Stub::async::*)(grpc::ClientContext*, const Request*, Response*,
                                                     std::function<void(grpc::Status)>);
    using Finish = UniqueFunction<void(Result<Response>)>;

    RemoteCall(std::shared_ptr<Routers> routers, Executor& executor, Method method, Request request,
               Repeatable repeatable, Finish finish)
        : until_(steady_clock_now() + routers->call_deadline),
          routers_(std::move(routers)),
          executor_(executor),
          method_(method),
          request_(std::move(request)),
          repeatable_(repeatable),
          finish_(std::move(finish)) {}

    void begin() {
        if (routers_->begin_call()) return attempt();
        finish_(Error{ErrorKind::Cancelled, "we are stopping"});
    }

private:
    static constexpr Duration kPause = std::chrono::milliseconds(100);

    void attempt() {
        router_ = routers_->current();
        context_ = std::make_unique<grpc::ClientContext>();
        context_->set_deadline(
            deadline_in(std::min<Duration>(routers_->attempt_deadline, until_ - steady_clock_now())));
        auto* stub = routers_->stub(router_).async();
        (stub->*method_)(context_.get(), &request_, &response_,
                         [self = this->shared_from_this()](grpc::Status status) { self->on_status(status); });
    }

    void on_status(const grpc::Status& status) {
        if (status.ok()) {
            routers_->succeeded(router_);
            return answer(std::move(response_));
        }
        const Error error = from_grpc(status);
        const bool is_away = error.kind == ErrorKind::Unavailable || error.kind == ErrorKind::DeadlineExceeded;
        if (!is_away) {
            routers_->succeeded(router_);  // it has answered
            return answer(error);
        }
        routers_->failed(router_, error);
        routers_->leave(router_);
        const bool in_time = steady_clock_now() + 2 * kPause < until_;
        if (repeatable_ == Repeatable::No || !in_time || routers_->is_closing() || !routers_->may_retry()) {
            return answer(error);
        }
        // On the executor, because timers are its own.
        executor_.post([self = this->shared_from_this()] {
            self->executor_.schedule_at(self->executor_.now() + kPause, [self] {
                if (self->routers_->is_closing()) return self->answer(Error{ErrorKind::Cancelled, "we are stopping"});
                self->response_.Clear();
                self->attempt();
            });
        });
    }

    void answer(Result<Response> result) {
        finish_(std::move(result));
        finish_.reset();
        context_.reset();
        routers_->end_call();
    }

    const SteadyTime until_;
    const std::shared_ptr<Routers> routers_;  // shared by all calls, of which some outlast the link
    Executor& executor_;
    const Method method_;
    const Request request_;
    const Repeatable repeatable_;
    Finish finish_;
    std::size_t router_ = 0;
    std::unique_ptr<grpc::ClientContext> context_;
    Response response_;
};

}  // namespace postfleet::rpc
