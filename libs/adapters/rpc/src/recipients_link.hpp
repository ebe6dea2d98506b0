// RecipientsLink: RecipientCheck over one stream to a router (Router.CheckRecipients).
//
//   check() ─▶ waiting ─▶ one request of up to 1,000 recipients, whoever asks ─▶ its answer ─▶ the next request
//   each second without one: an empty request, whose answer says whether there are suppressions at all
//
// A stream that does not answer for kPatience is given up, and everybody who waits is told; the next one goes to the next
// router, with growing pauses. Until it has answered, check() fails at once.
//
// Threads: check() and has_any() thread-safe; start() and stop() from one thread. The stream is gRPC's threads', under
// the mutex.
#pragma once

#include <grpcpp/support/client_callback.h>

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "postfleet/ports/recipient_check.hpp"
#include "routers.hpp"

namespace postfleet::rpc {

class RecipientsLink final : public RecipientCheck, public std::enable_shared_from_this<RecipientsLink> {
public:
    static constexpr std::size_t kMostInRequest = 1'000;
    static constexpr std::size_t kMostWaiting = 100'000;  // recipients
    static constexpr Duration kPatience = std::chrono::seconds(1);
    static constexpr Duration kTick = std::chrono::milliseconds(250);
    static constexpr Duration kAskWhetherAny = std::chrono::seconds(1);
    static constexpr Duration kLongestPause = std::chrono::seconds(3);

    RecipientsLink(std::shared_ptr<Routers> routers, Executor& executor);
    ~RecipientsLink() override;

    void start();
    // The stream ends, and who waits is told; Routers waits for that.
    void stop();

    bool has_any() const override { return has_any_.load(std::memory_order_relaxed); }
    void check(std::vector<SuppressionQuestion> questions, Completion<Result<Answers>> done) override;

private:
    struct Stream;
    // One call of check(), which may take several requests.
    struct Asked {
        std::vector<SuppressionQuestion> questions;
        Completion<Result<Answers>> done;
        Answers answers;
        std::size_t sent = 0, answered = 0;
    };
    // What of it is in a request.
    struct Part {
        std::shared_ptr<Asked> asked;
        std::size_t begin = 0, count = 0;
    };
    using Failed = std::vector<std::shared_ptr<Asked>>;

    void tick();
    void begin();
    bool may_send() const { return !is_asking_ && !is_writing_ && !is_closed_; }  // under the mutex, as the next
    void send();
    void on_written();
    void on_closed(Stream& stream);
    void on_response(Stream& stream, const v1::CheckRecipientsResponse& response);
    void on_end(Stream& stream, const grpc::Status& status);
    Failed take_all();  // under the mutex
    static void fail(Failed failed, const Error& error);
    static void answer(const std::shared_ptr<Asked>& asked, Result<Answers> result);

    const std::shared_ptr<Routers> routers_;
    Executor& executor_;
    std::atomic<bool> has_any_{true};  // unless a router that answers has said that there is none
    std::mutex mutex_;                 // the rest
    bool stopped_ = false;
    Stream* stream_ = nullptr;  // deletes itself
    bool is_up_ = false;        // it has answered
    bool is_closed_ = false;    // it has ended, and will say how
    std::deque<std::shared_ptr<Asked>> waiting_;
    std::size_t waiting_recipients_ = 0;
    bool is_asking_ = false, is_writing_ = false;
    std::vector<Part> parts_;  // of the request under way
    SteadyTime asked_at_{};
    Duration pause_{};
    SteadyTime not_before_{};
};

}  // namespace postfleet::rpc
