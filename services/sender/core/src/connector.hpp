// Connector: finds the connection of one DeliverySession: the destination's addresses in delivery order, each from
// a source address of the virtual MTA and through its proxy, until one is up (RFC 5321 §5.1).
//
//   next() ─▶ connecting [─▶ proxy] ─▶ on_connection_up: take_stream()     not good after all (4xx greeting …)? fail(), next()
//        └── no address left, or too late ─▶ on_no_connection: failure() or hold() says why
//
// Hosts that did not answer a moment ago come last, whatever their preference (PeerMemory).
// What cannot be used, a source or the proxy, is suspended at the virtual MTA (virtual_mta.hpp). After
// kLongestSearch no further address is begun, so that one slow host after the other cannot hold a permit for hours.
//
// Threads: confined to its shard. The owner outlives it, and keeps itself alive while it is called.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "destination.hpp"
#include "postfleet/ports/transport.hpp"
#include "postfleet/proxy/socks5_client.hpp"
#include "postfleet/sender/sender.hpp"
#include "queue.hpp"

namespace postfleet::sender {

class Engine;
struct Shard;

class ConnectorOwner {
public:
    // `first_octets`: what the server has said already (behind a proxy's last answer).
    virtual void on_connection_up(std::string_view first_octets) = 0;
    virtual void on_no_connection() = 0;

protected:
    ~ConnectorOwner() = default;
};

class Connector final : public StreamHandler {
public:
    static constexpr Duration kLongestSearch = std::chrono::minutes(10);

    Connector(Engine& engine, Shard& shard, const std::shared_ptr<Queue>& queue, Destination& destination,
              ConnectorOwner& owner);

    // The next address; the owner may be called from inside when there is none.
    void next(const shaping::Settings& settings);
    // The address that was tried last, once more.
    void again(const shaping::Settings& settings);
    // Drops what is under way; nobody is called.
    void stop();
    // The same, and the limits are not told: the process ends.
    void abandon();

    // The connection that is up; from here on it is the owner's, its handler included.
    std::unique_ptr<Stream> take_stream() { return std::move(stream_); }
    // The login of the address that was tried last rests: the mail is held, unless another host takes it.
    void hold_login();
    // The address that was tried last turned out not to serve.
    void fail(SmtpPhase phase, smtp::Ending ending, Reply reply);

    const Destination& destination() const { return destination_; }
    const Endpoint& peer() const { return peer_; }
    const std::string& mx_host() const { return mx_host_; }
    const std::vector<std::string>& tlsa_bases() const { return candidates_[next_candidate_ - 1].tlsa_bases; }
    bool is_name_trusted() const { return candidates_[next_candidate_ - 1].is_name_trusted; }
    const std::shared_ptr<const config::RouteAccess>& access() const { return candidates_[next_candidate_ - 1].access; }
    const std::string& mx_address() const { return mx_address_; }
    const std::string& source_address() const { return source_text_; }
    const std::optional<IpAddress>& source() const { return source_; }
    // Who we are from there.
    std::string ehlo_name() const;
    // Some other address of the destination has not failed a moment ago.
    bool has_other_host() const;

    // Why there is no connection: how the last address failed …
    OpenFailure take_failure() { return std::move(failure_); }
    // … or that no source address could be used for any of them, or that the login rests.
    struct Held {
        std::string reason;  // empty: that was not it
        SteadyTime until = SteadyTime::min();
        bool is_login = false;  // else no source address can be used
    };
    const Held& no_source() const { return no_source_; }
    // … or that limits of single addresses left no room.
    const Held& no_room() const { return no_room_; }
    // The limits of the addresses that the connection uses.
    const std::vector<LimitUse>& limits() const { return limits_; }

private:
    void on_connected() override;
    void on_data(std::string_view octets) override;
    void on_closed(const CloseReason& reason) override;
    void choose_candidates();
    bool try_candidate(const Candidate& candidate);
    bool take_room(const Candidate& candidate);
    void give_room_back();
    void hold(std::string reason, SteadyTime until);
    static void note(Held held, Held& in);
    bool rests(const std::shared_ptr<const config::RouteAccess>& access);
    void greet_proxy();
    void on_up(std::string_view first_octets);
    void on_bind_failed(std::string_view why);
    void on_proxy_failed(std::string_view why);
    void on_target_failed(std::string why);

    Engine& engine_;
    Shard& shard_;
    const std::shared_ptr<Queue>& queue_;  // the owner's
    VirtualMta& identity_;
    Destination& destination_;  // the owner's
    ConnectorOwner& owner_;
    const SteadyTime give_up_at_;
    const shaping::Settings* settings_ = nullptr;  // the owner's
    bool has_chosen_ = false;
    std::vector<Candidate> candidates_;
    std::size_t next_candidate_ = 0;
    std::optional<IpAddress> source_;
    std::shared_ptr<const config::VirtualMta> way_out_;
    std::shared_ptr<const Secrets> secrets_;  // the handshake borrows from it
    std::optional<proxy::Socks5Client> socks_;
    SteadyTime deadline_{};  // of this address, the proxy included
    Endpoint peer_;
    std::string mx_host_, mx_address_, source_text_;
    OpenFailure failure_;  // of the addresses tried so far
    bool has_tried_ = false;
    Held no_source_, no_room_;
    std::vector<LimitUse> limits_;       // a connection of each is taken
    std::shared_ptr<SharedLimit> full_;  // the first one that had none
    bool was_up_ = false;
    std::unique_ptr<Stream> stream_;
};

// What became of a stream, in words: "timed out".
std::string describe(const CloseReason& reason);

}  // namespace postfleet::sender
