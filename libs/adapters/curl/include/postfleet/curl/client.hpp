// Client: the HttpClient port on libcurl's multi interface.
//
// One thread runs all transfers. Bounded: kMaxAtOnce transfers at the same time, more wait in line with their timeout
// running, and beyond kMaxRequests callers are answered ResourceExhausted at once.
//
// Threads: thread-safe. Destroying it answers what is under way with Cancelled. Errors: as the port says.
#pragma once

#include <memory>

#include "postfleet/ports/http_client.hpp"

namespace postfleet::curl {

class Client final : public HttpClient {
public:
    static constexpr std::size_t kMaxAtOnce = 200;
    static constexpr std::size_t kMaxRequests = 2'000;

    Client();
    ~Client() override;
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    void send(HttpRequest request, Completion<Result<HttpResponse>> done) override;

private:
    class Engine;
    std::unique_ptr<Engine> engine_;
};

}  // namespace postfleet::curl
