#include "submission_call.hpp"

#include <grpcpp/support/slice.h>

#include <utility>

#include "credentials.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/v1/submission.pb.h"
#include "postfleet/wire/submission_message.hpp"

namespace postfleet::rpc {
namespace {

using Kind = SubmissionAnswer::Kind;
constexpr std::size_t kMostProblem = 2000;

// "ipv4:192.0.2.1:40112", "ipv6:%5B2001:db8::1%5D:40112". What cannot be read is nobody's address.
Endpoint endpoint_of(const std::string& peer) {
    std::string text = peer.substr(peer.find(':') + 1);
    for (const auto& [from, to] : {std::pair{"%5B", "["}, std::pair{"%5D", "]"}}) {
        if (const auto at = text.find(from); at != std::string::npos) text.replace(at, 3, to);
    }
    const auto endpoint = Endpoint::parse(text);
    return endpoint ? *endpoint : Endpoint{};
}

v1::SubmissionResult::Outcome outcome_of(Kind kind) {
    switch (kind) {
        case Kind::Accepted: return v1::SubmissionResult::ACCEPTED;
        case Kind::Duplicate: return v1::SubmissionResult::DUPLICATE;
        case Kind::Refused: return v1::SubmissionResult::REFUSED;
        case Kind::Later: return v1::SubmissionResult::TRY_AGAIN;
    }
    return v1::SubmissionResult::OUTCOME_UNSPECIFIED;
}

std::string octets_of(std::uint64_t place, SubmissionAnswer&& answer) {
    v1::SubmissionResult result;
    result.set_place(place);
    result.set_outcome(outcome_of(answer.kind));
    result.set_message_id(std::move(answer.message_id));
    result.set_problem(printable(answer.problem, kMostProblem));
    return result.SerializeAsString();
}

grpc::ByteBuffer buffer_of(const std::string& octets) {
    const grpc::Slice slice(octets);
    return {&slice, 1};
}

grpc::Status unavailable(const std::string& text) { return {grpc::StatusCode::UNAVAILABLE, text}; }

grpc::Status status_of_entry(const Error& error) {
    if (error.kind != ErrorKind::PermissionDenied) return to_grpc(error);
    return {grpc::StatusCode::UNAUTHENTICATED, printable(error.text, kMostProblem)};
}

}  // namespace

// --- all calls

SubmissionCalls::SubmissionCalls(const SubmissionServerSettings& settings)
    : settings_(settings),
      refused_calls_(settings.metrics.counter("postfleet_grpc_calls_refused_total",
                                              "Calls that were refused because there were too many.",
                                              {{"listener", settings.name}})),
      open_calls_(settings.metrics.gauge("postfleet_grpc_calls", "Calls of applications that submit mail, under way.",
                                         {{"listener", settings.name}})) {}

std::optional<grpc::Status> SubmissionCalls::enter(SubmissionCall& call) {
    const std::lock_guard lock(mutex_);
    if (is_draining_) return unavailable("this server is being stopped; use another one, or try again");
    if (calls_.size() >= settings_.max_calls) {
        refused_calls_.add();
        return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED,
                            "too many calls at once (limit " + std::to_string(settings_.max_calls) + "), try again");
    }
    calls_.insert(&call);
    open_calls_.add(1);
    return std::nullopt;
}

void SubmissionCalls::leave(SubmissionCall& call) {
    std::optional<Completion<Status>> drained;
    {
        const std::lock_guard lock(mutex_);
        if (calls_.erase(&call) == 1) open_calls_.add(-1);
        if (calls_.empty()) drained = std::exchange(drained_, std::nullopt);
    }
    if (drained) drained->on->post([run = std::move(drained->run)]() mutable { run({}); });
}

bool SubmissionCalls::take_octets(std::uint64_t octets) {
    if (octets_.fetch_add(octets) + octets <= settings_.max_octets_in_flight) return true;
    // One that is alone has its turn, whatever its size.
    if (octets_.load() == octets) return true;
    octets_.fetch_sub(octets);
    return false;
}

