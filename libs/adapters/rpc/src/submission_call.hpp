// SubmissionCall: one call of Send or SendMany. SubmissionCalls: all of a server's, and what they may have together.
//
//   enter ─▶ read ─▶ parse ─▶ submit … answer ─▶ write ─▶ read …        half-closed, and everything written ─▶ Finish
//             ▲ while fewer than max_in_flight have no result that was written
//
// Threads: thread-safe: gRPC's threads, those of the answers, and the clock's meet in the call's mutex.
#pragma once

#include <grpcpp/generic/async_generic_service.h>

#include <atomic>
#include <deque>
#include <mutex>
#include <optional>
#include <unordered_set>

#include "postfleet/rpc/submission_server.hpp"

namespace postfleet::rpc {

class SubmissionCall;

class SubmissionCalls final {
public:
    explicit SubmissionCalls(const SubmissionServerSettings& settings);

    const SubmissionServerSettings& settings() const { return settings_; }
    // Why no further call can be taken; else it is one of ours until leave().
    std::optional<grpc::Status> enter(SubmissionCall& call);
    void leave(SubmissionCall& call);
    // Of submissions without a result.
    bool take_octets(std::uint64_t octets);
    void give_back_octets(std::uint64_t octets) { octets_.fetch_sub(octets); }
    // Ends those that stand still.
    void look_at_clock(SteadyTime now);
    void drain(Completion<Status> done);
    bool is_draining() const { return is_draining_; }

private:
    // Those that are not over; each stays while it is looked at.
    std::vector<std::shared_ptr<SubmissionCall>> all();

    const SubmissionServerSettings settings_;
    Counter& refused_calls_;
    Gauge& open_calls_;
    std::atomic<std::uint64_t> octets_{0};
    std::atomic<bool> is_draining_{false};
    std::mutex mutex_;  // the rest
    std::unordered_set<SubmissionCall*> calls_;
    std::optional<Completion<Status>> drained_;
};

class SubmissionCall final : public grpc::ServerGenericBidiReactor,
                             public std::enable_shared_from_this<SubmissionCall> {
public:
    enum class Method : std::uint8_t { Send, SendMany };

    SubmissionCall(std::shared_ptr<SubmissionCalls> calls, grpc::CallbackServerContext& context, Method method)
        : calls_(std::move(calls)), method_(method), context_(&context) {}

    // Once; from now on it holds itself, until gRPC is done with it.
    void begin();
    void look_at_clock(SteadyTime now);
    void drain() { advance(); }

    void OnReadDone(bool ok) override;
    void OnWriteDone(bool ok) override;
    void OnCancel() override { finish({grpc::StatusCode::CANCELLED, "cancelled"}); }
    void OnDone() override;

private:
    SubmissionCaller caller() const;
    void on_entered(Result<std::unique_ptr<SubmissionVisit>> visit);
    void take(std::uint64_t place);
    void on_answer(std::uint64_t place, std::uint64_t octets, SubmissionAnswer&& answer);
    void answer_send(SubmissionAnswer&& answer);
    // Reads, writes or ends, whatever is due.
    void advance();
    std::optional<grpc::Status> end_of_call() const;
    void finish(const grpc::Status& status);

    const std::shared_ptr<SubmissionCalls> calls_;  // shared by all calls, which may outlive the server
    const Method method_;
    std::shared_ptr<SubmissionCall> self_;
    std::unique_ptr<SubmissionVisit> visit_;
    grpc::ByteBuffer request_, response_;

    std::mutex mutex_;                      // the rest
    grpc::CallbackServerContext* context_;  // null: gRPC is done
    std::deque<std::string> results_;       // to be written
    std::uint64_t read_ = 0;
    std::uint32_t under_way_ = 0;
    SteadyTime last_progress_{};
    bool is_entered_ = false, is_reading_ = false, is_writing_ = false, is_half_closed_ = false, is_finished_ = false;
};

}  // namespace postfleet::rpc
