// LoadSession: one connection of a load, one message after the other (RFC 5321, client side, RFC 2920).
//
//   Idle -> Greeting -> Ehlo -> [StartTls -> Ehlo ->] Mail -> Rcpt… -> Data -> Content -> Ready -> Mail … | Quit -> Idle
//                                          \____ Rset _____________/
//
// The state names the reply that is awaited; Ready: none, the next message is not due yet. With pipelining MAIL, RCPT and DATA go out in one write.
// Threads: confined to its loop.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "load_message.hpp"
#include "postfleet/net/epoll_loop.hpp"
#include "postfleet/ports/transport.hpp"

namespace postfleet::tools {

class LoadShard;

struct LoadJob {
    std::uint64_t message = 0;
    std::uint32_t attempt = 0;
    SteadyTime due{};
};

class LoadSession final : public StreamHandler {
public:
    LoadSession(LoadShard& shard, std::optional<IpAddress> source) : shard_(shard), source_(source) {}
    ~LoadSession();
    LoadSession(const LoadSession&) = delete;
    LoadSession& operator=(const LoadSession&) = delete;

    void start() { take_next(); }
    void stop();
    bool is_done() const { return is_done_; }

    void on_connected() override;
    void on_data(std::string_view octets) override;
    void on_closed(const CloseReason& reason) override;

private:
    enum class State : std::uint8_t { Idle, Greeting, Ehlo, StartTls, Ready, Mail, Rcpt, Data, Content, Rset, Quit };

    void take_next();
    void begin();
    void connect();
    void secure();
    void say_hello();
    void send_envelope();
    void send_content();
    void on_reply(int code, std::string_view line);
    void on_rcpt_reply(int code, std::string_view line);
    void on_data_reply(int code, std::string_view line);
    void finish_message(int code, std::string_view line);
    void after_message();
    void give_back(int code);
    void on_lost(int code, std::string_view why);
    void write(std::string_view octets);

    LoadShard& shard_;
    const std::optional<IpAddress> source_;
    std::unique_ptr<Stream> stream_;
    State state_ = State::Idle;
    std::uint64_t connection_ = 0;
    bool is_done_ = false;
    bool has_tls_ = false;
    bool offers_pipelining_ = false;
    bool has_envelope_out_ = false;  // the commands behind the awaited reply are sent already
    std::optional<LoadJob> job_;
    std::uint32_t sent_on_connection_ = 0;
    std::uint32_t recipients_answered_ = 0;
    std::uint32_t recipients_taken_ = 0;
    int refusal_ = 0;          // the first code that refused MAIL or a recipient
    std::vector<bool> taken_;  // per recipient
    SteadyTime began_{};
    TimerId timer_;
    std::string partial_, out_, head_;
};

}  // namespace postfleet::tools