std::vector<std::shared_ptr<SubmissionCall>> SubmissionCalls::all() {
    const std::lock_guard lock(mutex_);
    std::vector<std::shared_ptr<SubmissionCall>> calls;
    calls.reserve(calls_.size());
    for (SubmissionCall* call : calls_) calls.push_back(call->shared_from_this());
    return calls;
}

void SubmissionCalls::look_at_clock(SteadyTime now) {
    for (const auto& call : all()) call->look_at_clock(now);
}

void SubmissionCalls::drain(Completion<Status> done) {
    bool is_quiet = false;
    {
        const std::lock_guard lock(mutex_);
        is_draining_ = true;
        is_quiet = calls_.empty();
        if (!is_quiet) drained_ = std::move(done);
    }
    if (is_quiet) return done.on->post([run = std::move(done.run)]() mutable { run({}); });
    for (const auto& call : all()) call->drain();
}

// --- one call

SubmissionCaller SubmissionCall::caller() const {
    SubmissionCaller caller;
    caller.client = endpoint_of(context_->peer());
    const auto& metadata = context_->client_metadata();
    if (const auto found = metadata.find("authorization"); found != metadata.end()) {
        caller.authorization.assign(found->second.data(), found->second.size());
    }
    if (const auto peer = context_->auth_context(); peer != nullptr) {
        const auto certificates = peer->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
        if (!certificates.empty()) caller.certificate.assign(certificates[0].data(), certificates[0].size());
    }
    return caller;
}

void SubmissionCall::begin() {
    self_ = shared_from_this();
    last_progress_ = steady_clock_now();
    if (const auto refusal = calls_->enter(*this)) return finish(*refusal);
    calls_->settings().host.enter(caller(), [self = self_](auto visit) { self->on_entered(std::move(visit)); });
}

void SubmissionCall::on_entered(Result<std::unique_ptr<SubmissionVisit>> visit) {
    if (!visit) return finish(status_of_entry(visit.error()));
    {
        const std::lock_guard lock(mutex_);
        visit_ = std::move(*visit);
        is_entered_ = true;
        last_progress_ = steady_clock_now();
    }
    advance();
}

void SubmissionCall::OnReadDone(bool ok) {
    std::uint64_t place = 0;
    {
        const std::lock_guard lock(mutex_);
        if (is_finished_) return;
        last_progress_ = steady_clock_now();
        if (ok) {
            place = read_++;
            ++under_way_;
        } else {
            is_half_closed_ = true;
        }
    }
    if (ok) take(place);
    {
        // Only now: an answer that comes meanwhile must not have the next one read into request_.
        const std::lock_guard lock(mutex_);
        is_reading_ = false;
    }
    advance();
}

void SubmissionCall::take(std::uint64_t place) {
    const auto refuse = [&](const std::string& why) {
        visit_->refused(why);
        on_answer(place, 0, {.kind = Kind::Refused, .problem = why});
    };
    grpc::Slice slice;
    const bool is_read = request_.DumpToSingleSlice(&slice).ok();
    request_.Clear();
    if (!is_read) return refuse("the body cannot be read");
    const std::string_view body(reinterpret_cast<const char*>(slice.begin()), slice.size());
    const auto survey = wire::survey_submission(body);
    if (!survey) return refuse(survey.error().text);
    const std::uint64_t octets = survey->memory_octets;
    if (!calls_->take_octets(octets)) {
        return on_answer(place, 0, {.kind = Kind::Later, .problem = "too much mail at once, try again"});
    }
    auto submission = wire::parse_submission(body);
    if (!submission) {
        calls_->give_back_octets(octets);
        return refuse(submission.error().text);
    }
    visit_->submit(std::move(*submission), [self = self_, place, octets](SubmissionAnswer&& answer) {
        self->on_answer(place, octets, std::move(answer));
        self->advance();
    });
}

