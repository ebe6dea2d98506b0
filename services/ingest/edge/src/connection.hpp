// Connection: one accepted SMTP connection: carries octets between a Stream and a ServerSession, and keeps
// its deadline. EdgeShard: the connections of one shard.
//
// One write per turn, whatever the number of replies. Reading stops while the session cannot use what it has
// and while the client does not read its replies, so neither costs memory. After the last reply the write
// side is closed first and the rest of the input read away: a reset would take the reply with it.
//
// TLS: from the first octet on, or after STARTTLS, when the plain stream is put under a TlsStream; there is no
// way back. The connection counts against the listener's limits before the handshake, and against the process's
// max_handshakes in it. From half of that on handshakes get kShortPatience: whoever holds a place and is silent loses it.
//
// Behind a proxy: the PROXY header comes first, before TLS too, and says who the client is. Until it is there, from an
// address that may send it, nothing else is read, and what is wrong with it ends the connection without an answer.
//
// A client that makes mistakes is slowed down, where the listener says so, by reading on later: its own buffers fill, not
// ours. A session that has lasted too long ends with 421 at its next command; in a transaction it gets some time more.
//
// Deadlines: a PROXY header has kHeaderPatience, a handshake kHandshakePatience; a command has command_timeout from the
// end of the last one, whatever trickles in between; the data has data_timeout and a second for every min_data_rate
// octets that came. A store that is slow has the HandoverDesk's patience. Whose time is over is told 421, and has kLinger
// to read it.
//
// A client that has ended its side while its message is on its way to the store still gets the answer.
//
// Threads: confined to its loop.
#pragma once

#include <list>
#include <memory>
#include <string>

#include "postfleet/ingest/intake.hpp"
#include "postfleet/net/epoll_loop.hpp"
#include "postfleet/ports/transport.hpp"
#include "postfleet/proxy/header_reader.hpp"
#include "postfleet/smtp/server_session.hpp"
#include "postfleet/tls/tls_stream.hpp"

namespace postfleet::ingest {

class Connection;

// A listener as one shard sees it. The rules are replaced on the shard's thread.
struct ShardListener {
    ListenerShared* shared = nullptr;
    std::shared_ptr<const ListenerRules> rules;
    // shared_ptr because a reload replaces it while connections still mean to use it; null: no TLS.
    std::shared_ptr<const tls::ServerContext> tls;
    bool is_closing = false;  // what is still on its way is told 421
};

class EdgeShard final {
public:
    EdgeShard(net::EpollLoop& loop, Handover& handover, IngestCounters& counters, const Log& log, std::uint64_t seed);
    ~EdgeShard();

    // Over the limit of the process the stream is told 421, if it can be told, and closed at once.
    void accept(ShardListener& listener, std::unique_ptr<Stream> stream);
    // A connection was closed because the process is out of descriptors.
    void count_unheard(const ShardListener& listener);
    void remove(std::list<Connection>::iterator connection);
    // Idle connections of the listener (null: of all) end with 421 now, the others after their transaction.
    void drain(ShardListener* listener);
    // Runs once no connection is left. Draining has begun.
    void when_empty(Callback then);
    void close_all();

    net::EpollLoop& loop() { return loop_; }
    IntakeShard& intake() { return intake_; }
    tls::Workspace& workspace() { return workspace_; }
    // What one turn writes; shared, so that idle connections hold no buffer.
    std::string& output() { return output_; }

private:
    void turn_away(const ShardListener& listener, Stream& stream);

    net::EpollLoop& loop_;
    IntakeShard intake_;
    tls::Workspace workspace_;
    std::string output_;
    std::list<Connection> connections_;
    Callback when_empty_;
    SteadyTime next_warning_{};  // that there are no descriptors left
    bool draining_ = false;
};

class Connection final : public StreamHandler, public IntakeDriver {
public:
    Connection(EdgeShard& shard, ShardListener& listener, std::unique_ptr<Stream> stream);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    void open(std::list<Connection>::iterator self);
    void drain();
    void shut_down();
    const ShardListener& listener() const { return listener_; }

    void on_connected() override;  // TLS is up
    void on_data(std::string_view octets) override;
    void on_writable() override;
    bool on_end() override;
    bool on_deadline() override;
    void on_closed(const CloseReason& reason) override;
    void resume(smtp::Decision decision) override;

private:
    // What a client may be sent without reading it.
    static constexpr std::size_t kUnreadReplies = 64 * 1024;
    static constexpr Duration kHeaderPatience = std::chrono::seconds(10);
    static constexpr Duration kHandshakePatience = std::chrono::seconds(30);
    static constexpr Duration kShortPatience = std::chrono::seconds(5);  // while handshakes are many
    static constexpr Duration kLinger = std::chrono::seconds(5);

    bool may_read() const;
    void slow_down();

    void await_header();
    void take_header(std::string_view octets);
    void begin(std::string_view received);
    void refresh_rules();
    void start_tls(std::string_view received);
    void finish_turn();
    void end();
    void set_deadline();

    EdgeShard& shard_;
    ShardListener& listener_;
    std::shared_ptr<const tls::ServerContext> tls_;  // goes with the rules that intake_ holds
    std::unique_ptr<Stream> stream_;
    std::unique_ptr<proxy::HeaderReader> header_;  // only while the PROXY header is awaited
    Intake intake_;
    smtp::ServerSession session_;
    std::list<Connection>::iterator self_;
    std::uint64_t commands_seen_ = UINT64_MAX;
    smtp::ServerSession::Waiting waited_for_ = smtp::ServerSession::Waiting::Nothing;
    const SteadyTime opened_at_;
    TimerId slow_until_;          // while it waits because of its mistakes
    std::uint32_t errors_seen_ = 0;
    SteadyTime data_began_{};
    std::uint64_t octets_before_ = 0;  // content that had come by then
    bool client_ended_ = false;        // it sent its FIN while it waited for an answer
    bool answered_late_ = false;       // by a 250, after that
    bool ending_ = false;
};

}  // namespace postfleet::ingest
