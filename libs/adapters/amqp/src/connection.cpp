#include "connection.hpp"

#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <fstream>

#include "postfleet/base/text.hpp"
#include "values.hpp"

namespace postfleet::amqp {

namespace {

constexpr int kMostChannels = 16;
constexpr int kFrameOctets = 131072;         // RMQ-9
constexpr int kMostHeaderOctets = 64 << 10;  // of properties and headers; the frame has room for more
constexpr int kSendBufferOctets = 2 << 20;   // some messages, so that a broker that pauses does not hold up a write
constexpr std::size_t kMostPasswordOctets = 4096;
constexpr const char* kSystemAuthorities = "/etc/ssl/certs/ca-certificates.crt";
constexpr auto kUserTimeout = std::chrono::seconds(20);  // of TCP data that nobody acknowledges
constexpr auto kGoodbye = std::chrono::seconds(1);

timeval to_timeval(Duration duration) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration);
    const auto rest = std::chrono::duration_cast<std::chrono::microseconds>(duration - seconds);
    return {static_cast<time_t>(seconds.count()), static_cast<suseconds_t>(rest.count())};
}

Error unavailable(std::string text) { return {ErrorKind::Unavailable, std::move(text)}; }

Result<std::string> read_password(const BrokerAccess& access) {
    if (access.password_file.empty()) return access.url.password;
    std::ifstream file(access.password_file, std::ios::binary);
    std::string text(kMostPasswordOctets, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (!file.eof() || file.gcount() == 0) {
        return unavailable("cannot read a password from " + access.password_file);
    }
    text.resize(static_cast<std::size_t>(file.gcount()));
    return std::string(trim(text));
}

void set_option(int fd, int level, int name, int value) { ::setsockopt(fd, level, name, &value, sizeof value); }

}  // namespace

Result<std::unique_ptr<Connection>> Connection::open(const BrokerOptions& options, const BrokerHost& host,
                                                     const std::string& what, Stall& stall) {
    amqp_connection_state_t state = amqp_new_connection();
    if (state == nullptr) return Error{ErrorKind::ResourceExhausted, "no memory for a connection"};
    std::unique_ptr<Connection> connection(new Connection(stall, state));
    const auto at = [&](const Error& error) { return Error{error.kind, host.to_string() + ": " + error.text}; };
    if (const auto connected = connection->connect(options, host); !connected) return at(connected.error());
    if (const auto logged_in = connection->log_in(options, what); !logged_in) return at(logged_in.error());
    return connection;
}

Connection::~Connection() {
    stall_.detach();
    amqp_destroy_connection(state_);
}

void Connection::say_goodbye() {
    const timeval patience = to_timeval(kGoodbye);
    amqp_set_rpc_timeout(state_, &patience);
    amqp_connection_close(state_, AMQP_REPLY_SUCCESS);
}

Result<amqp_socket_t*> Connection::make_socket(const BrokerAccess& access) {
    if (!access.url.tls) return amqp_tcp_socket_new(state_);
    amqp_socket_t* socket = amqp_ssl_socket_new(state_);
    if (socket == nullptr) return unavailable("TLS cannot be set up");
    const std::string authorities = access.ca_file.empty() ? kSystemAuthorities : access.ca_file;
    if (amqp_ssl_socket_set_cacert(socket, authorities.c_str()) != AMQP_STATUS_OK) {
        return unavailable("cannot read the authorities in " + authorities);
    }
    if (!access.certificate.empty()) {
        const std::string& key = access.private_key.empty() ? access.certificate : access.private_key;
        if (amqp_ssl_socket_set_key(socket, access.certificate.c_str(), key.c_str()) != AMQP_STATUS_OK) {
            return unavailable("cannot use the certificate " + access.certificate + " with the key " + key);
        }
    }
    amqp_ssl_socket_set_verify_peer(socket, 1);
    amqp_ssl_socket_set_verify_hostname(socket, 1);
    if (amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST) != AMQP_STATUS_OK) {
        return unavailable("TLS 1.2 cannot be set up");
    }
    return socket;
}

Status Connection::connect(const BrokerOptions& options, const BrokerHost& host) {
    auto socket = make_socket(options.access);
    if (!socket) return socket.error();
    if (*socket == nullptr) return unavailable("no memory for a socket");
    const timeval patience = to_timeval(options.connect_timeout);
    amqp_set_handshake_timeout(state_, &patience);
    amqp_set_rpc_timeout(state_, &patience);
    const int status = amqp_socket_open_noblock(*socket, host.name.c_str(), host.port, &patience);
    if (status != AMQP_STATUS_OK) {
        // The library's own text is "a socket error occurred".
        const std::string why = status == AMQP_STATUS_SOCKET_ERROR ? "nothing listens there, or the way to it is closed"
                                                                   : problem_of(status);
        return unavailable("cannot connect: " + why);
    }
    fd_ = amqp_get_sockfd(state_);
    stall_.attach(fd_);
    set_socket_options(options);
    return {};
}

