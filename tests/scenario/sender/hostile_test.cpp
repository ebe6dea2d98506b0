// Servers that drop, crawl, refuse and contradict themselves: what becomes of the mail, and of everybody else's.
#include <algorithm>
#include <catch2/catch.hpp>
#include <map>

#include "postfleet/support/sender_world.hpp"

using namespace postfleet;
using namespace postfleet::support;
using namespace std::chrono_literals;

namespace {

constexpr const char* kFirst = "192.0.2.1:25";
constexpr const char* kSecond = "192.0.2.2:25";

struct TwoHosts : SenderWorld {
    TwoHosts() {
        resolver.set_mx("x.test", {"10 a.mx 192.0.2.1", "20 b.mx 192.0.2.2"});
        shaping().retry_after = std::vector<Duration>{20min};
        shaping().expire_after = 24h;
    }
};

enum class Manner { Fin, Reset, Silence };

void drop(Peer& peer, Manner manner) {
    if (manner == Manner::Fin) peer.hang_up();
    if (manner == Manner::Reset) peer.reset();
}

void drop_at(FakeHost& host, const std::string& verb, Manner manner) {
    host.on_command = [verb, manner](Peer& peer, const std::string& command) -> std::optional<std::string> {
        if (!command.starts_with(verb)) return {};
        drop(peer, manner);
        return "";
    };
}

}  // namespace

TEST_CASE("a host that drops the connection before it is open costs nothing but the next host", "[F30][C5321-1]") {
    TwoHosts w;
    FakeHost& first = w.host(kFirst);
    const auto how = GENERATE("refused", "unreachable", "no answer", "greeting lost", "no greeting", "EHLO lost");
    const std::string what = how;
    if (what == "refused") first.refuses = CloseReason{CloseReason::Kind::ConnectRefused, "connection refused"};
    if (what == "unreachable") first.refuses = CloseReason{CloseReason::Kind::ConnectFailed, "network unreachable"};
    if (what == "no answer") first.is_black_hole = true;
    if (what == "no greeting") first.greeting = "";
    if (what == "greeting lost") {
        first.greeting = "";
        first.refuses = CloseReason{CloseReason::Kind::Reset, "connection reset by peer"};
    }
    if (what == "EHLO lost") drop_at(first, "EHLO", GENERATE(Manner::Fin, Manner::Reset, Manner::Silence));
    w.start();
    w.accept({});
    w.advance(6min);
    CHECK(w.host(kSecond).deliveries.size() == 1);
    CHECK(w.count(EventType::Delivered) == 1);
    CHECK(w.count(EventType::Deferred) == 0);
}

TEST_CASE("a connection dropped in a transaction defers its mail, in the phase where it was, and no other", "[F30]") {
    TwoHosts w;
    FakeHost& first = w.host(kFirst);
    const std::string verb = GENERATE("MAIL", "RCPT", "DATA", ".");
    const Manner manner = GENERATE(Manner::Fin, Manner::Reset, Manner::Silence);
    static const std::map<std::string, SmtpPhase> kPhases{
        {"MAIL", SmtpPhase::Mail}, {"RCPT", SmtpPhase::Rcpt}, {"DATA", SmtpPhase::Data}, {".", SmtpPhase::EndOfData}};
    w.shaping().pipelining = false;
    // Only the first connection is dropped; another one at the same time is not concerned.
    first.on_command = [verb, manner](Peer& peer, const std::string& command) -> std::optional<std::string> {
        if (peer.number() != 1 || !command.starts_with(verb)) return {};
        drop(peer, manner);
        return "";
    };
    w.start();
    w.hand_over({});
    w.hand_over({});
    w.advance(11min);
    CHECK(w.count(EventType::Delivered) == 1);
    const auto deferred = w.events(EventType::Deferred);
    REQUIRE(deferred.size() == 1);
    CHECK(deferred[0].delivery->phase == kPhases.at(verb));
    CHECK(deferred[0].delivery->in_doubt == (verb == "."));
    w.advance(20min);
    CHECK(w.count(EventType::Delivered) == 2);
    CHECK(w.count(EventType::Bounced) == 0);
}

