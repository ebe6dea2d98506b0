// Socks5Client: asks a SOCKS5 proxy for a connection (RFC 1928; user and password RFC 1929).
//
//   methods ─▶ [user and password ─▶] [BIND source ─▶] CONNECT target ─▶ Connected
//
// With a source address it is asked for first, by a BIND in front of the CONNECT on the same connection. RFC 1928 has
// no such use of BIND; proxies made for sending mail have (KumoMTA's), and it is the only way to learn that
// an address cannot be bound. Without a source the proxy chooses: by its port or by the user, as it is configured.
//
// A failure says whose fault it is, because the answer differs: another host is tried, another source, or the proxy
// leaves the rotation.
//
// Sans-IO; bounded: a reply has 262 octets at most. Threads: confined. Errors: Step::Failed, with fault() and problem().
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "postfleet/base/network.hpp"

namespace postfleet::proxy {

struct Socks5Request {
    Endpoint target;
    std::optional<IpAddress> source;
    std::string_view user, password;  // borrowed; empty user: not offered. At most 255 octets each
};

class Socks5Client final {
public:
    enum class Step : std::uint8_t { NeedsMore, Connected, Failed };
    enum class Fault : std::uint8_t { Proxy, Source, Target };

    explicit Socks5Client(const Socks5Request& request) : request_(request) {}

    // The first octets to send.
    void begin(std::string& out);
    // Takes octets off the front of `input`, to the end of the handshake and no further: what is left when Connected
    // comes from the target.
    Step on_octets(std::string_view& input, std::string& out);

    // Connected: the address that the proxy says it sends from, if it does.
    const std::optional<IpAddress>& bound() const { return bound_; }
    Fault fault() const { return fault_; }
    const std::string& problem() const { return problem_; }

private:
    enum class State : std::uint8_t { Methods, Login, Bind, Connect, Done };

    std::size_t wanted() const;
    Step on_answer(std::string& out);
    Step on_method(std::string& out);
    Step on_login(std::string& out);
    Step on_command(std::string& out);
    void write_login(std::string& out);
    void write_command(std::string& out);
    void next_command(std::string& out);
    Step fail(Fault fault, std::string problem);
    unsigned octet(std::size_t at) const { return static_cast<unsigned char>(answer_[at]); }

    const Socks5Request request_;
    State state_ = State::Methods;
    std::string answer_;  // what has come of it
    std::optional<IpAddress> bound_;
    Fault fault_ = Fault::Proxy;
    std::string problem_;
};

}  // namespace postfleet::proxy
