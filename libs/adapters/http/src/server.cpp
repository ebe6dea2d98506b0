#include "postfleet/http/server.hpp"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include <boost/asio/dispatch.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>

#include "postfleet/base/json.hpp"
#include "postfleet/base/text.hpp"

namespace postfleet::http {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
using asio::ip::tcp;
using ErrorCode = boost::system::error_code;

namespace {

struct Route {
    std::string method, path;
    Handler handler;

    bool matches(std::string_view asked) const {
        return path.ends_with('/') && path.size() > 1 ? asked.starts_with(path) : asked == path;
    }
};

class Session;

// What the sessions share with the server; touched on the server's thread only.
struct Shared {
    ServerOptions options;
    std::vector<Route> routes;
    std::set<Session*> sessions;
};

}  // namespace

// Carries one answer from wherever the handler finished to the server's thread.
class Exchange {
public:
    Exchange(std::weak_ptr<asio::io_context> loop, std::weak_ptr<Session> session, std::uint64_t request)
        : loop_(std::move(loop)), session_(std::move(session)), request_(request) {}

    void answer(Response response);

private:
    std::weak_ptr<asio::io_context> loop_;
    std::weak_ptr<Session> session_;
    const std::uint64_t request_;
};

namespace {

// One connection: reads a request, waits for its answer, writes it, and again.
class Session final : public std::enable_shared_from_this<Session> {
public:
    Session(tcp::socket&& socket, std::shared_ptr<asio::io_context> loop, Shared& shared)
        : stream_(std::move(socket)), handler_timer_(*loop), loop_(std::move(loop)), shared_(shared) {
        ErrorCode ignored;
        const tcp::endpoint peer = stream_.socket().remote_endpoint(ignored);
        client_ = peer.address().to_string(ignored) + ":" + std::to_string(peer.port());
        shared_.sessions.insert(this);
    }
    ~Session() { shared_.sessions.erase(this); }

    void read_request() {
        if (++requests_ > shared_.options.max_requests_per_connection) return close();
        parser_.emplace();
        parser_->header_limit(static_cast<std::uint32_t>(shared_.options.max_head_octets));
        parser_->body_limit(shared_.options.max_body_octets);
        // A pipelined request is in the buffer already; otherwise wait idle for its first octet.
        if (buffer_.size() > 0) return read_rest();
        stream_.expires_after(shared_.options.idle_timeout);
        stream_.async_read_some(buffer_.prepare(4096), [self = shared_from_this()](ErrorCode error, std::size_t n) {
            if (error) return self->close();
            self->buffer_.commit(n);
            self->read_rest();
        });
    }

    void refuse(Response response) {
        keep_alive_ = false;
        write(std::move(response));
    }

    void close() {
        ErrorCode ignored;
        stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
        stream_.close();
        handler_timer_.cancel();
        waiting_for_ = 0;
    }

    // On the server's thread. `request` tells answers that come too late from the one that is awaited.
    void on_answer(std::uint64_t request, Response response) {
        if (request != waiting_for_) return;
        waiting_for_ = 0;
        handler_timer_.cancel();
        write(std::move(response));
    }

private:
    void read_rest() {
        stream_.expires_after(shared_.options.request_timeout);
        bhttp::async_read(stream_, buffer_, *parser_,
                          [self = shared_from_this()](ErrorCode error, std::size_t) { self->on_request(error); });
    }

    void on_request(ErrorCode error) {
        if (error == bhttp::error::header_limit) {
            return refuse(too_large(431, "Request head too large", shared_.options.max_head_octets));
        }
        if (error == bhttp::error::body_limit) {
            return refuse(too_large(413, "Request body too large", shared_.options.max_body_octets));
        }
        if (error.category() == bhttp::make_error_code(bhttp::error::bad_method).category() &&
            error != bhttp::error::end_of_stream && error != bhttp::error::partial_message) {
            return refuse(problem(400, "Not a valid HTTP request", error.message()));
        }
        if (error) return close();
        const auto& message = parser_->get();
        keep_alive_ = message.keep_alive();
        head_only_ = message.method() == bhttp::verb::head;
        version_ = message.version();
        dispatch(to_request(message));
    }

