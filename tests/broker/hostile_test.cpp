// A server that is no broker, or a broken one: nothing crashes or hangs, nobody is told "ok", and it is tried again.
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <thread>

#include "postfleet/amqp/broker.hpp"
#include "postfleet/support/await.hpp"
#include "postfleet/support/broker_session.hpp"

namespace postfleet {

namespace {

using namespace std::chrono_literals;

std::string number(std::uint64_t value, int octets) {
    std::string out;
    for (int i = octets - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i));
    return out;
}
std::string short_text(std::string_view text) { return number(text.size(), 1) + std::string(text); }
std::string long_text(std::string_view text) { return number(text.size(), 4) + std::string(text); }
std::string frame(int type, int channel, const std::string& payload) {
    return number(static_cast<std::uint64_t>(type), 1) + number(static_cast<std::uint64_t>(channel), 2) +
           number(payload.size(), 4) + payload + "\xce";
}
std::string method(int channel, int class_id, int method_id, const std::string& arguments = {}) {
    return frame(
        1, channel,
        number(static_cast<std::uint64_t>(class_id), 2) + number(static_cast<std::uint64_t>(method_id), 2) + arguments);
}

// What a broker says until a publisher or consumer is set up; each is an answer to what the client said before.
std::vector<std::string> polite() {
    return {
        method(0, 10, 10, std::string("\0\x09", 2) + number(0, 4) + long_text("PLAIN") + long_text("en_US")),
        method(0, 10, 30, number(16, 2) + number(131072, 4) + number(0, 2)),
        method(0, 10, 41, short_text("")),
        method(1, 20, 11, number(0, 4)),
        method(1, 85, 11),
    };
}

// Accepts connections one after the other; says its script, one text for each time the client has said something.
class Impostor {
public:
    explicit Impostor(std::vector<std::vector<std::string>> scripts) : scripts_(std::move(scripts)) {
        fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{.sin_family = AF_INET};
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        REQUIRE(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
        REQUIRE(::listen(fd_, 16) == 0);
        socklen_t size = sizeof address;
        REQUIRE(::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
        port_ = ntohs(address.sin_port);
        thread_ = std::thread([this] { run(); });
    }
    ~Impostor() {
        is_stopping_.store(true);
        ::shutdown(fd_, SHUT_RDWR);
        thread_.join();
        ::close(fd_);
    }
    std::uint16_t port() const { return port_; }
    std::size_t finished() const { return finished_.load(); }

private:
    void run() {
        for (std::size_t turn = 0; !is_stopping_.load(); ++turn) {
            const int client = ::accept(fd_, nullptr, nullptr);
            if (client < 0) return;
            play(client, scripts_[turn % scripts_.size()]);
            ::close(client);
            finished_.fetch_add(1);
        }
    }
    void play(int client, const std::vector<std::string>& script) const {
        char buffer[65536];
        for (const std::string& text : script) {
            pollfd readable{client, POLLIN, 0};
            if (::poll(&readable, 1, 300) < 0) return;
            if (readable.revents != 0 && ::recv(client, buffer, sizeof buffer, 0) <= 0) return;
            if (::send(client, text.data(), text.size(), MSG_NOSIGNAL) < 0) return;
        }
        // Until the client has had enough of it.
        for (int i = 0; i < 20 && !is_stopping_.load(); ++i) {
            pollfd readable{client, POLLIN, 0};
            if (::poll(&readable, 1, 100) > 0 && ::recv(client, buffer, sizeof buffer, 0) <= 0) return;
        }
    }

    const std::vector<std::vector<std::string>> scripts_;
    int fd_ = -1;
    std::uint16_t port_ = 0;
    std::atomic<bool> is_stopping_{false};
    std::atomic<std::size_t> finished_{0};
    std::thread thread_;
};

std::vector<std::string> after(std::size_t polite_count, std::vector<std::string> more) {
    auto out = polite();
    out.resize(polite_count);
    std::move(more.begin(), more.end(), std::back_inserter(out));
    return out;
}

std::vector<std::vector<std::string>> scripts() {
    std::mt19937 random(20261122);
    const auto garbage = [&](std::size_t size) {
        std::string out;
        while (out.size() < size) out += static_cast<char>(random());
        return out;
    };
    const std::string deliver =
        method(1, 60, 60, short_text("tag") + number(1, 8) + number(0, 1) + short_text("exchange") + short_text("key"));
    const std::string returned =
        method(1, 60, 50, number(312, 2) + short_text("NO_ROUTE") + short_text("") + short_text("nobody"));
    const std::string header = frame(2, 1, number(60, 2) + number(0, 2) + number(1'000'000, 8) + number(0, 2));
    std::vector<std::vector<std::string>> out{
        {"HTTP/1.1 400 Bad Request\r\n\r\n"},
        {std::string("AMQP\0\0\x08\0", 8)},
        {garbage(10'000)},
        {std::string(1, '\1') + number(0, 2) + number(UINT32_MAX, 4)},  // a frame of 4 GiB
        after(5, {garbage(1000)}),
        after(5, {method(1, 60, 80, number(99, 8) + number(0, 1))}),   // ack of what was never sent
        after(5, {method(1, 60, 120, number(99, 8) + number(1, 1))}),  // and nack
        after(5, {frame(2, 1, "")}),
        after(5, {frame(3, 1, "a body of nothing")}),
        after(5, {header}),
        after(5, {deliver + deliver}),
        after(5, {deliver + header + frame(3, 1, std::string(100'000, 'x')) +
                  method(1, 60, 80, number(1, 8) + number(0, 1))}),
        after(5, {returned + header + frame(3, 1, std::string(1'000'000, 'x'))}),
        after(5, {deliver + frame(2, 1, number(60, 2) + number(0, 2) + number(UINT64_MAX, 8) + number(0, 2))}),
        after(5,
              {deliver + frame(2, 1, number(60, 2) + number(0, 2) + number(5, 8) + number(0xfffe, 2) + garbage(200))}),
        after(5, {method(1, 60, 30, short_text("tag") + number(0, 1))}),  // cancel
        after(5, {method(7, 60, 80, number(1, 8) + number(0, 1))}),       // another channel
        after(5, {method(1, 20, 40, number(404, 2) + short_text("NO") + number(0, 4))}),
        after(5, {method(0, 10, 50, number(320, 2) + short_text("CLOSED") + number(0, 4))}),
        after(5, {method(0, 10, 60, short_text("low on memory"))}),
        after(5, {method(1, 999, 999)}),
    };
    for (std::size_t step = 0; step <= 5; ++step) {
        for (int i = 0; i < 4; ++i) {
            // Something right with octets changed.
            auto script = after(5, {deliver + header});
            auto& text = script[step % script.size()];
            for (int k = 0; k < 3; ++k) text[random() % text.size()] = static_cast<char>(random());
            out.push_back(std::move(script));
        }
    }
    return out;
}

// A broker that answers what a consumer says, has `waiting` messages in the queue, and gives out none of them.
class ForgetfulBroker {
public:
    explicit ForgetfulBroker(std::uint32_t waiting) {
        using Method = std::pair<int, int>;
        answers_ = {
            {Method{10, 11}, method(0, 10, 30, number(16, 2) + number(131072, 4) + number(0, 2))},
            {Method{10, 40}, method(0, 10, 41, short_text(""))},
            {Method{20, 10}, method(1, 20, 11, number(0, 4))},
            {Method{60, 10}, method(1, 60, 11)},
            {Method{60, 20}, method(1, 60, 21, short_text("tag"))},
            {Method{50, 10}, method(1, 50, 11, short_text("queue") + number(waiting, 4) + number(1, 4))},
            {Method{10, 50}, method(0, 10, 51)},
        };
        fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{.sin_family = AF_INET};
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        REQUIRE(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
        REQUIRE(::listen(fd_, 16) == 0);
        socklen_t size = sizeof address;
        REQUIRE(::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
        port_ = ntohs(address.sin_port);
        thread_ = std::thread([this] {
            for (int client = 0; (client = ::accept(fd_, nullptr, nullptr)) >= 0; ::close(client)) {
                connections.fetch_add(1);
                serve(client);
            }
        });
    }
    ~ForgetfulBroker() {
        ::shutdown(fd_, SHUT_RDWR);
        thread_.join();
        ::close(fd_);
    }
    std::uint16_t port() const { return port_; }

    std::atomic<std::size_t> connections{0}, questions{0};

private:
    void serve(int client) {
        constexpr std::size_t kProtocolHeader = 8, kFrameHeader = 7;
        std::string got;
        bool has_begun = false;
        char buffer[65536];
        for (ssize_t size = 0; (size = ::recv(client, buffer, sizeof buffer, 0)) > 0;) {
            got.append(buffer, static_cast<std::size_t>(size));
            if (!has_begun && got.size() >= kProtocolHeader) {
                has_begun = true;
                got.erase(0, kProtocolHeader);
                say(client, polite().front());
            }
            while (has_begun && got.size() >= kFrameHeader) {
                const auto octet = [&](std::size_t at) {
                    return static_cast<int>(static_cast<unsigned char>(got[at]));
                };
                const auto length =
                    static_cast<std::size_t>((octet(3) << 24) + (octet(4) << 16) + (octet(5) << 8) + octet(6));
                if (got.size() < kFrameHeader + length + 1) break;
                if (octet(0) == 1) answer(client, (octet(7) << 8) + octet(8), (octet(9) << 8) + octet(10));
                got.erase(0, kFrameHeader + length + 1);
            }
        }
    }
    void answer(int client, int class_id, int method_id) {
        if (class_id == 50) questions.fetch_add(1);
        const auto found = answers_.find({class_id, method_id});
        if (found != answers_.end()) say(client, found->second);
    }
    static void say(int client, const std::string& text) {
        [[maybe_unused]] const auto sent = ::send(client, text.data(), text.size(), MSG_NOSIGNAL);
    }

    std::map<std::pair<int, int>, std::string> answers_;
    int fd_ = -1;
    std::uint16_t port_ = 0;
    std::thread thread_;
};

struct Forgotten {
    explicit Forgotten(std::uint32_t waiting) : server(waiting) {
        options.stuck_after = 50ms;
        options.shortest_pause = options.longest_pause = 1ms;
        options.access.url.hosts = {{"127.0.0.1", server.port()}};
        options.metrics = &metrics;
        broker = std::make_unique<amqp::Broker>(options);
        consumer = broker->consumer(session.options("queue"));
    }
    std::uint64_t stuck() { return metrics.counter("postfleet_broker_stuck_total", "", {{"queue", "queue"}}).value(); }

    ForgetfulBroker server;
    support::ManualExecutor executor;
    support::BrokerSession session{executor};
    Metrics metrics;
    amqp::BrokerOptions options;
    std::unique_ptr<amqp::Broker> broker;
    std::unique_ptr<BrokerConsumer> consumer;
};

}  // namespace

TEST_CASE("a consumer that gets nothing although messages wait is connected anew, and that is counted", "[RMQ-21]") {
    Forgotten world(3);
    CHECK(support::eventually([&] { return world.stuck() >= 2 && world.server.connections.load() >= 3; }, 60s));
    CHECK(world.session.stop(*world.consumer));
}

TEST_CASE("a consumer of an empty queue stays where it is", "[RMQ-21]") {
    Forgotten world(0);
    CHECK(support::eventually([&] { return world.server.questions.load() >= 10; }, 60s));
    CHECK(world.stuck() == 0);
    CHECK(world.server.connections.load() == 1);
    CHECK(world.session.stop(*world.consumer));
}

TEST_CASE("a hostile server crashes nothing, keeps nobody waiting, and confirms nothing", "[RMQ-6][RMQ-7][RMQ-9]") {
    const auto all = scripts();
    Impostor impostor(all), impostor_for_consumer(all);
    support::ManualExecutor executor;
    support::BrokerSession session(executor);
    amqp::BrokerOptions options;
    options.heartbeat = 1s;
    options.connect_timeout = 200ms;
    options.confirm_timeout = 200ms;
    options.stall_timeout = 500ms;
    options.shortest_pause = options.longest_pause = 1ms;
    options.access.url.hosts = {{"127.0.0.1", impostor.port()}};
    amqp::Broker broker(options);
    options.access.url.hosts = {{"127.0.0.1", impostor_for_consumer.port()}};
    amqp::Broker other(options);
    const auto publisher = broker.publisher();
    const auto consumer = other.consumer(session.options("queue"));

    std::size_t count = 0;
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    while (std::chrono::steady_clock::now() < deadline &&
           (impostor.finished() < all.size() || impostor_for_consumer.finished() < all.size())) {
        session.publish(*publisher, {"", "queue"}, support::broker_message("id-" + std::to_string(count++)));
        executor.run_until_idle();
        std::this_thread::sleep_for(2ms);
    }
    CHECK(impostor.finished() >= all.size());
    CHECK(impostor_for_consumer.finished() >= all.size());
    REQUIRE(session.wait_for_answers(count));
    for (const auto& [id, answer] : session.answers) {
        INFO(id);
        CHECK(answer != "ok");
    }
    CHECK(session.stop(*consumer));
}

}  // namespace postfleet
