#include <unistd.h>

#include <algorithm>
#include <list>
#include <mutex>
#include <thread>

#include "control_request.hpp"
#include "postfleet/base/json.hpp"
#include "postfleet/runtime/control.hpp"
#include "postfleet/runtime/process.hpp"
#include "unix_socket.hpp"

namespace postfleet::runtime {
namespace {

constexpr auto kWriteTimeout = std::chrono::seconds(10);

std::string failure_line(const Error& error) {
    std::string line;
    JsonWriter json(line);
    json.begin_object().member("ok", false).key("error").begin_object();
    json.member("kind", to_string(error.kind)).member("text", error.text).end_object().end_object();
    return line + "\n";
}

}  // namespace

std::string ControlRequest::argument(const std::string& name) const {
    const auto found = arguments.find(name);
    return found == arguments.end() ? std::string() : found->second;
}

class ControlServer::Impl {
public:
    Impl(std::string path, ControlHandler handler) : path_(std::move(path)), handler_(std::move(handler)) {}

    Status start() {
        Result<UnixSocket> listening = UnixSocket::listen(path_);
        if (!listening) return listening.error();
        listening_ = std::move(*listening);
        acceptor_ = std::thread([this] {
            name_this_thread("control");
            accept();
        });
        return {};
    }

    void stop() {
        if (!acceptor_.joinable()) return;
        {
            std::lock_guard lock(mutex_);
            stopping_ = true;
            for (Connection& connection : connections_) connection.socket.shutdown();
        }
        listening_.shutdown();
        acceptor_.join();
        for (Connection& connection : connections_) connection.thread.join();
        connections_.clear();
        ::unlink(path_.c_str());
    }

private:
    struct Connection {
        UnixSocket socket;
        std::thread thread;
        bool done = false;
    };

    void accept() {
        for (;;) {
            Result<UnixSocket> accepted = listening_.accept();
            if (!accepted) return;
            std::lock_guard lock(mutex_);
            if (stopping_) return;
            connections_.remove_if([](Connection& connection) {
                if (connection.done) connection.thread.join();
                return connection.done;
            });
            if (connections_.size() >= kMaxConnections) continue;
            Connection& connection = connections_.emplace_back();
            connection.socket = std::move(*accepted);
            connection.thread = std::thread([this, &connection] {
                name_this_thread("control-conn");
                serve(connection.socket);
                std::lock_guard done_lock(mutex_);
                connection.socket = UnixSocket();
                connection.done = true;
            });
        }
    }

    void serve(UnixSocket& socket) {
        const std::string who = socket.peer();
        for (;;) {
            const Result<std::string> line = socket.read_line(kMaxRequestOctets, kMaxSilence);
            if (!line) return;
            if (const Status written = socket.write_all(answer(*line, who), kWriteTimeout); !written) return;
        }
    }

    std::string answer(const std::string& line, const std::string& who) {
        Result<ControlRequest> request = parse_control_request(line);
        if (!request) return failure_line(request.error());
        request->who = who;
        const Result<std::string> result = handler_(*request);
        if (!result) return failure_line(result.error());
        return "{\"ok\":true,\"result\":" + *result + "}\n";
    }

    const std::string path_;
    const ControlHandler handler_;
    UnixSocket listening_;
    std::thread acceptor_;
    std::mutex mutex_;
    std::list<Connection> connections_;
    bool stopping_ = false;
};

ControlServer::ControlServer(std::string path, ControlHandler handler)
    : impl_(std::make_unique<Impl>(std::move(path), std::move(handler))) {}
ControlServer::~ControlServer() { stop(); }
Status ControlServer::start() { return impl_->start(); }
void ControlServer::stop() { impl_->stop(); }

}  // namespace postfleet::runtime