    static Response too_large(int status, const char* title, std::uint64_t limit) {
        return problem(status, title, "The limit is " + std::to_string(limit) + " octets.");
    }

    Request to_request(const bhttp::request<bhttp::string_body>& message) const {
        Request request;
        request.method = std::string(message.method_string());
        const std::string target(message.target());
        const std::size_t question = target.find('?');
        request.path = target.substr(0, question);
        if (question != std::string::npos) request.query = target.substr(question + 1);
        for (const auto& field : message) {
            request.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
        }
        request.body = message.body();
        request.client = client_;
        return request;
    }

    void dispatch(const Request& request) {
        const Route* best = nullptr;
        std::string allowed;
        const std::string method = head_only_ ? "GET" : request.method;
        for (const Route& route : shared_.routes) {
            if (!route.matches(request.path)) continue;
            if (allowed.find(route.method) == std::string::npos) {
                allowed += (allowed.empty() ? "" : ", ") + route.method;
            }
            if (route.method == method && (best == nullptr || route.path.size() > best->path.size())) best = &route;
        }
        if (best == nullptr && allowed.empty()) {
            return write(problem(404, "Not found", "There is nothing at " + printable(request.path, 200) + "."));
        }
        if (best == nullptr) {
            Response refusal =
                problem(405, "Method not allowed", printable(request.path, 200) + " takes " + allowed + ".");
            refusal.headers.emplace_back("Allow", allowed);
            return write(std::move(refusal));
        }
        waiting_for_ = requests_;
        stream_.expires_never();
        wait_for_handler();
        best->handler(request, Responder(std::make_shared<Exchange>(loop_, weak_from_this(), requests_)));
    }

    void wait_for_handler() {
        handler_timer_.expires_after(shared_.options.handler_timeout);
        handler_timer_.async_wait([self = shared_from_this(), request = requests_](ErrorCode error) {
            if (error) return;
            self->on_answer(request, problem(503, "No answer in time", "The server is busy; try again later."));
        });
    }

    void write(Response response) {
        auto out = std::make_shared<bhttp::response<bhttp::string_body>>();
        out->version(version_);
        out->result(static_cast<unsigned>(response.status));
        out->set(bhttp::field::server, "Postfleet");
        out->set(bhttp::field::content_type, response.content_type);
        out->set(bhttp::field::cache_control, "no-store");
        for (const auto& [name, value] : response.headers) out->set(name, value);
        out->keep_alive(keep_alive_);
        const std::size_t length = response.body.size();
        if (!head_only_) out->body() = std::move(response.body);
        out->content_length(length);
        stream_.expires_after(shared_.options.request_timeout);
        auto self = shared_from_this();
        auto written = [self, out](ErrorCode error, std::size_t) {
            if (error || !self->keep_alive_) return self->close();
            self->read_request();
        };
        if (head_only_) {
            auto serializer = std::make_shared<bhttp::response_serializer<bhttp::string_body>>(*out);
            serializer->split(true);
            bhttp::async_write_header(stream_, *serializer,
                                      [serializer, written](ErrorCode error, std::size_t n) { written(error, n); });
        } else {
            bhttp::async_write(stream_, *out, written);
        }
    }

