// FakeTransport: connections in memory to scripted SMTP servers, on the clock of a ManualExecutor.
//
// A FakeHost stands behind an endpoint. It decides how connecting goes and what each command is answered; by
// default it takes everything. What it was sent is kept: transactions with their content, every command with its
// time, how many connections were open at once. FakeTlsClient plays a handshake that ends as the host is told, and
// after which the octets go on as they are.
//
// Threads: confined to the test's thread.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "postfleet/ports/tls_client.hpp"
#include "postfleet/ports/transport.hpp"

namespace postfleet::support {

class FakeHost;
class FakeStream;

struct Delivery {
    std::string from;
    std::vector<std::string> to;  // accepted ones
    std::string content;          // as it came (by DATA dot-stuffed, without the final dot)
    unsigned connection = 0;
    bool is_secured = false;
    SteadyTime at{};
    Endpoint client;
};

// One connection as the server sees it.
class Peer {
public:
    Peer(FakeHost& host, unsigned number, Endpoint client) : host_(host), number_(number), client_(client) {}
    void on_octets(std::string_view octets);
    void say(std::string_view octets);
    void hang_up();  // FIN
    void reset();    // RST
    unsigned number() const { return number_; }
    const Endpoint& client() const { return client_; }
    bool is_open() const { return stream_ != nullptr; }

    std::string helo;
    std::vector<std::string> commands;
    unsigned most_pipelined = 0;  // command lines that came at once
    bool is_secured = false;

private:
    friend class FakeStream;
    friend class FakeTlsClient;
    friend class FakeHost;
    friend class FakeTransport;
    void on_line(std::string_view line);
    void end_of_data();

    FakeHost& host_;
    const unsigned number_;
    const Endpoint client_;
    FakeStream* stream_ = nullptr;
    std::string input_;
    bool in_data_ = false;
    std::optional<std::size_t> chunk_;  // octets of a BDAT LAST that are still to come
    bool has_mail_ = false;
    Delivery delivery_;
};

class FakeHost {
public:
    std::optional<CloseReason> refuses;  // connecting fails like this
    bool is_black_hole = false;          // connecting never ends
    std::set<std::string> unbindable;    // source addresses that cannot be bound, for any peer
    Duration connect_takes{}, greeting_after{};
    std::string greeting = "220 mx.test ESMTP\r\n";
    bool greets_inside_tls = false;  // TLS comes first
    std::string ehlo = "250-mx.test\r\n250-PIPELINING\r\n250-SIZE 10000000\r\n250 8BITMIME\r\n";
    // The reply to a command line ("MAIL FROM:<…>", "DATA", "." for the end of data); nothing: the usual one.
    // An empty reply is silence.
    std::function<std::optional<std::string>(Peer&, const std::string& command)> on_command;
    // What the host's TLS does.
    TlsFailure tls_failure = TlsFailure::None;   // for those who accept any certificate, too
    TlsFailure verification = TlsFailure::None;  // for those who do not
    bool tls_hangs = false;
    std::deque<TlsRequest> tls_requests;  // as they came; their `rules` are gone, and stand here:
    std::vector<TlsRules> tls_rules;
    // Everything that comes in, before it is looked at as SMTP; true: that was all (a proxy's handshake).
    std::function<bool(Peer&, std::string& octets)> on_octets;
    bool is_stalled = false;               // takes no more octets (a TCP window of zero)
    bool keeps_open_after_quit = false;    // says 221 and does not close
    std::size_t socket_octets = SIZE_MAX;  // what the socket takes at once

    std::vector<Delivery> deliveries;
    std::vector<std::pair<SteadyTime, std::string>> recipients_seen;  // every RCPT, with its time
    std::vector<std::shared_ptr<Peer>> peers;
    unsigned connects = 0;  // attempts
    std::vector<SteadyTime> connect_times;
    unsigned open = 0, most_open = 0;
    std::vector<std::string> sources;  // local addresses of the connections, in order

    std::vector<std::string> recipients_delivered() const;
};

class FakeTransport final : public Transport {
public:
    explicit FakeTransport(Executor& executor) : executor_(executor) {}
    std::unique_ptr<Stream> connect(const ConnectRequest& request, StreamHandler& handler) override;

    static Endpoint at(const std::string& text) { return Endpoint::parse(text).value(); }
    FakeHost& host(const std::string& endpoint) {
        return *shared().emplace(at(endpoint), std::make_shared<FakeHost>()).first->second;
    }
    // Transports of several shards see the same hosts.
    void share_hosts(FakeTransport& other) { hosts_ = other.hosts_; }

private:
    using Hosts = std::map<Endpoint, std::shared_ptr<FakeHost>>;
    Hosts& shared() { return *hosts_; }
    Executor& executor_;
    std::shared_ptr<Hosts> hosts_ = std::make_shared<Hosts>();
};

class FakeTlsClient final : public TlsClient {
public:
    explicit FakeTlsClient(Executor& executor) : executor_(executor) {}
    Result<std::unique_ptr<SecureStream>> secure(std::unique_ptr<Stream> plain, const TlsRequest& request,
                                                 StreamHandler& handler) override;

private:
    Executor& executor_;
};

}  // namespace postfleet::support
