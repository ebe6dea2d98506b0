#include "postfleet/ingest/smtp_listener_service.hpp"

#include <catch2/catch.hpp>
#include <atomic>
#include <mutex>
#include <thread>

#include "postfleet/config_files/load.hpp"
#include "postfleet/net/loop_group.hpp"
#include "postfleet/support/await.hpp"
#include "smtp_socket.hpp"

namespace postfleet::ingest {
namespace {

// A store for several threads: counts, and answers at once or when it is told to.
class CountingHandover final : public Handover {
public:
    std::atomic<std::uint64_t> messages{0}, octets{0};

    void hold(bool on) {
        const std::lock_guard lock(mutex_);
        holding_ = on;
    }
    void release() {
        const std::lock_guard lock(mutex_);
        for (auto& done : held_) answer(std::move(done));
        held_.clear();
    }
    Admission admission() const override { return {}; }
    void holds(MessageId, Completion<Result<bool>> done) override {
        done.on->post([run = std::move(done.run)]() mutable { run(false); });
    }
    void hand_over(AcceptedMessage message, Completion<Status> done) override {
        messages += 1;
        octets += message.message->size_octets;
        const std::lock_guard lock(mutex_);
        if (holding_) held_.push_back(std::move(done));
        else answer(std::move(done));
    }
    void append_content(MessageId, std::uint32_t, SharedOctets, Completion<Status> done) override {
        answer(std::move(done));
    }
    void discard_content(MessageId, std::uint32_t) override {}

private:
    static void answer(Completion<Status> done) {
        done.on->post([run = std::move(done.run)]() mutable { run({}); });
    }
    std::mutex mutex_;
    bool holding_ = false;
    std::vector<Completion<Status>> held_;
};

std::string listener(const std::string& name, const std::string& more = "",
                     const std::string& address = "127.0.0.1:0") {
    return "  " + name + ": {address: \"" + address + "\", relay_from: [127.0.0.0/8]" +
           (more.empty() ? "" : ", " + more) + "}\n";
}

IngestConfiguration configuration(const std::string& listeners, const std::string& more = "") {
    const auto loaded = config_files::load_text("hostname: mx.example\nlisteners:\n" + listeners +
                                                "virtual_mtas: {tx-1: {}}\ndefault_virtual_mta: tx-1\n" + more);
    INFO(config_files::to_string(loaded.problems));
    REQUIRE(loaded.config);
    return {loaded.config, routing::Snapshot::compile(*loaded.config)};
}

struct Fixture {
    explicit Fixture(const std::string& listeners = listener("relay"), unsigned shards = 2)
        : loops(*net::LoopGroup::create(shards)),
          service({.loops = loops->loops(), .handover = handover, .metrics = metrics, .log = {}}) {
        loops->start();
        const Status started = service.start(configuration(listeners));
        REQUIRE(started);
    }
    ~Fixture() {
        loops->stop();
        loops->join();
    }
    Endpoint address(const std::string& name = "relay") {
        for (const auto& status : service.listeners()) {
            if (status.name == name) return status.address;
        }
        FAIL("no listener " << name);
        return {};
    }
    std::uint64_t unanswered() { return metrics.counter("postfleet_ingest_unanswered_messages_total", "").value(); }
    ListenerStatus status(const std::string& name = "relay") {
        for (auto& status : service.listeners()) {
            if (status.name == name) return status;
        }
        return {};
    }
    std::optional<Status> drain(Duration patience) {
        return support::await_result<Status>(
            *loops->loops()[0], [&](auto done) { service.drain(steady_clock_now() + patience, std::move(done)); });
    }

