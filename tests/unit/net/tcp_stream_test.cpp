#include <sys/socket.h>

#include <array>

#include "support.hpp"

namespace postfleet::net {
namespace {

TEST_CASE("what one side writes the other reads, both ways, with both addresses known") {
    Server server;
    Peer client;
    auto [near, far] = server.connect(client);
    near->stream->write("hello");
    run_until(*server.loop, [&] { return far->received == "hello"; });
    far->stream->write("and back");
    run_until(*server.loop, [&] { return client.received == "and back"; });
    CHECK(near->stream->remote() == server.address());
    CHECK(near->stream->local() == far->stream->remote());
    CHECK(near->writable == 0);
}

TEST_CASE("pieces go out in order, gathered, whether they have owners or not") {
    Server server;
    Peer client;
    auto [near, far] = server.connect(client);
    std::vector<std::shared_ptr<const std::string>> kept;
    std::vector<WritePiece> pieces;
    std::string expected;
    for (int i = 0; i < 300; ++i) {
        auto owner = std::make_shared<const std::string>("piece " + std::to_string(i) + "\r\n");
        expected += *owner;
        kept.push_back(owner);
        pieces.push_back({*owner, i % 2 == 0 ? owner : nullptr});
    }
    near->stream->write(pieces);
    run_until(*server.loop, [&] { return far->received == expected; });
    near->stream->write("");
    CHECK(near->stream->unsent_octets() == 0);
}

TEST_CASE("a huge write is held back by a reader that pauses, arrives whole, and announces its end once") {
    Server server;
    Peer client;
    auto [near, far] = server.connect(client);
    far->stream->pause_reading();
    auto owner = std::make_shared<std::string>(64 << 20, 'x');
    for (std::size_t i = 0; i < owner->size(); i += 997) (*owner)[i] = static_cast<char>('a' + i % 26);
    const std::weak_ptr<std::string> watch = owner;
    const std::string expected = *owner + "tail";
    {
        const std::array pieces{WritePiece{*owner, owner}, WritePiece{"ta", nullptr}};
        near->stream->write(pieces);
        near->stream->write("il");
    }
    owner.reset();
    CHECK(near->stream->unsent_octets() > (32u << 20));
    CHECK_FALSE(watch.expired());
    for (int i = 0; i < 10; ++i) server.loop->run_turn(Duration::zero());
    CHECK(far->received.empty());
    far->stream->resume_reading();
    run_until(*server.loop, [&] { return far->received.size() == expected.size(); });
    run_until(*server.loop, [&] { return near->writable == 1; });
    CHECK(far->received == expected);
    CHECK(watch.expired());
    CHECK(near->stream->unsent_octets() == 0);
}

TEST_CASE("a pause inside on_data takes effect at once, and a resume finds what arrived meanwhile") {
    Server server;
    Peer client;
    auto [near, far] = server.connect(client);
    far->when_data = [](Peer& peer) { peer.stream->pause_reading(); };
    near->stream->write(std::string(300'000, 'a'));
    run_until(*server.loop, [&, far = far] { return !far->received.empty(); });
    const std::size_t first = far->received.size();
    CHECK(first <= EpollLoop::kScratchOctets);
    for (int i = 0; i < 5; ++i) server.loop->run_turn(Duration::zero());
    CHECK(far->received.size() == first);
    far->when_data = nullptr;
    far->stream->resume_reading();
    run_until(*server.loop, [&, far = far] { return far->received.size() == 300'000; });
}

TEST_CASE("a deadline closes a silent stream, and one that keeps moving does not") {
    Server server;
    Peer client, silent;
    auto [near, far] = server.connect(client);
    server.connect(silent);
    const SteadyTime start = steady_clock_now();
    silent.stream->set_deadline(start + std::chrono::milliseconds(60));
    near->stream->set_deadline(start + std::chrono::milliseconds(30));
    near->stream->set_deadline(start + std::chrono::milliseconds(150));
    run_until(*server.loop, [&] { return silent.closed.has_value(); });
    CHECK(silent.closed->kind == CloseReason::Kind::TimedOut);
    CHECK(steady_clock_now() - start >= std::chrono::milliseconds(60));
    CHECK_FALSE(near->closed.has_value());
    near->stream->set_deadline(start + std::chrono::milliseconds(90));  // earlier than the one it has
    run_until(*server.loop, [&] { return client.closed.has_value(); });
    CHECK(steady_clock_now() - start < std::chrono::milliseconds(150));
    run_until(*server.loop, [&, far = far] { return far->closed.has_value(); });
    CHECK(far->closed->kind == CloseReason::Kind::PeerClosed);
}

TEST_CASE("a handler that deals with its deadline goes on, one that destroys the stream in it is safe") {
    Server server;
    Peer client, other;
    auto [near, far] = server.connect(client);
    server.connect(other);
    client.when_deadline = [](Peer& peer) {
        peer.stream->write("too late");
        peer.stream->set_deadline(steady_clock_now() + std::chrono::milliseconds(10));
        return peer.deadlines == 1;
    };
    other.when_deadline = [](Peer& peer) {
        peer.stream.reset();
        return true;
    };
    client.stream->set_deadline(steady_clock_now() + std::chrono::milliseconds(10));
    other.stream->set_deadline(steady_clock_now() + std::chrono::milliseconds(10));
    run_until(*server.loop, [&] { return client.closed && other.stream == nullptr; });
    CHECK(client.deadlines == 2);
    CHECK(client.closed->kind == CloseReason::Kind::TimedOut);
    run_until(*server.loop, [&, far = far] { return far->closed.has_value(); });
    CHECK(far->received.starts_with("too late"));
    CHECK_FALSE(other.closed);
}

TEST_CASE("who has sent everything can still be answered, if the handler keeps the stream") {
    Server server;
    Peer client;
    auto [near, far] = server.connect(client);
    far->when_ended = [](Peer&) { return true; };
    client.stream->write("question");
    client.stream->shutdown_write();
    run_until(*server.loop, [&, far = far] { return far->ended == 1; });
    for (int i = 0; i < 5; ++i) server.loop->run_turn(Duration::zero());
    CHECK_FALSE(far->closed);
    far->stream->write("answer");
    far->stream->shutdown_write();
    run_until(*server.loop, [&, far = far] { return client.closed && far->closed; });
    CHECK(client.received == "answer");
    CHECK(far->received == "question");
    CHECK(far->closed->kind == CloseReason::Kind::PeerClosed);
    CHECK(far->ended == 1);
}

TEST_CASE("an answer to somebody who is gone altogether ends in a reset") {
    Server server;
    Peer client;
    auto [near, far] = server.connect(client);
    far->when_ended = [](Peer&) { return true; };
    client.stream->close();
    run_until(*server.loop, [&, far = far] { return far->ended == 1; });
    far->stream->write("answer");
    run_until(*server.loop, [&, far = far] { return far->closed.has_value(); });
    CHECK(far->closed->kind == CloseReason::Kind::Reset);
}

TEST_CASE("a deadline that was taken back does not close the stream") {
    Server server;
    Peer client;
    server.connect(client);
    client.stream->set_deadline(steady_clock_now() + std::chrono::milliseconds(5));
    client.stream->set_deadline(SteadyTime::max());
    bool is_later = false;
    server.loop->schedule_at(steady_clock_now() + std::chrono::milliseconds(20), [&] { is_later = true; });
    run_until(*server.loop, [&] { return is_later; });
    CHECK_FALSE(client.closed.has_value());
}

TEST_CASE("a port that nobody listens on is ConnectRefused, never from inside connect()") {
    Endpoint unused;
    {
        Server server;
        unused = server.address();
    }
    auto loop = make_loop();
    Peer client;
    client.connect(*loop, unused);
    CHECK_FALSE(client.closed.has_value());
    run_until(*loop, [&] { return client.closed.has_value(); });
    CHECK(client.closed->kind == CloseReason::Kind::ConnectRefused);
    CHECK(client.closed->text.find(unused.to_string()) != std::string::npos);
    CHECK_FALSE(client.is_connected);
}

TEST_CASE("a source address that is not ours is BindFailed, and one that is ours is used") {
    Server server;
    Peer client;
    IpAddress foreign;
    foreign.octets = {192, 0, 2, 1};
    client.stream = server.loop->connect({.peer = server.address(), .source = foreign}, client);
    run_until(*server.loop, [&] { return client.closed.has_value(); });
    CHECK(client.closed->kind == CloseReason::Kind::BindFailed);
    CHECK(client.closed->text.find("192.0.2.1") != std::string::npos);
    CHECK(server.acceptor.peers.empty());

    Peer second;
    IpAddress ours;
    ours.octets = {127, 9, 8, 7};
    second.stream = server.loop->connect({.peer = server.address(), .source = ours}, second);
    run_until(*server.loop, [&] { return server.acceptor.peers.size() == 1; });
    CHECK(server.acceptor.peers[0]->stream->remote().address == ours);
    CHECK(second.stream->local().address == ours);
}

TEST_CASE("a source address of the other family is BindFailed") {
    auto loop = make_loop();
    Peer client;
    IpAddress v6;
    v6.v6 = true;
    v6.octets[15] = 1;
    client.stream = loop->connect({.peer = loopback(9), .source = v6}, client);
    run_until(*loop, [&] { return client.closed.has_value(); });
    CHECK(client.closed->kind == CloseReason::Kind::BindFailed);
}

TEST_CASE("after shutdown_write the peer sees the end, and its answer still arrives") {
    Server server;
    Peer client;
    auto [near, far] = server.connect(client);
    far->stream->pause_reading();
    const std::string large(8 << 20, 'q');
    near->stream->write(large);
    near->stream->shutdown_write();  // waits for what is buffered
    far->stream->resume_reading();
    far->when_data = [&](Peer& peer) {
        if (peer.received.size() == large.size()) peer.stream->write("got all of it");
    };
    run_until(*server.loop, [&] { return client.closed.has_value(); });
    CHECK(far->received.size() == large.size());
    CHECK(far->closed->kind == CloseReason::Kind::PeerClosed);
    CHECK(client.received == "got all of it");
}

TEST_CASE("close() inside a callback is the last thing that happens on the stream") {
    Server server;
    Peer client;
    auto [near, far] = server.connect(client);
    far->when_data = [](Peer& peer) {
        peer.stream->write("bye");
        peer.stream->close();
        peer.stream->write("nobody");
        peer.stream->set_deadline(steady_clock_now());
    };
    near->stream->write(std::string(200'000, 'x'));
    run_until(*server.loop, [&] { return client.closed.has_value(); });
    CHECK_FALSE(far->closed.has_value());
    CHECK(far->received.size() <= EpollLoop::kScratchOctets);
}

TEST_CASE("a stream may be destroyed inside any of its callbacks") {
    Server server;
    const auto destroy = [](Peer& peer) { peer.stream.reset(); };
    SECTION("on_connected") {
        Peer client;
        client.when_connected = destroy;
        client.connect(*server.loop, server.address());
        run_until(*server.loop, [&] { return client.is_connected; });
    }
    SECTION("on_data") {
        Peer client;
        auto [near, far] = server.connect(client);
        client.when_data = destroy;
        far->stream->write(std::string(500'000, 'x'));
        run_until(*server.loop, [&] { return client.stream == nullptr; });
    }
    SECTION("on_writable") {
        Peer client;
        server.connect(client);
        client.when_writable = destroy;
        client.stream->write(std::string(32 << 20, 'x'));
        run_until(*server.loop, [&] { return client.stream == nullptr; });
    }
    SECTION("on_closed, by the peer") {
        Peer client;
        auto [near, far] = server.connect(client);
        client.when_closed = destroy;
        far->stream->close();
        run_until(*server.loop, [&] { return client.stream == nullptr; });
    }
    SECTION("on_closed, by the deadline") {
        Peer client;
        server.connect(client);
        client.when_closed = destroy;
        client.stream->set_deadline(steady_clock_now());
        CHECK_FALSE(client.closed.has_value());
        run_until(*server.loop, [&] { return client.stream == nullptr; });
        CHECK(client.closed->kind == CloseReason::Kind::TimedOut);
    }
    SECTION("on_closed, refused") {
        server.listener.reset();
        Peer client;
        client.when_closed = destroy;
        client.connect(*server.loop, loopback(1));
        run_until(*server.loop, [&] { return client.stream == nullptr && client.closed.has_value(); });
    }
    SECTION("of another stream whose event is already fetched") {
        Peer first, second;
        auto [a, far_a] = server.connect(first);
        auto [b, far_b] = server.connect(second);
        far_a->stream->write("x");
        far_b->stream->write("x");
        first.when_data = [&](Peer&) { second.stream.reset(); };
        second.when_data = [&](Peer&) { first.stream.reset(); };
        run_until(*server.loop, [&] { return first.stream == nullptr || second.stream == nullptr; });
        CHECK((first.stream != nullptr || second.stream != nullptr));
    }
}

TEST_CASE("a reset is reported as such, after what the peer had said") {
    Server server;
    Peer client;
    auto [near, far] = server.connect(client);
    client.stream->pause_reading();
    far->stream->write("421 go away\r\n");
    near->stream->write("unread, so that closing resets");
    run_until(*server.loop, [&, far = far] { return !far->received.empty(); });
    near->stream->write("this too");
    far->stream->pause_reading();
    server.loop->run_turn(Duration::zero());
    far->stream->close();
    for (int i = 0; i < 3; ++i) server.loop->run_turn(Duration::zero());
    client.stream->write("into the void");
    client.stream->write("again");
    run_until(*server.loop, [&] { return client.closed.has_value(); });
    CHECK(client.closed->kind == CloseReason::Kind::Reset);
    CHECK(client.received == "421 go away\r\n");
}

TEST_CASE("abort resets the connection") {
    Server server;
    Peer client;
    auto [near, far] = server.connect(client);
    far->stream->abort();
    run_until(*server.loop, [&, near = near] { return near->closed.has_value(); });
    CHECK(client.closed->kind == CloseReason::Kind::Reset);
}

TEST_CASE("a connection that never stops sending leaves the others their turn") {
    Server server;
    Peer busy, quiet;
    auto [near_busy, far_busy] = server.connect(busy);
    auto [near_quiet, far_quiet] = server.connect(quiet);
    // Feeds itself: whatever was taken is written again, so the socket is never empty.
    const auto block = std::make_shared<const std::string>(4 << 20, 'b');
    const auto feed = [block](Peer& peer) {
        const WritePiece piece{*block, block};
        peer.stream->write(std::span(&piece, 1));
    };
    busy.when_writable = feed;
    feed(busy);
    far_busy->when_data = [](Peer& peer) { peer.received.clear(); };
    far_quiet->when_data = [](Peer& peer) { peer.stream->write("pong"); };
    for (int i = 1; i <= 20; ++i) {
        quiet.stream->write("ping");
        const auto turns = server.loop->statistics().turns;
        run_until(*server.loop, [&] { return quiet.received.size() == 4u * static_cast<unsigned>(i); });
        CHECK(server.loop->statistics().turns - turns < 20);
    }
}

TEST_CASE("IPv6 works as IPv4 does") {
    auto loop = make_loop();
    Acceptor acceptor;
    Endpoint any;
    any.address.v6 = true;
    any.address.octets[15] = 1;
    auto listener = TcpListener::open({.name = "test", .address = any});
    if (!listener) return;  // a machine without IPv6
    EpollLoop* const loops[] = {loop.get()};
    (*listener)->start(loops, acceptor);
    Peer client;
    client.connect(*loop, (*listener)->local());
    run_until(*loop, [&] { return client.is_connected && acceptor.peers.size() == 1; });
    CHECK(acceptor.peers[0]->stream->remote().address == any.address);
    client.stream.reset();
    acceptor.peers.clear();
}

}  // namespace
}  // namespace postfleet::net
