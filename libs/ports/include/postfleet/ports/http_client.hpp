// HttpClient (port): HTTPS requests to servers that somebody else names (MTA-STS policies, TLS reports).
//
// Every implementation promises:
//  * HTTPS alone, with a certificate that is trusted and has the host's name. Redirects are answers like any other,
//    never followed; no proxy, cookie or credential of the environment is used.
//  * only `addresses` are connected to. Who asks has resolved the name and left out what may not be reached, so no
//    name server can lead a request elsewhere between the two.
//  * an answer is bounded: beyond max_octets the request fails. A request ends within its timeout.
//  * a request is tried once.
//
// Threads: thread-safe; never blocks; the completion runs on the executor named, never inside the call.
// Errors: PermissionDenied (the certificate is refused), DeadlineExceeded, ResourceExhausted (the answer is too large, or
// too many requests wait), Unavailable (all else). Whatever status the server answers is no error.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "postfleet/base/executor.hpp"
#include "postfleet/base/network.hpp"
#include "postfleet/base/result.hpp"

namespace postfleet {

struct HttpRequest {
    enum class Method : std::uint8_t { Get, Post };
    Method method = Method::Get;
    std::string host;  // a name
    std::uint16_t port = 443;
    std::string target = "/";  // path and query
    std::vector<IpAddress> addresses;
    std::string ca_file;             // PEM; empty: the system's
    std::string content_type, body;  // Post
    std::size_t max_octets = 64 * 1024;
    Duration timeout = std::chrono::minutes(1);
};

struct HttpResponse {
    int status = 0;
    std::string content_type;
    std::string body;
};

class HttpClient {
public:
    virtual ~HttpClient() = default;
    virtual void send(HttpRequest request, Completion<Result<HttpResponse>> done) = 0;
};

}  // namespace postfleet
