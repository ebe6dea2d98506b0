#include "recipients_stream.hpp"

#include <memory>
#include <mutex>
#include <utility>

#include "credentials.hpp"
#include "translate.hpp"

namespace postfleet::rpc {

namespace {

// Reads a request, asks, writes the answer, reads the next: a peer that does not read its answers is not read either.
class RecipientsStream final : public RecipientsReactor {
public:
    RecipientsStream(Suppressions& suppressions, Executor& executor, int most)
        : suppressions_(suppressions), executor_(executor), most_(most) {}

    void begin(std::shared_ptr<RecipientsStream> self) {
        self_ = std::move(self);
        StartRead(&request_);
    }

    void OnReadDone(bool ok) override {
        if (!ok) return finish(grpc::Status::OK);
        auto questions = read(request_, most_);
        if (!questions) return finish(to_grpc(questions.error()));
        if (questions->empty()) {
            return suppressions_.list_suppressions({.after = {}, .limit = 1},
                                                   {&executor_, [self = self_](auto page) { self->on_page(page); }});
        }
        suppressions_.find_suppressions(*std::move(questions),
                                        {&executor_, [self = self_](auto answers) { self->on_answers(answers); }});
    }
    void OnWriteDone(bool ok) override {
        if (!ok) return finish(grpc::Status::CANCELLED);
        const std::lock_guard lock(mutex_);
        if (!finished_) StartRead(&request_);
    }
    void OnCancel() override { finish(grpc::Status::CANCELLED); }
    void OnDone() override { const std::shared_ptr<RecipientsStream> last = std::move(self_); }

private:
    void on_answers(const Result<std::vector<std::optional<Suppression>>>& answers) {
        if (!answers) return finish(to_grpc(answers.error()));
        response_.Clear();
        for (std::size_t place = 0; place < answers->size(); ++place) {
            const auto& found = (*answers)[place];
            if (found) write(*found, static_cast<std::uint32_t>(place), *response_.add_suppressed());
        }
        const std::lock_guard lock(mutex_);
        if (!finished_) StartWrite(&response_);
    }
    void on_page(const Result<std::vector<Suppression>>& page) {
        if (!page) return finish(to_grpc(page.error()));
        response_.Clear();
        response_.set_has_any(!page->empty());
        const std::lock_guard lock(mutex_);
        if (!finished_) StartWrite(&response_);
    }
    void finish(const grpc::Status& status) {
        {
            const std::lock_guard lock(mutex_);
            if (std::exchange(finished_, true)) return;
        }
        Finish(status);  // last: OnDone may come before it returns
    }

    Suppressions& suppressions_;
    Executor& executor_;
    const int most_;
    std::shared_ptr<RecipientsStream> self_;  // and of the question under way, which may outlast the stream
    v1::CheckRecipientsRequest request_;
    v1::CheckRecipientsResponse response_;
    std::mutex mutex_;
    bool finished_ = false;
};

}  // namespace

RecipientsReactor* check_recipients(Suppressions& suppressions, Executor& executor, int most_in_request) {
    auto stream = std::make_shared<RecipientsStream>(suppressions, executor, most_in_request);
    stream->begin(stream);
    return stream.get();
}

}  // namespace postfleet::rpc
