// Watch: a stream from a router that is begun anew, at the next one, whenever it ends.
//
//   stream ──▶ on_message (on the executor) …  ends ──▶ pause (100 ms … 3 s, with jitter) ──▶ the next router
//
// A stream has a deadline, too: it ends after kLongestStream and is begun anew without a word.
//
// Threads: start() and stop() from one thread; the rest is the executor's and gRPC's.
#pragma once

#include <grpcpp/support/client_callback.h>

#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "postfleet/base/id.hpp"
#include "routers.hpp"

namespace postfleet::rpc {

template <class Request, class Message>
class Watch final : public std::enable_shared_from_this<Watch<Request, Message>> {
public:
    static constexpr Duration kLongestStream = std::chrono::minutes(10);
    static constexpr Duration kFirstPause = std::chrono::milliseconds(100), kLongestPause = std::chrono::seconds(3);

    struct Parts {
        void (v1::Router::Stub::async::*method)(grpc::ClientContext*, const Request*,
                                                grpc::ClientReadReactor<Message>*);
        std::function<Request()> request;                // what is known now
        std::function<void(const Message&)> on_message;  // both on the executor
    };

    Watch(std::shared_ptr<Routers> routers, Executor& executor, Parts parts)
        : routers_(std::move(routers)), executor_(executor), parts_(std::move(parts)) {}

    void start() {
        executor_.post([self = this->shared_from_this()] { self->begin(); });
    }
    // The stream under way ends; Routers waits for it.
    void stop() {
        const std::lock_guard lock(mutex_);
        stopped_ = true;
        if (stream_ != nullptr) stream_->context.TryCancel();
    }

private:
    struct Stream final : public grpc::ClientReadReactor<Message> {
        std::shared_ptr<Watch> watch;  // deletes itself in OnDone
        std::size_t router = 0;
        grpc::ClientContext context;
        Request request;
        Message message;
        bool has_answered = false;

        // A router greets at once, even when it has nothing new.
        void OnReadInitialMetadataDone(bool ok) override {
            if (!ok) return;
            has_answered = true;
            watch->routers_->succeeded(router);
        }
        void OnReadDone(bool ok) override {
            if (!ok) return;
            auto came = std::make_shared<Message>(std::move(message));
            watch->executor_.post([keep = watch, came] { keep->deliver(*came); });
            message.Clear();
            this->StartRead(&message);
        }
        void OnDone(const grpc::Status& status) override {
            const auto keep = watch;
            keep->on_end(*this, status);
            delete this;
            keep->routers_->end_call();
        }
    };

    void begin() {
        const std::lock_guard lock(mutex_);
        if (stopped_ || !routers_->begin_call()) return;
        stream_ = new Stream;  // deletes itself
        stream_->watch = this->shared_from_this();
        stream_->router = routers_->current();
        stream_->context.set_deadline(deadline_in(kLongestStream));
        stream_->request = parts_.request();
        (routers_->stub(stream_->router).async()->*parts_.method)(&stream_->context, &stream_->request, stream_);
        stream_->StartRead(&stream_->message);
        stream_->StartCall();
    }

    void deliver(const Message& message) {
        {
            const std::lock_guard lock(mutex_);
            if (stopped_) return;
        }
        parts_.on_message(message);
    }

    void on_end(const Stream& ended, const grpc::Status& status) {
        const Error error = from_grpc(status);
        const bool is_over = status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED && ended.has_answered;
        Duration pause = kFirstPause;
        {
            const std::lock_guard lock(mutex_);
            stream_ = nullptr;
            if (ended.has_answered) pause_ = kFirstPause;
            pause = pause_;
            pause_ = std::min(pause_ * 2, kLongestPause);
            if (stopped_) return;
        }
        if (!is_over) {
            routers_->failed(ended.router, error);
            routers_->leave(ended.router);
        }
        // Not all in the same moment: half of the pause is chance.
        const auto chance = IdGenerator().next(wall_clock_now()).octets[15];
        pause = pause / 2 + pause * chance / 512;
        executor_.post([self = this->shared_from_this(), pause] {
            self->executor_.schedule_at(self->executor_.now() + pause, [self] { self->begin(); });
        });
    }

    const std::shared_ptr<Routers> routers_;
    Executor& executor_;
    const Parts parts_;
    std::mutex mutex_;  // the rest
    Stream* stream_ = nullptr;
    Duration pause_ = kFirstPause;
    bool stopped_ = false;
};

}  // namespace postfleet::rpc
