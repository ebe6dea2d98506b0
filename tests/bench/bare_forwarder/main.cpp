// bare_forwarder LISTEN SINK LOG [THREADS [CONNECTIONS [KEY]]]
//   e.g. bare_forwarder 127.0.0.1:2525 127.0.0.1:2600 /var/tmp/bare.log 2 20
#include <fmt/format.h>
#include <pthread.h>

#include <csignal>
#include <cstdlib>

#include "forwarder.hpp"
#include "postfleet/crypto/signing_keys.hpp"
#include "postfleet/net/tcp_listener.hpp"

namespace postfleet::bench {
namespace {

class Shards final : public net::AcceptHandler {
public:
    Shards(net::LoopGroup& loops, SyncedLog& log, const Endpoint& to, unsigned connections, const SigningKey* key) {
        const auto count = static_cast<unsigned>(loops.size());
        for (net::EpollLoop* loop : loops.loops()) {
            const unsigned own = connections / count + (loop->shard() < connections % count ? 1 : 0);
            shards_.push_back(std::make_unique<Shard>(*loop, log, to, own, key));
        }
    }
    void on_accepted(net::EpollLoop& loop, std::unique_ptr<Stream> stream) override {
        Intake::start(*shards_[loop.shard()], std::move(stream));
    }

private:
    std::vector<std::unique_ptr<Shard>> shards_;
};

template <class T>
T need(Result<T> result) {
    if (result) return std::move(*result);
    fmt::print(stderr, "bare_forwarder: {}\n", result.error().text);
    std::exit(1);
}

int run(int count, char** arguments) {
    if (count < 4) {
        fmt::print(stderr, "usage: bare_forwarder LISTEN SINK LOG [THREADS [CONNECTIONS [KEY]]]\n");
        return 2;
    }
    sigset_t ending;
    ::sigemptyset(&ending);
    ::sigaddset(&ending, SIGINT);
    ::sigaddset(&ending, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &ending, nullptr);
    const unsigned threads = count > 4 ? static_cast<unsigned>(std::atoi(arguments[4])) : 2;
    const unsigned connections = count > 5 ? static_cast<unsigned>(std::atoi(arguments[5])) : 20;
    const auto key = count > 6 ? need(crypto::load_signing_key(arguments[6])) : nullptr;
    const auto loops = need(net::LoopGroup::create(threads));
    const auto log = need(SyncedLog::open(arguments[3], *loops));
    const auto listener =
        need(net::TcpListener::open({.name = "LISTEN", .address = need(Endpoint::parse(arguments[1]))}));
    Shards shards(*loops, *log, need(Endpoint::parse(arguments[2])), connections, key.get());
    loops->start();
    listener->start(loops->loops(), shards);
    fmt::print(stderr, "ready\n");
    int signal = 0;
    ::sigwait(&ending, &signal);
    // Nothing here is worth an orderly end: the log cannot be recovered from anyway.
    std::_Exit(0);
}

}  // namespace
}  // namespace postfleet::bench

int main(int count, char** arguments) { return postfleet::bench::run(count, arguments); }