// advance() comes after it.
void SubmissionCall::on_answer(std::uint64_t place, std::uint64_t octets, SubmissionAnswer&& answer) {
    calls_->give_back_octets(octets);
    if (method_ == Method::Send) return answer_send(std::move(answer));
    std::string result = octets_of(place, std::move(answer));
    const std::lock_guard lock(mutex_);
    --under_way_;
    last_progress_ = steady_clock_now();
    results_.push_back(std::move(result));
}

void SubmissionCall::answer_send(SubmissionAnswer&& answer) {
    const std::string problem = printable(answer.problem, kMostProblem);
    if (answer.kind == Kind::Refused) return finish({grpc::StatusCode::INVALID_ARGUMENT, problem});
    if (answer.kind == Kind::Later) return finish(unavailable(problem));
    {
        const std::lock_guard lock(mutex_);
        if (std::exchange(is_finished_, true)) return;
        response_ = buffer_of(octets_of(0, std::move(answer)));
    }
    StartWriteAndFinish(&response_, grpc::WriteOptions(), grpc::Status::OK);
}

// Null: it goes on.
std::optional<grpc::Status> SubmissionCall::end_of_call() const {
    if (under_way_ > 0 || !results_.empty() || is_writing_) return std::nullopt;
    if (is_half_closed_) {
        if (method_ == Method::SendMany) return grpc::Status::OK;
        return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "the call has no submission");
    }
    if (calls_->is_draining()) return unavailable("this server is being stopped; use another one, or try again");
    return std::nullopt;
}

void SubmissionCall::advance() {
    std::optional<grpc::Status> end;
    {
        const std::lock_guard lock(mutex_);
        if (is_finished_) return;
        end = end_of_call();
        if (!end && !is_writing_ && !results_.empty()) {
            response_ = buffer_of(results_.front());
            results_.pop_front();
            is_writing_ = true;
            // Of results that come together, as those of one commit do, only the last one makes gRPC write to its socket.
            grpc::WriteOptions options;
            if (!results_.empty()) options.set_buffer_hint();
            StartWrite(&response_, options);
        }
        const std::uint32_t most = method_ == Method::Send ? 1 : calls_->settings().max_in_flight;
        const bool has_read_all = is_half_closed_ || (method_ == Method::Send && read_ > 0);
        const bool may_read = is_entered_ && !is_reading_ && !has_read_all && !calls_->is_draining();
        if (!end && may_read && under_way_ + results_.size() + (is_writing_ ? 1 : 0) < most) {
            is_reading_ = true;
            StartRead(&request_);
        }
    }
    if (end) finish(*end);
}

void SubmissionCall::OnWriteDone(bool ok) {
    {
        const std::lock_guard lock(mutex_);
        is_writing_ = false;
        last_progress_ = steady_clock_now();
    }
    if (!ok) return finish({grpc::StatusCode::CANCELLED, "the client does not listen"});
    advance();
}

void SubmissionCall::look_at_clock(SteadyTime now) {
    {
        const std::lock_guard lock(mutex_);
        const Duration timeout = calls_->settings().call_timeout;
        if (is_finished_ || context_ == nullptr || under_way_ > 0 || now - last_progress_ < timeout) return;
        // A client that does not read would not get a status either.
        if (is_writing_) return context_->TryCancel();
    }
    finish({grpc::StatusCode::DEADLINE_EXCEEDED,
            "no submission came for " + format_duration(calls_->settings().call_timeout)});
}

void SubmissionCall::finish(const grpc::Status& status) {
    {
        const std::lock_guard lock(mutex_);
        if (std::exchange(is_finished_, true)) return;
    }
    Finish(status);  // last: OnDone may come before it returns
}

void SubmissionCall::OnDone() {
    {
        const std::lock_guard lock(mutex_);
        context_ = nullptr;
        results_.clear();
    }
    calls_->leave(*this);
    const std::shared_ptr<SubmissionCall> last = std::move(self_);
}

}  // namespace postfleet::rpc
