// Servers that say anything, cut anywhere, and drop the connection whenever they like, to the whole sender core. However
// they behave, every recipient comes to one end, and nothing stays behind.
// POSTFLEET_RANDOM_SERVERS says how many connections; a plain test run stops earlier when its time is up.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <map>
#include <random>

#include "postfleet/support/sender_world.hpp"

using namespace postfleet;
using namespace postfleet::support;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t kConnections = 100'000;
constexpr std::uint64_t kLeastWorlds = 10;  // however slow the machine is
constexpr Duration kPatience = std::chrono::seconds(20);

class Moody {
public:
    explicit Moody(std::uint64_t seed) : random_(seed) {}

    std::size_t below(std::size_t bound) { return random_() % bound; }
    bool once_in(std::size_t times) { return below(times) == 0; }

    std::string ehlo() {
        static constexpr const char* kKeywords[] = {
            "PIPELINING", "CHUNKING", "8BITMIME", "SIZE 40", "SIZE 90000", "LIMITS MAILMAX=3 RCPTMAX=2",
            "STARTTLS",   "SMTPUTF8", "DSN",      "X \xff",  "AUTH PLAIN", "PIPELINING x"};
        std::string text = "250-mx\r\n";
        while (!once_in(4)) text += "250-" + std::string(kKeywords[below(std::size(kKeywords))]) + "\r\n";
        return text + "250 HELP\r\n";
    }

    // What to say instead of the usual reply.
    std::string words() {
        static constexpr const char* kReplies[] = {"250 ok\r\n",
                                                   "250-a\r\n250 b\r\n",
                                                   "354 go\r\n",
                                                   "421 4.3.2 bye\r\n",
                                                   "450 4.2.1 later\r\n",
                                                   "452 4.5.3 too many\r\n",
                                                   "550 5.1.1 who?\r\n",
                                                   "554 no\r\n",
                                                   "552 too much\r\n",
                                                   "220 hello\r\n",
                                                   "235 ok\r\n",
                                                   "334 dQ==\r\n",
                                                   "250 ok\r\n250 ok\r\n",
                                                   "250 ok\r\n550 no\r\n354 go\r\n",
                                                   "hello\r\n",
                                                   "\r\n",
                                                   "999 x\r\n",
                                                   "250-never\r\n",
                                                   "25",
                                                   "250 no line end"};
        if (!once_in(12)) return kReplies[below(std::size(kReplies))];
        std::string noise(below(60), '\0');
        for (char& octet : noise) octet = static_cast<char>(random_());
        return noise;
    }

private:
    std::mt19937_64 random_;
};

// A world in which the servers are moody for a while, and then mend their ways.
class MoodyWorld : public SenderWorld {
public:
    explicit MoodyWorld(std::uint64_t seed) : mood_(seed) {
        resolver.set_mx("x.test", {"10 a.mx 192.0.2.1", "20 b.mx 192.0.2.2"});
        shaping().retry_after = std::vector<Duration>{20s, 1min};
        shaping().expire_after = 24h;
        shaping().max_connections = 1 + static_cast<std::uint32_t>(mood_.below(4));
        shaping().pipelining = !mood_.once_in(4);
        if (mood_.once_in(3)) shaping().max_message_rate = config::Rate{30, 1min};
        for (const char* address : {"192.0.2.1:25", "192.0.2.2:25"}) {
            FakeHost& server = host(address);
            server.ehlo = mood_.ehlo();
            if (mood_.once_in(4)) server.socket_octets = 1 + mood_.below(2'000);
            server.tls_failure = mood_.once_in(3) ? TlsFailure::NothingInCommon : TlsFailure::None;
            server.on_command = [this](Peer& peer, const std::string& command) { return behave(peer, command); };
        }
    }

    void run() {
        start();
        for (std::size_t i = 0; i < 6 + mood_.below(10); ++i) {
            Mail mail{.to = {}};
            for (std::size_t r = 0; r <= mood_.below(4); ++r) mail.to.push_back("r" + std::to_string(r) + "@x.test");
            if (mood_.once_in(5)) mail.content += std::string(mood_.below(400'000), 'x') + "\r\n";
            if (mood_.once_in(5)) {
                mail.content += ".\r\n..\r\n";
                mail.has_leading_dots = true;
            }
            recipients += mail.to.size();
            hand_over(mail);
            if (mood_.once_in(3)) advance(std::chrono::seconds(mood_.below(30)));
        }
        advance(30min);
        is_moody_ = false;
        for (const char* address : {"192.0.2.1:25", "192.0.2.2:25"}) {
            host(address).ehlo = "250-mx\r\n250 PIPELINING\r\n";
            host(address).tls_failure = TlsFailure::None;
        }
        advance(3h);
    }

    void check() {
        std::map<std::pair<std::string, std::uint32_t>, unsigned> ends;
        for (const Event& event : spool.events()) {
            if (!event.message) continue;
            if (is_terminal(event.type)) ++ends[{event.message->id.to_string(), event.recipient_index}];
        }
        CHECK(ends.size() == recipients);
        CHECK(std::all_of(ends.begin(), ends.end(), [](const auto& end) { return end.second == 1; }));
        CHECK(spool.tasks().empty());
        CHECK(spool.messages() == 0);
        CHECK(host("192.0.2.1:25").open + host("192.0.2.2:25").open == 0);
        for (const auto& queue : queues()) CHECK(queue.connections == 0);
    }

    std::uint64_t connections() { return host("192.0.2.1:25").connects + host("192.0.2.2:25").connects; }
    std::size_t recipients = 0;

private:
    std::optional<std::string> behave(Peer& peer, const std::string& command) {
        if (!is_moody_ || !mood_.once_in(6)) return {};
        switch (mood_.below(6)) {
            case 0: peer.hang_up(); return "";
            case 1: peer.reset(); return "";
            case 2: return mood_.once_in(4) ? std::optional<std::string>("") : std::nullopt;  // silence
            case 3: {  // a reply in two pieces, the second perhaps never
                const std::string words = mood_.words();
                const std::size_t cut = mood_.below(words.size() + 1);
                peer.say(words.substr(0, cut));
                if (!mood_.once_in(4)) peer.say(words.substr(cut));
                return "";
            }
            case 4:  // one too many, before or after
                peer.say(mood_.words());
                return command.starts_with("EHLO") ? std::optional<std::string>(mood_.ehlo()) : std::nullopt;
            default: return mood_.words();
        }
    }

    Moody mood_;
    bool is_moody_ = true;
};

}  // namespace

TEST_CASE("whatever servers do, every recipient comes to one end", "[F30][F31][F36][F39][SEC-12][P1][P5]") {
    const char* const wanted = std::getenv("POSTFLEET_RANDOM_SERVERS");
    const std::uint64_t most = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : kConnections;
    const SteadyTime end = wanted != nullptr ? SteadyTime::max() : steady_clock_now() + kPatience;
    std::uint64_t connections = 0;
    for (std::uint64_t seed = 1; connections < most; ++seed) {
        if (seed > kLeastWorlds && steady_clock_now() >= end) break;
        INFO("seed " << seed);
        MoodyWorld world(seed);
        world.run();
        world.check();
        connections += world.connections();
    }
    INFO(connections << " connections");
    CHECK(connections > 0);
}