TEST_CASE("a connection dropped at a tenth of the body, or at QUIT", "[F30][C5321-7]") {
    TwoHosts w;
    FakeHost& first = w.host(kFirst);
    const Manner manner = GENERATE(Manner::Fin, Manner::Reset);
    SECTION("the body: deferred, and never half a message") {
        std::size_t octets = 0;
        first.on_octets = [&, manner](Peer& peer, std::string& input) {
            octets += input.size();
            if (peer.number() == 1 && octets > 100'000) drop(peer, manner);
            return false;
        };
        first.socket_octets = 10'000;
        w.start();
        w.accept({.content = std::string(1'000'000, 'x') + "\r\n"});
        const auto deferred = w.events(EventType::Deferred);
        REQUIRE(deferred.size() == 1);
        CHECK(deferred[0].delivery->phase == SmtpPhase::Body);
        CHECK_FALSE(deferred[0].delivery->in_doubt);
        CHECK(first.deliveries.empty());
        w.advance(21min);
        CHECK(w.count(EventType::Delivered) == 1);
    }
    SECTION("QUIT: nobody minds") {
        drop_at(first, "QUIT", manner);
        w.start();
        w.accept({});
        w.advance(1min);
        CHECK(w.count(EventType::Delivered) == 1);
        CHECK(w.count(EventType::Deferred) == 0);
        CHECK(w.queue("a.mx/v1").connections == 0);
    }
}

TEST_CASE("421, 4xx and 5xx in each state do what the standard says, recipient by recipient", "[F31][C5321-5]") {
    TwoHosts w;
    w.shaping().pipelining = GENERATE(true, false);
    const std::string verb = GENERATE("MAIL", "RCPT TO:<b", "DATA", ".");
    const int code = GENERATE(421, 450, 550);
    FakeHost& first = w.host(kFirst);
    first.on_command = [=](Peer& peer, const std::string& command) -> std::optional<std::string> {
        if (peer.number() != 1 || !command.starts_with(verb)) return {};
        return std::to_string(code) + " so it is\r\n";
    };
    w.start();
    w.accept({.to = {"a@x.test", "b@x.test", "c@x.test"}});
    const bool of_one = verb.starts_with("RCPT") && code != 421;
    const std::size_t concerned = of_one ? 1 : 3;
    CHECK(w.count(EventType::Delivered) == 3 - concerned);
    CHECK(w.count(EventType::Bounced) == (code == 550 ? concerned : 0));
    CHECK(w.count(EventType::Deferred) == (code == 550 ? 0 : concerned));
    w.advance(21min);
    CHECK(w.count(EventType::Delivered) + w.count(EventType::Bounced) == 3);
    CHECK(w.spool.tasks().empty());
}

TEST_CASE("hosts that crawl hold their own connections, and nobody else's mail", "[F32][P6]") {
    SenderWorld w;
    w.route("tarpit.test", kFirst);
    w.route("x.test", kSecond);
    w.shaping().max_connections = 10;
    FakeHost& tarpit = w.host(kFirst);
    tarpit.on_command = [&w](Peer& peer, const std::string&) -> std::optional<std::string> {
        ManualExecutor& clock = *w.executors[0];
        for (int i = 1; i <= 600; ++i)
            clock.schedule_at(clock.now() + std::chrono::seconds(i), [&peer] { peer.say("2"); });
        return "";
    };
    w.start();
    for (int i = 0; i < 200; ++i) w.hand_over({.to = {"a@tarpit.test"}});
    w.settle();
    CHECK(tarpit.open == 10);
    for (int i = 0; i < 200; ++i) w.hand_over({.to = {"b@x.test"}});
    w.settle();
    CHECK(w.host(kSecond).deliveries.size() == 200);  // at once
    // A reply has its deadline, however many octets of it come.
    w.advance(5min + 5s);
    CHECK(w.queue("tarpit.test/v1").hold_reason.find("timed out while sending EHLO") != std::string::npos);
}

TEST_CASE("one tenant's mail to a dead domain takes nothing from another tenant's", "[F47][P6]") {
    SenderWorld w;
    w.route("dead.test", kFirst);
    w.route("x.test", kSecond);
    w.host(kFirst).is_black_hole = true;
    w.start();
    for (int i = 0; i < 5'000; ++i) w.hand_over({.to = {"a@dead.test"}, .tenant = "loud"});
    w.settle();
    for (int i = 0; i < 100; ++i) w.hand_over({.to = {"b@x.test"}, .tenant = "quiet"});
    w.settle();
    const auto delivered = w.events(EventType::Delivered);
    CHECK(delivered.size() == 100);
    for (const Event& event : delivered) CHECK(event.attempt == 1);
    CHECK(w.host(kFirst).open == 0);
}

TEST_CASE("a final reply that is lost a thousand times: every message arrives, every copy is told", "[F49][P3]") {
    SenderWorld w;
    w.route("x.test", kFirst);
    w.shaping().retry_after = std::vector<Duration>{1s};
    w.shaping().chunking = GENERATE(true, false);
    FakeHost& host = w.host(kFirst);
    host.ehlo = "250-mx.test\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 8BITMIME\r\n";
    constexpr std::size_t kDrops = 1'000, kMessages = 500;
    std::size_t drops = 0, taken = 0;
    host.on_command = [&](Peer& peer, const std::string& command) -> std::optional<std::string> {
        if (command != ".") return {};
        ++taken;  // it is the server's from here on
        if (drops == kDrops || taken % 3 == 0) return {};
        ++drops;
        peer.reset();
        return "";
    };
    w.start();
    for (std::size_t i = 0; i < kMessages; ++i) w.hand_over({});
    w.advance(30min);
    CHECK(w.count(EventType::Delivered) == kMessages);
    CHECK(w.count(EventType::Bounced) == 0);
    CHECK(drops == std::min(kDrops, taken - kMessages));
    CHECK(taken == kMessages + drops);  // as many copies as replies were lost
    const auto deferred = w.events(EventType::Deferred);
    CHECK(static_cast<std::size_t>(std::count_if(
              deferred.begin(), deferred.end(), [](const Event& event) { return event.delivery->in_doubt; })) == drops);
    CHECK(w.spool.tasks().empty());
}

TEST_CASE("a hostile EHLO: limits are kept, nonsense is none, and too much of it is no EHLO", "[F37][X9422]") {
    SenderWorld w;
    w.route("x.test", kFirst);
    FakeHost& host = w.host(kFirst);
    const Mail mail{.to = {"a@x.test", "b@x.test", "c@x.test"}};
    const auto most_recipients = [&] {
        std::size_t most = 0;
        for (const Delivery& delivery : host.deliveries) most = std::max(most, delivery.to.size());
        return most;
    };
    SECTION("RCPTMAX=1 and MAILMAX=2, among duplicates and nonsense") {
        host.ehlo =
            "250-mx\r\n250-SIZE many\r\n250-LIMITS RCPTMAX=1 X=\xff MAILMAX=2 RCPTDOMAINMAX=1\r\n"
            "250-LIMITS RCPTMAX=100\r\n250-SIZE 5\r\n250 PIPELINING\r\n";
        w.start();
        w.accept(mail);
        CHECK(host.deliveries.size() == 3);
        CHECK(most_recipients() == 1);
        CHECK(host.connects == 2);
    }
    SECTION("limits that are none") {
        host.ehlo = "250-mx\r\n250-SIZE 0\r\n250 LIMITS RCPTMAX=0 MAILMAX=18446744073709551616 RCPTDOMAINMAX\r\n";
        w.start();
        w.accept(mail);
        CHECK(host.deliveries.size() == 1);
        CHECK(most_recipients() == 3);
    }
    SECTION("a hundred thousand keywords: the host is passed over, and costs no memory") {
        host.ehlo = "250-mx\r\n";
        for (int i = 0; i < 100'000; ++i) host.ehlo += "250-X-" + std::to_string(i) + "\r\n";
        host.ehlo += "250 SIZE\r\n";
        w.start();
        w.accept(mail);
        CHECK(host.deliveries.empty());
        CHECK(w.count(EventType::Deferred) == 3);
        CHECK(w.events(EventType::Deferred)[0].delivery->reply.text == "a reply is too long");
    }
}

TEST_CASE("recipients of two domains share no transaction by default, whatever their site", "[X9422]") {
    SenderWorld w;
    config::Provider provider;
    provider.name = "big";
    provider.mx = {"*.big.mx"};
    w.config.providers["big"] = provider;
    for (const char* domain : {"one.test", "two.test"}) w.resolver.set_mx(domain, {"10 in.big.mx 192.0.2.1"});
    w.host(kFirst).ehlo = "250-mx\r\n250 LIMITS RCPTDOMAINMAX=1\r\n";
    w.start();
    w.accept({.to = {"a@one.test", "b@two.test", "c@one.test"}});
    REQUIRE(w.host(kFirst).deliveries.size() == 2);
    for (const Delivery& delivery : w.host(kFirst).deliveries) {
        for (const std::string& to : delivery.to) CHECK(to.substr(2) == delivery.to[0].substr(2));
    }
}

TEST_CASE("a server that speaks before we do is passed over", "[F39]") {
    TwoHosts w;
    w.host(kFirst).greeting = GENERATE("220 mx\r\n250 hello already\r\n", "hello there\r\n", "220 mx\r\n220 mx\r\n");
    w.start();
    w.accept({});
    CHECK(w.host(kFirst).deliveries.empty());
    CHECK(w.host(kSecond).deliveries.size() == 1);
    CHECK(w.count(EventType::Deferred) == 0);
}

TEST_CASE("what a server says in odd octets is one line of plain text, and its class counts", "[F36][SEC-12]") {
    SenderWorld w;
    w.route("x.test", kFirst);
    struct Case {
        std::string reply;
        EventType type;
        std::string text;
    };
    const Case c =
        GENERATE(Case{std::string("550 a\0b\r\n", 9), EventType::Bounced, "a\\x00b"},
                 Case{"550 a\rb\r\n", EventType::Bounced, "a\\x0db"}, Case{"550-a\n550 b\n", EventType::Bounced, "a b"},
                 Case{"550 gr\xfc\xdf Gott \x1b[31m\r\n", EventType::Bounced, "gr\\xfc\\xdf Gott \\x1b[31m"},
                 Case{"450-one\r\n550 two\r\n", EventType::Bounced, "one two"},
                 Case{"550-one\r\n450 two\r\n", EventType::Deferred, "one two"},
                 Case{"no code\r\n", EventType::Deferred, "the server did not speak SMTP"},
                 Case{"000 zero\r\n", EventType::Deferred, "the server did not speak SMTP"},
                 Case{"999 nines\r\n", EventType::Deferred, "the server did not speak SMTP"},
                 Case{"550\r\n", EventType::Bounced, ""}, Case{"559 5.9.9 odd\r\n", EventType::Bounced, "odd"});
    w.shaping().pipelining = false;
    w.host(kFirst).on_command = [&c](Peer&, const std::string& command) -> std::optional<std::string> {
        if (command.starts_with("RCPT")) return c.reply;
        return {};
    };
    w.start();
    w.accept({});
    const auto events = w.events(c.type);
    REQUIRE(events.size() == 1);
    CHECK(events[0].delivery->reply.text == c.text);
    CHECK(w.count(EventType::Bounced) + w.count(EventType::Deferred) == 1);
    for (const std::string& line : w.log.lines) {
        CHECK(std::all_of(line.begin(), line.end(), [](unsigned char o) { return o >= 0x20 && o != 0x7f; }));
    }
}
