#include "transfer.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace postfleet::curl {

namespace {

ErrorKind kind_of(CURLcode code) {
    switch (code) {
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_ISSUER_ERROR: return ErrorKind::PermissionDenied;
        case CURLE_OPERATION_TIMEDOUT: return ErrorKind::DeadlineExceeded;
        default: return ErrorKind::Unavailable;  // a hundred other codes
    }
}

}  // namespace

Transfer::Transfer(HttpRequest request, Completion<Result<HttpResponse>> done)
    : request_(std::move(request)), done_(std::move(done)), deadline_(steady_clock_now() + request_.timeout) {}

Transfer::~Transfer() = default;

bool Transfer::prepare() {
    easy_.reset(curl_easy_init());
    if (!easy_) return false;
    CURL* const easy = easy_.get();
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - steady_clock_now());
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(std::max<std::int64_t>(left.count(), 1)));
    curl_easy_setopt(easy, CURLOPT_PRIVATE, this);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error_.data());
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "postfleet");
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &Transfer::on_octets);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, this);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    set_up_connection(easy);
    set_up_trust(easy);
    if (request_.method == HttpRequest::Method::Get) return true;
    headers_.reset(curl_slist_append(nullptr, ("Content-Type: " + request_.content_type).c_str()));
    curl_slist_append(headers_.get(), "Expect:");
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers_.get());
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.body.size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request_.body.data());
    return headers_ != nullptr;
}

void Transfer::set_up_connection(CURL* easy) {
    const std::string port = std::to_string(request_.port);
    const std::string url = "https://" + request_.host + (request_.port == 443 ? "" : ":" + port) + request_.target;
    curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    // "+": the entry does not stay. Should it be gone too early, open_socket() refuses what curl looks up instead.
    std::string pinned = "+" + request_.host + ":" + port + ":";
    for (const IpAddress& address : request_.addresses) {
        if (!pinned.ends_with(':')) pinned += ',';
        pinned += address.v6 ? "[" + address.to_string() + "]" : address.to_string();
    }
    resolve_.reset(curl_slist_append(nullptr, pinned.c_str()));
    curl_easy_setopt(easy, CURLOPT_RESOLVE, resolve_.get());
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, &Transfer::open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, this);
}

void Transfer::set_up_trust(CURL* easy) const {
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    if (request_.ca_file.empty()) return;
    curl_easy_setopt(easy, CURLOPT_CAINFO, request_.ca_file.c_str());
    curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);
}

std::size_t Transfer::on_octets(char* octets, std::size_t size, std::size_t count, void* self) {
    auto& transfer = *static_cast<Transfer*>(self);
    const std::size_t arrived = size * count;
    std::string& body = transfer.response_.body;
    if (arrived > transfer.request_.max_octets - std::min(body.size(), transfer.request_.max_octets)) {
        transfer.is_too_large_ = true;
        return CURL_WRITEFUNC_ERROR;
    }
    body.append(octets, arrived);
    return arrived;
}

bool Transfer::is_allowed(const sockaddr& address) const {
    IpAddress wanted;
    if (address.sa_family == AF_INET) {
        std::memcpy(wanted.octets.data(), &reinterpret_cast<const sockaddr_in&>(address).sin_addr, 4);
    } else if (address.sa_family == AF_INET6) {
        std::memcpy(wanted.octets.data(), &reinterpret_cast<const sockaddr_in6&>(address).sin6_addr, 16);
        wanted = IpAddress::from_v6(wanted.octets);
    } else {
        return false;
    }
    const auto& addresses = request_.addresses;
    return std::find(addresses.begin(), addresses.end(), wanted) != addresses.end();
}

curl_socket_t Transfer::open_socket(void* self, curlsocktype purpose, curl_sockaddr* address) {
    const auto& transfer = *static_cast<const Transfer*>(self);
    if (purpose != CURLSOCKTYPE_IPCXN || !transfer.is_allowed(address->addr)) return CURL_SOCKET_BAD;
    return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

void Transfer::finish(CURLcode code) {
    if (is_too_large_) {
        return fail(ErrorKind::ResourceExhausted,
                    "the answer is larger than " + std::to_string(request_.max_octets) + " octets");
    }
    if (code != CURLE_OK) return fail(kind_of(code), error_[0] != '\0' ? error_.data() : curl_easy_strerror(code));
    long status = 0;
    const char* content_type = nullptr;
    curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(easy_.get(), CURLINFO_CONTENT_TYPE, &content_type);
    response_.status = static_cast<int>(status);
    if (content_type != nullptr) response_.content_type = content_type;
    answer(std::move(response_));
}

void Transfer::fail(ErrorKind kind, std::string text) { answer(Error{kind, "https://" + request_.host + ": " + text}); }

void Transfer::answer(Result<HttpResponse> result) {
    Executor& on = *done_.on;
    on.post([run = std::move(done_.run), result = std::move(result)]() mutable { run(std::move(result)); });
}

}  // namespace postfleet::curl
