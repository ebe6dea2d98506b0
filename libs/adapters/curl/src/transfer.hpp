// Transfer: one request with curl: set up, watched over, and what its end means.
//
// Threads: confined to the client's thread, apart from construction.
#pragma once

#include <curl/curl.h>

#include <array>
#include <memory>
#include <string>

#include "postfleet/ports/http_client.hpp"

namespace postfleet::curl {

class Transfer final {
public:
    Transfer(HttpRequest request, Completion<Result<HttpResponse>> done);
    ~Transfer();
    Transfer(const Transfer&) = delete;
    Transfer& operator=(const Transfer&) = delete;

    // False: curl has no memory for it.
    bool prepare();
    CURL* handle() const { return easy_.get(); }
    SteadyTime deadline() const { return deadline_; }

    // The last call: the completion is posted.
    void finish(CURLcode code);
    void fail(ErrorKind kind, std::string text);

private:
    struct EasyCleanup {
        void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
    };
    struct ListCleanup {
        void operator()(curl_slist* list) const { curl_slist_free_all(list); }
    };
    using List = std::unique_ptr<curl_slist, ListCleanup>;

    static std::size_t on_octets(char* octets, std::size_t size, std::size_t count, void* self);
    static curl_socket_t open_socket(void* self, curlsocktype purpose, curl_sockaddr* address);
    bool is_allowed(const sockaddr& address) const;
    void set_up_connection(CURL* easy);
    void set_up_trust(CURL* easy) const;
    void answer(Result<HttpResponse> result);

    const HttpRequest request_;
    Completion<Result<HttpResponse>> done_;
    const SteadyTime deadline_;
    std::unique_ptr<CURL, EasyCleanup> easy_;
    List resolve_, headers_;
    std::array<char, CURL_ERROR_SIZE> error_{};
    HttpResponse response_;
    bool is_too_large_ = false;
};

}  // namespace postfleet::curl
