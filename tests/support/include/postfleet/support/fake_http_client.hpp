// FakeHttpClient: the HttpClient port from a table. A host that is not in it cannot be reached; answers come with the
// next turn of the executor, or when the test says so. Threads: confined to the test's thread.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "postfleet/ports/http_client.hpp"

namespace postfleet::support {

class FakeHttpClient final : public HttpClient {
public:
    void send(HttpRequest request, Completion<Result<HttpResponse>> done) override {
        Result<HttpResponse> answer = Error{ErrorKind::Unavailable, "https://" + request.host + ": connection refused"};
        if (const auto found = answers.find(request.host); found != answers.end()) answer = found->second;
        requests.push_back(std::move(request));
        Executor& on = *done.on;
        Callback tell = [run = std::move(done.run), answer = std::move(answer)]() mutable { run(std::move(answer)); };
        if (is_silent) kept_.push_back({&on, std::move(tell)});
        else on.post(std::move(tell));
    }
    void publish(const std::string& host, std::string body, std::string content_type = "text/plain") {
        answers.insert_or_assign(host, HttpResponse{200, std::move(content_type), std::move(body)});
    }
    void answer_all() {
        is_silent = false;
        for (auto& [on, tell] : std::exchange(kept_, {})) on->post(std::move(tell));
    }

    std::map<std::string, Result<HttpResponse>> answers;  // by host
    std::vector<HttpRequest> requests;
    bool is_silent = false;  // answers are kept until answer_all()

private:
    std::deque<std::pair<Executor*, Callback>> kept_;
};

}  // namespace postfleet::support
