// Forwarder: the least an SMTP relay can do: SMTP in, one synced log, SMTP out over reused connections.
//
// The measure for `make bench`. No routing, header work, policy, retries, limits, log lines or events; a
// refusal on the way out ends the program. Mail stays on the loop that took it. With a key the loop hashes each content
// and signs the hash, which is what DKIM costs at least; what comes out no verifier would take.
//
//   Intake: Command -> Content -> Syncing -> Command …      Delivery: Greeting -> Ehlo -> Idle -> Envelope -> Content -> Idle
//
// Threads: a Shard and its sessions are confined to its loop.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "postfleet/crypto/openssl_digests.hpp"
#include "postfleet/net/epoll_loop.hpp"
#include "postfleet/ports/signing_key.hpp"
#include "synced_log.hpp"

namespace postfleet::bench {

class Delivery;

class Shard {
public:
    Shard(net::EpollLoop& loop, SyncedLog& log, const Endpoint& to, unsigned connections, const SigningKey* key)
        : loop_(loop), log_(log), to_(to), connections_(connections), key_(key) {}
    ~Shard();

    void enqueue(std::shared_ptr<const Mail> mail);
    std::shared_ptr<const Mail> take() {
        if (queue_.empty()) return nullptr;
        std::shared_ptr<const Mail> mail = std::move(queue_.front());
        queue_.pop_front();
        return mail;
    }
    void set_idle(Delivery& delivery) { idle_.push_back(&delivery); }
    net::EpollLoop& loop() { return loop_; }
    SyncedLog& log() { return log_; }
    std::uint64_t next_number() { return ++numbers_; }
    // A header field; empty without a key.
    std::string sign(std::string_view content) const;

private:
    net::EpollLoop& loop_;
    SyncedLog& log_;
    const Endpoint to_;
    const unsigned connections_;
    const SigningKey* const key_;
    const crypto::OpensslDigests digests_;
    std::uint64_t numbers_ = 0;
    std::deque<std::shared_ptr<const Mail>> queue_;
    std::vector<Delivery*> idle_;
    std::vector<std::unique_ptr<Delivery>> deliveries_;  // opened when the first mail comes
};

class Intake final : public StreamHandler, public std::enable_shared_from_this<Intake> {
public:
    static void start(Shard& shard, std::unique_ptr<Stream> stream);
    void on_data(std::string_view octets) override;
    void on_closed(const CloseReason& reason) override;

private:
    enum class State { Command, Content, Syncing };

    Intake(Shard& shard, std::unique_ptr<Stream> stream) : shard_(shard), stream_(std::move(stream)) {}
    std::size_t take_line(std::string_view input);
    std::size_t take_content(std::string_view input);
    void on_command(std::string_view line);
    void on_end_of_data();
    void on_synced();
    void consume(std::string_view input);

    Shard& shard_;
    std::unique_ptr<Stream> stream_;
    // Sessions live as long as their connection or a record of theirs in the log.
    std::shared_ptr<Intake> self_;
    State state_ = State::Command;
    bool wants_quit_ = false;
    std::shared_ptr<Mail> mail_ = std::make_shared<Mail>();
    std::string partial_, held_, out_;
};

class Delivery final : public StreamHandler {
public:
    Delivery(Shard& shard, const Endpoint& to);
    void deliver(std::shared_ptr<const Mail> mail);
    void on_data(std::string_view octets) override;
    void on_closed(const CloseReason& reason) override;

private:
    enum class State { Greeting, Ehlo, Idle, Envelope, Content };

    void on_reply(char first_digit, std::string_view line);
    void next();

    Shard& shard_;
    std::unique_ptr<Stream> stream_;
    State state_ = State::Greeting;
    unsigned replies_left_ = 0;
    std::shared_ptr<const Mail> mail_;
    std::string partial_;
};

}  // namespace postfleet::bench
