// http::Server: an HTTP/1.1 server (RFC 9112) on one thread of its own, for administration and health.
//
//   Server server({.address = …});
//   server.route("GET", "/metrics", [&](const Request&, Responder answer) { answer({.body = …}); });
//   server.start();
//
// A Responder is called once, from any thread, at once or later; one that is dropped uncalled answers 500, and
// one that comes after handler_timeout finds its connection answered with 503 already. Responders may outlive
// the server: they then do nothing.
//
// Threads: route() before start() only. Handlers run on the server's thread and must not block it for long;
// stop() and the destructor join that thread. Units: octets. Errors: start() says why the address cannot be
// used. What clients do wrong is answered, never reported to us.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "postfleet/base/function.hpp"
#include "postfleet/base/network.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/base/time.hpp"

namespace postfleet::http {

struct Request {
    std::string method;  // "GET"
    std::string path;    // as sent, up to "?"
    std::string query;   // after "?"
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;
    std::string client;  // "192.0.2.1:40000"
};

struct Response {
    int status = 200;
    std::string content_type = "text/plain; charset=utf-8";
    std::string body = {};
    std::vector<std::pair<std::string, std::string>> headers = {};
};

// An error as application/problem+json (RFC 9457).
Response problem(int status, const std::string& title, const std::string& detail);

class Exchange;

class Responder {
public:
    explicit Responder(std::shared_ptr<Exchange> exchange);
    Responder(Responder&&) noexcept;
    Responder& operator=(Responder&&) noexcept;
    ~Responder();
    void operator()(Response response);

private:
    std::shared_ptr<Exchange> exchange_;  // shared with the connection, whichever ends first
};

using Handler = std::function<void(const Request&, Responder)>;

struct ServerOptions {
    Endpoint address;
    std::size_t max_connections = 256;
    std::size_t max_head_octets = 16 * 1024;
    std::uint64_t max_body_octets = 1 << 20;
    std::size_t max_requests_per_connection = 10'000;
    Duration idle_timeout = std::chrono::seconds(60);     // between requests
    Duration request_timeout = std::chrono::seconds(10);  // from its first octet until it is complete, and to write
    Duration handler_timeout = std::chrono::seconds(10);
};

class Server final {
public:
    explicit Server(ServerOptions options);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    // `path` is exact, or a prefix when it ends in "/". The longest match decides. HEAD comes with GET.
    void route(std::string method, std::string path, Handler handler);
    Status start();
    // Refuses new connections, closes those that are open, joins the thread.
    void stop();
    // The address with the real port (port 0 takes any free one).
    Endpoint local() const;

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace postfleet::http
