#include "recipients_link.hpp"

#include <algorithm>
#include <utility>

#include "translate.hpp"

namespace postfleet::rpc {

namespace {

const Error kNobody{ErrorKind::Unavailable, "no router answers"};

}  // namespace

struct RecipientsLink::Stream final
    : public grpc::ClientBidiReactor<v1::CheckRecipientsRequest, v1::CheckRecipientsResponse> {
    std::shared_ptr<RecipientsLink> link;  // deletes itself in OnDone
    std::size_t router = 0;
    grpc::ClientContext context;
    v1::CheckRecipientsRequest request;
    v1::CheckRecipientsResponse response;

    void OnWriteDone(bool ok) override {
        if (ok) link->on_written();
    }
    void OnReadDone(bool ok) override {
        if (!ok) return link->on_closed(*this);
        link->on_response(*this, response);
    }
    void OnDone(const grpc::Status& status) override {
        const auto keep = link;
        keep->on_end(*this, status);
        delete this;
        keep->routers_->end_call();
    }
};

RecipientsLink::RecipientsLink(std::shared_ptr<Routers> routers, Executor& executor)
    : routers_(std::move(routers)), executor_(executor) {}
RecipientsLink::~RecipientsLink() = default;

void RecipientsLink::start() {
    executor_.post([self = shared_from_this()] { self->tick(); });
}

void RecipientsLink::stop() {
    Failed failed;
    {
        const std::lock_guard lock(mutex_);
        stopped_ = true;
        failed = take_all();
        if (stream_ != nullptr) stream_->context.TryCancel();
    }
    fail(std::move(failed), {ErrorKind::Cancelled, "we are stopping"});
}

void RecipientsLink::check(std::vector<SuppressionQuestion> questions, Completion<Result<Answers>> done) {
    auto asked = std::make_shared<Asked>();  // several requests may hold it
    asked->answers.resize(questions.size());
    asked->questions = std::move(questions);
    asked->done = std::move(done);
    if (asked->questions.empty()) return answer(asked, Answers{});
    {
        const std::lock_guard lock(mutex_);
        const bool has_room = waiting_recipients_ + asked->questions.size() <= kMostWaiting || waiting_.empty();
        if (is_up_ && has_room) {
            waiting_recipients_ += asked->questions.size();
            waiting_.push_back(std::move(asked));
            if (may_send()) send();
            return;
        }
    }
    answer(asked, kNobody);
}

// On the executor, again and again: begins streams, gives up those that do not answer.
void RecipientsLink::tick() {
    const SteadyTime now = steady_clock_now();
    bool begins = false;
    Failed failed;
    {
        const std::lock_guard lock(mutex_);
        if (stopped_) return;
        begins = stream_ == nullptr && now >= not_before_;
        if (is_asking_ && now - asked_at_ > kPatience) {
            is_up_ = is_asking_ = false;
            has_any_.store(true);
            failed = take_all();
            stream_->context.TryCancel();
        } else if (is_up_ && may_send() && now - asked_at_ >= kAskWhetherAny) {
            send();
        }
    }
    fail(std::move(failed), {ErrorKind::DeadlineExceeded, "the router has not answered in time"});
    if (begins) begin();
    executor_.schedule_at(executor_.now() + kTick, [self = shared_from_this()] { self->tick(); });
}

void RecipientsLink::begin() {
    const std::lock_guard lock(mutex_);
    if (stopped_ || !routers_->begin_call()) return;
    stream_ = new Stream;  // deletes itself
    stream_->link = shared_from_this();
    stream_->router = routers_->current();
    is_closed_ = false;
    routers_->stub(stream_->router).async()->CheckRecipients(&stream_->context, stream_);
    stream_->AddHold();  // others than its callbacks write; until on_closed()
    stream_->StartRead(&stream_->response);
    send();
    stream_->StartCall();
}

// What waits, as much as one request takes; nothing: whether there are suppressions.
void RecipientsLink::send() {
    stream_->request.Clear();
    parts_.clear();
    std::size_t room = kMostInRequest;
    while (room > 0 && !waiting_.empty()) {
        const auto asked = waiting_.front();
        const std::size_t count = std::min(room, asked->questions.size() - asked->sent);
        for (std::size_t i = asked->sent; i < asked->sent + count; ++i) {
            v1::RecipientQuestion& question = *stream_->request.add_recipients();
            question.set_tenant(std::move(asked->questions[i].tenant));
            question.set_address(std::move(asked->questions[i].address));
        }
        parts_.push_back({asked, asked->sent, count});
        asked->sent += count;
        room -= count;
        waiting_recipients_ -= count;
        if (asked->sent == asked->questions.size()) waiting_.pop_front();
    }
    is_asking_ = is_writing_ = true;
    asked_at_ = steady_clock_now();
    stream_->StartWrite(&stream_->request);
}

// Nobody writes any more.
void RecipientsLink::on_closed(Stream& stream) {
    {
        const std::lock_guard lock(mutex_);
        is_closed_ = true;
    }
    stream.RemoveHold();
}

// It may come after the answer.
void RecipientsLink::on_written() {
    const std::lock_guard lock(mutex_);
    is_writing_ = false;
    if (is_up_ && may_send() && !waiting_.empty()) send();
}

void RecipientsLink::on_response(Stream& stream, const v1::CheckRecipientsResponse& response) {
    std::vector<std::shared_ptr<Asked>> complete;
    {
        const std::lock_guard lock(mutex_);
        // Of a stream that was given up: its end is read next, for without that it would never be over.
        if (stopped_ || !is_asking_) return stream.StartRead(&stream.response);
        if (parts_.empty()) has_any_.store(response.has_any());
        for (const v1::SuppressedRecipient& found : response.suppressed()) {
            std::size_t place = found.place();
            for (const Part& part : parts_) {
                if (place < part.count) {
                    part.asked->answers[part.begin + place] = read(found);
                    break;
                }
                place -= part.count;
            }
        }
        for (const Part& part : parts_) {
            part.asked->answered += part.count;
            if (part.asked->answered == part.asked->answers.size()) complete.push_back(part.asked);
        }
        parts_.clear();
        is_asking_ = false;
        is_up_ = true;
        pause_ = {};
        stream.StartRead(&stream.response);
        if (!waiting_.empty() && may_send()) send();
    }
    routers_->succeeded(stream.router);
    for (const auto& asked : complete) answer(asked, std::move(asked->answers));
}

void RecipientsLink::on_end(Stream& stream, const grpc::Status& status) {
    const Error error = from_grpc(status);
    Failed failed;
    {
        const std::lock_guard lock(mutex_);
        stream_ = nullptr;
        is_up_ = is_asking_ = is_writing_ = false;
        has_any_.store(true);
        failed = take_all();
        pause_ = std::clamp<Duration>(pause_ * 2, kTick, kLongestPause);
        not_before_ = steady_clock_now() + pause_;
    }
    routers_->failed(stream.router, error);
    routers_->leave(stream.router);
    fail(std::move(failed), kNobody);
}

RecipientsLink::Failed RecipientsLink::take_all() {
    Failed all(waiting_.begin(), waiting_.end());
    for (const Part& part : parts_) {
        if (std::find(all.begin(), all.end(), part.asked) == all.end()) all.push_back(part.asked);
    }
    waiting_.clear();
    waiting_recipients_ = 0;
    parts_.clear();
    return all;
}

void RecipientsLink::fail(Failed failed, const Error& error) {
    for (const auto& asked : failed) answer(asked, error);
}

void RecipientsLink::answer(const std::shared_ptr<Asked>& asked, Result<Answers> result) {
    Executor& on = *asked->done.on;
    on.post([asked, result = std::move(result)]() mutable { asked->done.run(std::move(result)); });
}

}  // namespace postfleet::rpc
