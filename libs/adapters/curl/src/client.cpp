#include "postfleet/curl/client.hpp"

#include <deque>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>

#include "transfer.hpp"

namespace postfleet::curl {

class Client::Engine {
public:
    Engine() {
        // Its flags are counted: every client may call it, and libcurl locks it.
        curl_global_init(CURL_GLOBAL_DEFAULT);
        multi_ = curl_multi_init();
        require(multi_ != nullptr);
        thread_ = std::thread([this] { run(); });
    }

    ~Engine() {
        {
            const std::lock_guard lock(mutex_);
            is_stopping_ = true;
        }
        curl_multi_wakeup(multi_);
        thread_.join();
        curl_multi_cleanup(multi_);
        curl_global_cleanup();
    }

    void submit(std::unique_ptr<Transfer> transfer) {
        {
            const std::lock_guard lock(mutex_);
            if (requests_ >= kMaxRequests)
                return transfer->fail(ErrorKind::ResourceExhausted, "too many requests wait");
            ++requests_;
            waiting_.push_back(std::move(transfer));
        }
        curl_multi_wakeup(multi_);
    }

private:
    void run() {
        int running = 0;
        while (start_waiting()) {
            curl_multi_perform(multi_, &running);
            take_finished();
            // A wake-up or a timer of curl's ends it earlier; what waits in line only needs its deadline looked at.
            curl_multi_poll(multi_, nullptr, 0, is_anybody_waiting() ? 200 : 60'000, nullptr);
        }
        for (auto& [handle, transfer] : active_) {
            curl_multi_remove_handle(multi_, handle);
            transfer->fail(ErrorKind::Cancelled, "stopping");
        }
        active_.clear();
    }

    bool is_anybody_waiting() {
        const std::lock_guard lock(mutex_);
        return !waiting_.empty();
    }

    // False: it is time to stop.
    bool start_waiting() {
        std::deque<std::unique_ptr<Transfer>> next, late;
        bool is_stopping = false;
        {
            const std::lock_guard lock(mutex_);
            is_stopping = is_stopping_;
            const SteadyTime now = steady_clock_now();
            while (!waiting_.empty() && (is_stopping || active_.size() + next.size() < kMaxAtOnce)) {
                const bool is_late = is_stopping || waiting_.front()->deadline() <= now;
                (is_late ? late : next).push_back(std::move(waiting_.front()));
                waiting_.pop_front();
            }
            requests_ -= late.size();
        }
        for (const auto& transfer : late) {
            if (is_stopping) transfer->fail(ErrorKind::Cancelled, "stopping");
            else transfer->fail(ErrorKind::DeadlineExceeded, "timed out in line");
        }
        for (auto& transfer : next) {
            CURL* const handle = transfer->prepare() ? transfer->handle() : nullptr;
            if (handle == nullptr || curl_multi_add_handle(multi_, handle) != CURLM_OK) {
                transfer->fail(ErrorKind::Unavailable, "curl cannot take it");
                end_one();
                continue;
            }
            active_.emplace(handle, std::move(transfer));
        }
        return !is_stopping;
    }

    void take_finished() {
        int left = 0;
        while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
            if (message->msg != CURLMSG_DONE) continue;
            const CURLcode code = message->data.result;
            const auto found = active_.find(message->easy_handle);
            const std::unique_ptr<Transfer> transfer = std::move(found->second);
            active_.erase(found);
            curl_multi_remove_handle(multi_, transfer->handle());
            transfer->finish(code);
            end_one();
        }
    }

    void end_one() {
        const std::lock_guard lock(mutex_);
        --requests_;
    }

    CURLM* multi_ = nullptr;
    std::unordered_map<CURL*, std::unique_ptr<Transfer>> active_;  // the thread's
    std::mutex mutex_;                                             // the rest
    std::deque<std::unique_ptr<Transfer>> waiting_;
    std::size_t requests_ = 0;
    bool is_stopping_ = false;
    std::thread thread_;
};

Client::Client() : engine_(std::make_unique<Engine>()) {}
Client::~Client() = default;

void Client::send(HttpRequest request, Completion<Result<HttpResponse>> done) {
    auto transfer = std::make_unique<Transfer>(std::move(request), std::move(done));
    engine_->submit(std::move(transfer));
}

}  // namespace postfleet::curl