    CountingHandover handover;
    Metrics metrics;
    std::unique_ptr<net::LoopGroup> loops;
    SmtpListenerService service;
};

void begin(SmtpSocket& client) {
    REQUIRE(client.ask("MAIL FROM:<a@b.example>").starts_with("250"));
    REQUIRE(client.ask("RCPT TO:<c@d.example>").starts_with("250"));
    REQUIRE(client.ask("DATA").starts_with("354"));
}

std::string greet(SmtpSocket& client) {
    const std::string greeting = client.read_reply();
    client.ask("EHLO client.example");
    return greeting;
}

}  // namespace

TEST_CASE("many clients send at once over all loops, and every message is answered", "[edge]") {
    Fixture f;
    constexpr int kClients = 8, kMessages = 25;
    std::vector<std::thread> clients;
    std::atomic<int> accepted{0};
    for (int c = 0; c < kClients; ++c) {
        clients.emplace_back([&f, &accepted] {
            SmtpSocket client(f.address());
            greet(client);
            for (int m = 0; m < kMessages; ++m) {
                client.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n");
                client.read_reply();
                client.read_reply();
                if (!client.read_reply().starts_with("354")) return;
                client.send("Subject: x\r\n\r\nbody\r\n.\r\n");
                if (client.read_reply().starts_with("250 2.0.0 Ok: queued as ")) ++accepted;
            }
            if (client.ask("QUIT").starts_with("221")) client.read_to_end();
        });
    }
    for (auto& client : clients) client.join();
    CHECK(accepted == kClients * kMessages);
    CHECK(f.handover.messages == kClients * kMessages);
    CHECK(f.status().messages_total == kClients * kMessages);
    CHECK(f.status().connections_total == kClients);
    CHECK(support::eventually([&] { return f.status().connections == 0; }));
}

TEST_CASE("a message of several chunks goes through over sockets", "[edge]") {
    Fixture f;
    SmtpSocket client(f.address());
    greet(client);
    begin(client);
    std::string mail = "Subject: big\r\n\r\n";
    while (mail.size() < 3'000'000) mail += std::string(98, 'x') + "\r\n";
    client.send(mail + ".\r\n");
    CHECK(client.read_reply().starts_with("250 "));
    CHECK(f.handover.octets == mail.size());
}

TEST_CASE("connections beyond the limit hear 421, and a closed one makes room", "[edge]") {
    Fixture f(listener("relay", "max_connections: 2"));
    auto first = std::make_unique<SmtpSocket>(f.address());
    SmtpSocket second(f.address());
    CHECK(first->read_reply().starts_with("220"));
    CHECK(second.read_reply().starts_with("220"));
    SmtpSocket third(f.address());
    CHECK(third.read_to_end() == "421 4.3.2 Too many connections, try later\r\n");
    CHECK(f.status().connections == 2);
    first->close();
    CHECK(support::eventually([&] { return f.status().connections == 1; }));
    SmtpSocket fourth(f.address());
    CHECK(fourth.read_reply().starts_with("220"));
}

TEST_CASE("a client that says nothing is closed when its time is over, even when it trickles", "[edge]") {
    Fixture f(listener("relay", "command_timeout: 200ms"));
    SmtpSocket silent(f.address());
    CHECK(greet(silent).starts_with("220"));
    CHECK(silent.read_to_end() == "421 4.4.2 mx.example has waited too long\r\n");
    SmtpSocket trickling(f.address());
    greet(trickling);
    std::thread writer([&] {
        for (int i = 0; i < 400; ++i) {
            if (trickling.send_some("N") == 0) return;
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
    });
    const std::string rest = trickling.read_to_end();
    CHECK(rest.starts_with("421 4.4.2 "));
    writer.join();
}

TEST_CASE("data that comes too slowly ends with 421, and nothing is kept", "[edge][SEC-10]") {
    Fixture f(listener("relay", "data_timeout: 200ms"));
    SmtpSocket slow(f.address());
    greet(slow);
    begin(slow);
    slow.send("Subject: x\r\n");
    CHECK(slow.read_to_end() == "421 4.4.2 mx.example has waited too long\r\n");
    CHECK(f.handover.messages == 0);
}

TEST_CASE("a client that ends its side while the store thinks still gets its answer", "[edge][S5321-8]") {
    Fixture f;
    f.handover.hold(true);
    SmtpSocket half(f.address());
    SmtpSocket polite(f.address());
    for (SmtpSocket* const client : {&half, &polite}) {
        greet(*client);
        begin(*client);
        client->send(client == &half ? "body\r\n.\r\n" : "body\r\n.\r\nQUIT\r\n");
        client->end();
    }
    REQUIRE(support::eventually([&] { return f.handover.messages == 2; }));
    f.handover.release();
    CHECK(half.read_reply().starts_with("250 2.0.0 Ok: queued as "));
    CHECK(half.read_to_end().empty());
    CHECK(polite.read_reply().starts_with("250 2.0.0 Ok: queued as "));
    CHECK(polite.read_to_end() == "221 2.0.0 Bye\r\n");
    half.close();
    polite.close();
    CHECK(support::eventually([&] { return f.status().connections == 0; }));
    CHECK(f.unanswered() == 0);
}

TEST_CASE("a client that is gone altogether is counted when its message turns out to be kept", "[edge][P3]") {
    Fixture f(listener("relay"), 1);
    f.handover.hold(true);
    SmtpSocket gone(f.address());
    greet(gone);
    begin(gone);
    gone.send("body\r\n.\r\n");
    REQUIRE(support::eventually([&] { return f.handover.messages == 1; }));
    gone.close();
    SmtpSocket other(f.address());
    greet(other);  // so the loop has seen the end of the first one
    other.close();
    f.handover.release();
    CHECK(support::eventually([&] { return f.unanswered() == 1 && f.status().connections == 0; }));
}

TEST_CASE("a client that does not read its replies is not read from any more", "[edge]") {
    Fixture f(listener("relay"), 1);
    SmtpSocket client(f.address());
    greet(client);
    std::string noops;
    for (int i = 0; i < 10'000; ++i) noops += "NOOP\r\n";
    std::size_t sent = 0;
    int stuck = 0;
    while (stuck < 200 && sent < 200'000'000) {
        const std::size_t now = client.send_some(noops.substr(sent % 6));
        sent += now;
        if (now == 0) {
            ++stuck;
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        } else {
            stuck = 0;
        }
    }
    CHECK(sent < 200'000'000);
    // Everything that was sent is answered once the client reads again.
    for (std::size_t i = 0; i < sent / 6; ++i) REQUIRE(client.read_line() == "250 2.0.0 Ok");
}

TEST_CASE("the last reply arrives although the client is still sending", "[edge]") {
    Fixture f;
    SmtpSocket client(f.address());
    greet(client);
    client.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n");
    client.read_reply();
    client.read_reply();
    client.send("DATA\r\n" + std::string(30'000, 'x'));
    client.send(std::string(30'000, 'y'));
    CHECK(client.read_to_end() == "554 5.5.0 Data before the 354 reply; closing\r\n");
}

TEST_CASE("a reload adds, keeps and removes listeners, and a wrong one changes nothing", "[edge]") {
    Fixture f(listener("relay") + listener("second"));
    const Endpoint relay = f.address();
    const Endpoint second = f.address("second");
    SmtpSocket on_relay(relay);
    SmtpSocket on_second(second);
    greet(on_relay);
    greet(on_second);

    const Status failed = f.service.reload(configuration(listener("relay") + listener("third", "", relay.to_string())));
    REQUIRE_FALSE(failed);
    CHECK(failed.error().text.find("listeners.third.address") != std::string::npos);
    CHECK(f.service.listeners().size() == 2);

    const Status applied =
        f.service.reload(configuration(listener("relay", "max_message_size: 2KiB") + listener("third")));
    REQUIRE(applied);
    CHECK(f.address() == relay);
    CHECK(f.service.listeners().size() == 2);
    CHECK(on_second.read_to_end() == "421 4.3.2 mx.example is shutting down\r\n");
    SmtpSocket on_third(f.address("third"));
    CHECK(greet(on_third).starts_with("220"));
    // The connection from before goes on, by the new rules.
    CHECK(support::eventually([&] {
        const bool new_rules = on_relay.ask("MAIL FROM:<a@b.example> SIZE=3000").starts_with("552");
        if (!new_rules) on_relay.ask("RSET");
        return new_rules;
    }));
    const Status back = f.service.reload(configuration(listener("relay") + listener("second")));
    REQUIRE(back);
    SmtpSocket again(f.address("second"));
    CHECK(greet(again).starts_with("220"));
}

TEST_CASE("draining tells idle clients 421 and lets transactions finish", "[edge][S5321-1]") {
    Fixture f;
    SmtpSocket idle(f.address());
    SmtpSocket busy(f.address());
    greet(idle);
    greet(busy);
    begin(busy);
    std::optional<Status> drained;
    std::thread waiting([&] { drained = f.drain(std::chrono::seconds(10)); });
    CHECK(idle.read_to_end() == "421 4.3.2 mx.example is shutting down\r\n");
    busy.send("body\r\n.\r\n");
    CHECK(busy.read_reply().starts_with("250 2.0.0 Ok: queued"));
    CHECK(busy.read_reply() == "421 4.3.2 mx.example is shutting down");
    busy.close();
    idle.close();
    waiting.join();
    REQUIRE(drained);
    CHECK(*drained);
    CHECK(f.service.listeners().empty());
}

TEST_CASE("draining ends at its deadline, with the rest closed", "[edge]") {
    Fixture f;
    f.handover.hold(true);
    SmtpSocket stuck(f.address());
    greet(stuck);
    begin(stuck);
    stuck.send("body\r\n.\r\n");
    REQUIRE(support::eventually([&] { return f.handover.messages == 1; }));
    const auto drained = f.drain(std::chrono::milliseconds(50));
    REQUIRE(drained);
    REQUIRE_FALSE(*drained);
    CHECK(drained->error().kind == ErrorKind::DeadlineExceeded);
    CHECK(stuck.read_to_end().empty());
    f.handover.release();
}

TEST_CASE("transactions that are open when draining has no more time end with 421", "[edge][S5321-1]") {
    Fixture f;
    SmtpSocket open(f.address());
    greet(open);
    begin(open);
    REQUIRE(f.drain(std::chrono::milliseconds(50)));
    CHECK(open.read_to_end() == "421 4.3.2 mx.example is shutting down\r\n");
}

TEST_CASE("an address that is taken is an error that names the key and the place", "[edge]") {
    Fixture first;
    Fixture second;
    const Status status = second.service.reload(configuration(listener("relay", "", first.address().to_string())));
    REQUIRE_FALSE(status);
    CHECK(status.error().text.find("listeners.relay.address " + first.address().to_string()) != std::string::npos);
    CHECK(status.error().text.find("postfleet.yaml:3") != std::string::npos);
}

}  // namespace postfleet::ingest