    beast::tcp_stream stream_;
    beast::flat_buffer buffer_;
    std::optional<bhttp::request_parser<bhttp::string_body>> parser_;
    asio::steady_timer handler_timer_;
    std::shared_ptr<asio::io_context> loop_;
    Shared& shared_;
    std::string client_;
    std::uint64_t requests_ = 0;
    std::uint64_t waiting_for_ = 0;  // the request whose answer is awaited; 0: none
    bool keep_alive_ = false, head_only_ = false;
    unsigned version_ = 11;
};

}  // namespace

void Exchange::answer(Response response) {
    const std::shared_ptr<asio::io_context> loop = loop_.lock();
    if (!loop) return;
    asio::post(*loop, [session = session_, request = request_, response = std::move(response)]() mutable {
        if (const std::shared_ptr<Session> open = session.lock()) open->on_answer(request, std::move(response));
    });
}

Responder::Responder(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}
Responder::Responder(Responder&&) noexcept = default;

Responder& Responder::operator=(Responder&& other) noexcept {
    std::swap(exchange_, other.exchange_);
    return *this;
}

Responder::~Responder() {
    if (exchange_) exchange_->answer(problem(500, "Internal error", "The request was dropped without an answer."));
}

void Responder::operator()(Response response) {
    require(exchange_ != nullptr);
    std::exchange(exchange_, nullptr)->answer(std::move(response));
}

Response problem(int status, const std::string& title, const std::string& detail) {
    Response response;
    response.status = status;
    response.content_type = "application/problem+json";
    JsonWriter json(response.body);
    json.begin_object().member("title", title).member("status", status).member("detail", detail).end_object();
    response.body.push_back('\n');
    return response;
}

class Server::Impl {
public:
    explicit Impl(ServerOptions options) : loop_(std::make_shared<asio::io_context>(1)), acceptor_(*loop_) {
        shared_.options = std::move(options);
    }

    void route(std::string method, std::string path, Handler handler) {
        shared_.routes.push_back({std::move(method), std::move(path), std::move(handler)});
    }

    Status start() {
        const ServerOptions& options = shared_.options;
        ErrorCode error;
        const tcp::endpoint address(asio::ip::make_address(options.address.address.to_string(), error),
                                    options.address.port);
        if (!error) acceptor_.open(address.protocol(), error);
        if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
        if (!error) acceptor_.bind(address, error);
        if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
        if (error) {
            const bool taken = error == asio::error::address_in_use;
            return Error{taken ? ErrorKind::AlreadyExists : ErrorKind::Unavailable,
                         "cannot listen on " + options.address.to_string() + ": " + error.message()};
        }
        local_ = options.address;
        local_.port = acceptor_.local_endpoint(error).port();
        accept();
        thread_ = std::thread([this] {
            pthread_setname_np(pthread_self(), "http");
            loop_->run();
        });
        return {};
    }

    void stop() {
        if (!thread_.joinable()) return;
        asio::post(*loop_, [this] {
            ErrorCode ignored;
            stopping_ = true;
            acceptor_.close(ignored);
            pause_.cancel();
            for (Session* session : std::set<Session*>(shared_.sessions)) session->close();
        });
        thread_.join();
    }

    Endpoint local() const { return local_; }

private:
    void accept() {
        acceptor_.async_accept([this](ErrorCode error, tcp::socket socket) {
            if (stopping_) return;
            if (!error) {
                const bool full = shared_.sessions.size() >= shared_.options.max_connections;
                auto session = std::make_shared<Session>(std::move(socket), loop_, shared_);
                if (full) {
                    session->refuse(problem(503, "Too many connections", "Try again later."));
                } else {
                    session->read_request();
                }
                return accept();
            }
            if (error == asio::error::operation_aborted) return;
            // Out of descriptors, most likely: give others the time to close some.
            pause_.expires_after(std::chrono::milliseconds(100));
            pause_.async_wait([this](ErrorCode cancelled) {
                if (!cancelled && !stopping_) accept();
            });
        });
    }

    // The sessions' callbacks refer to shared_, so the loop that owns them goes first.
    Shared shared_;
    std::shared_ptr<asio::io_context> loop_;
    tcp::acceptor acceptor_;
    asio::steady_timer pause_{*loop_};
    Endpoint local_;
    bool stopping_ = false;
    std::thread thread_;
};

Server::Server(ServerOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Server::~Server() { stop(); }
void Server::route(std::string method, std::string path, Handler handler) {
    impl_->route(std::move(method), std::move(path), std::move(handler));
}
Status Server::start() { return impl_->start(); }
void Server::stop() { impl_->stop(); }
Endpoint Server::local() const { return impl_->local(); }

}  // namespace postfleet::http
