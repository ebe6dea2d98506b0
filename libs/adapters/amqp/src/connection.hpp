// Connection: one AMQP connection with one channel, and a second while it declares, as rabbitmq-c has it, with the limits
// that it lacks.
//
// Every wait has a deadline: TCP and TLS, login, each declaration (RMQ-4); a write, by the Stall. Errors are texts that
// say what the broker or the library said. After an error there is nothing but destroying it.
//
// Threads: confined. Blocks in open(), call() and declare(), and in a publish of what the socket has no room for.
#pragma once

#include <amqp.h>
#include <amqp_framing.h>

#include <memory>
#include <optional>
#include <string>

#include "postfleet/amqp/broker.hpp"
#include "stall_watch.hpp"

namespace postfleet::amqp {

inline constexpr amqp_channel_t kChannel = 1;

class Connection {
public:
    // `what`: "publisher" …, for those who look at the broker.
    static Result<std::unique_ptr<Connection>> open(const BrokerOptions& options, const BrokerHost& host,
                                                    const std::string& what, Stall& stall);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    amqp_connection_state_t get() const { return state_; }
    int fd() const { return fd_; }
    std::size_t most_header_octets() const;  // that one frame has room for

    Status declare(const wire::BrokerTopology& topology, const Log& log);
    Status select_confirms();
    Status set_prefetch(std::uint16_t messages);
    // Messages of a queue that nobody has. Waits for the answer.
    Result<std::uint32_t> waiting_in(const std::string& queue);
    Status send(amqp_method_number_t method, void* arguments, amqp_channel_t channel = kChannel);
    Status publish(const BrokerAddress& to, const amqp_basic_properties_t& properties, std::string_view body);

    // The next frame, if one is there: nothing is waited for.
    Result<bool> read(amqp_frame_t& frame);
    // After what was read is done with: the library keeps it until then (RMQ-7).
    void release() { amqp_maybe_release_buffers_on_channel(state_, kChannel); }
    // The library does this while it reads; whoever does not read for long calls it.
    Status send_heartbeat();

    // Closes it as the protocol wants it, which a broker that does not answer holds up for a second.
    void say_goodbye();

    // Collects small writes into full segments until uncork().
    void cork();
    void uncork();
    bool may_write() const;  // the socket has room

private:
    Connection(Stall& stall, amqp_connection_state_t state) : stall_(stall), state_(state) {}
    Status connect(const BrokerOptions& options, const BrokerHost& host);
    Result<amqp_socket_t*> make_socket(const BrokerAccess& access);
    Status log_in(const BrokerOptions& options, const std::string& what);
    void set_socket_options(const BrokerOptions& options);
    Status reopen_channel();

    enum class Declared { Yes, Differs, Forbidden, No };
    struct Declaration {
        Declared what = Declared::Yes;
        std::string text;
    };
    // Runs one declaration; a channel that it closed is opened again.
    template <class Call>
    Result<Declaration> attempt(Call&& call);
    Status declare_exchange(const wire::BrokerExchange& exchange, const Log& log);
    Status declare_queue(const wire::BrokerQueue& queue, const Log& log);
    Status bind(const wire::BrokerBinding& binding, const Log& log);
    Status call(const char* doing);

    Stall& stall_;
    amqp_connection_state_t state_;
    int fd_ = -1;
};

}  // namespace postfleet::amqp