void Connection::set_socket_options(const BrokerOptions& options) {
    const auto heartbeat = std::chrono::duration_cast<std::chrono::seconds>(options.heartbeat).count();
    set_option(fd_, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd_, IPPROTO_TCP, TCP_KEEPIDLE, static_cast<int>(heartbeat));
    set_option(fd_, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(std::chrono::milliseconds(kUserTimeout).count()));
    set_option(fd_, SOL_SOCKET, SO_SNDBUF, kSendBufferOctets);
}

Status Connection::log_in(const BrokerOptions& options, const std::string& what) {
    const auto password = read_password(options.access);
    if (!password) return password.error();
    Table capabilities, properties;
    for (const char* name : {"connection.blocked", "consumer_cancel_notify", "publisher_confirms", "basic.nack",
                             "exchange_exchange_bindings", "authentication_failure_close"}) {
        capabilities.add_flag(name);
    }
    const std::string name = options.name + " " + what;
    properties.add_text("product", "Postfleet");
    properties.add_text("connection_name", name);
    properties.add_table("capabilities", capabilities);
    const amqp_table_t table = properties.get();
    const auto heartbeat = std::chrono::duration_cast<std::chrono::seconds>(options.heartbeat).count();
    const auto& url = options.access.url;
    const amqp_rpc_reply_t reply = amqp_login_with_properties(
        state_, url.virtual_host.c_str(), kMostChannels, kFrameOctets, static_cast<int>(heartbeat), &table,
        AMQP_SASL_METHOD_PLAIN, url.user.c_str(), password->c_str());
    if (const auto problem = problem_of(reply); !problem.empty()) {
        return unavailable(
            fmt::format("cannot log in as {} to virtual host {}: {}", url.user, url.virtual_host, problem));
    }
    amqp_channel_open(state_, kChannel);
    return call("open a channel");
}

std::size_t Connection::most_header_octets() const {
    const int frame = amqp_get_frame_max(state_);
    return static_cast<std::size_t>(frame > 0 ? std::min(frame - 1024, kMostHeaderOctets) : kMostHeaderOctets);
}

Status Connection::call(const char* doing) {
    const auto problem = problem_of(amqp_get_rpc_reply(state_));
    if (problem.empty()) return {};
    return unavailable(fmt::format("cannot {}: {}", doing, problem));
}

Status Connection::select_confirms() {
    amqp_confirm_select(state_, kChannel);
    return call("turn on confirms");
}

Status Connection::set_prefetch(std::uint16_t messages) {
    amqp_basic_qos(state_, kChannel, 0, messages, 0);  // RMQ-16: never global
    return call("set the prefetch count");
}

Result<std::uint32_t> Connection::waiting_in(const std::string& queue) {
    const amqp_queue_declare_ok_t* const answer =
        amqp_queue_declare(state_, kChannel, to_bytes(queue), 1, 0, 0, 0, amqp_empty_table);
    if (answer != nullptr) return answer->message_count;
    return call(("ask what waits in queue " + queue).c_str()).error();
}

Status Connection::send(amqp_method_number_t method, void* arguments, amqp_channel_t channel) {
    stall_.begin();
    const int status = amqp_send_method(state_, channel, method, arguments);
    stall_.end();
    if (status != AMQP_STATUS_OK) return unavailable(problem_of(status));
    return {};
}

Status Connection::publish(const BrokerAddress& to, const amqp_basic_properties_t& properties, std::string_view body) {
    stall_.begin();
    const int status = amqp_basic_publish(state_, kChannel, to_bytes(to.exchange), to_bytes(to.routing_key), 1, 0,
                                          &properties, to_bytes(body));
    stall_.end();
    if (status != AMQP_STATUS_OK) return unavailable(problem_of(status));
    return {};
}

Status Connection::send_heartbeat() {
    amqp_frame_t frame{};
    frame.frame_type = AMQP_FRAME_HEARTBEAT;
    stall_.begin();
    const int status = amqp_send_frame(state_, &frame);
    stall_.end();
    if (status != AMQP_STATUS_OK) return unavailable(problem_of(status));
    return {};
}

Result<bool> Connection::read(amqp_frame_t& frame) {
    const timeval at_once{0, 0};
    stall_.begin();  // it may send a heartbeat
    const int status = amqp_simple_wait_frame_noblock(state_, &frame, &at_once);
    stall_.end();
    if (status == AMQP_STATUS_OK) return true;
    if (status == AMQP_STATUS_TIMEOUT) return false;
    return unavailable(problem_of(status));
}

void Connection::cork() { set_option(fd_, IPPROTO_TCP, TCP_CORK, 1); }
void Connection::uncork() { set_option(fd_, IPPROTO_TCP, TCP_CORK, 0); }

bool Connection::may_write() const {
    pollfd poll{fd_, POLLOUT, 0};
    return ::poll(&poll, 1, 0) != 0;  // an error is found by writing
}

}  // namespace postfleet::amqp
