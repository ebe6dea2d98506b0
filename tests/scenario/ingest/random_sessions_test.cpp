// Clients that say anything, in any order and cut anywhere, to a store that does anything: session and ingest core
// together. POSTFLEET_RANDOM_SESSIONS says how many; a plain test run stops at 200,000, or earlier when its time is up.
#include <algorithm>
#include <cstdlib>
#include <random>
#include <set>

#include "ingest_fixture.hpp"

namespace postfleet::ingest {
namespace {

using support::FakeHandover;
using Random = std::mt19937_64;

constexpr std::uint64_t kSessions = 200'000;
constexpr std::uint64_t kLeastSessions = 200;  // however slow the machine is
constexpr Duration kPatience = std::chrono::seconds(20);
constexpr std::size_t kMostOctets = 300 * 1024;

const std::string kWild = R"(
hostname: mx.example
listeners:
  relay: {address: "127.0.0.1:2525", relay_from: ["192.0.2.0/24"], headers: honour, max_message_size: 300KiB, line_ends: LINES,
          max_recipients: 4, max_errors: 9, max_messages_per_connection: 6, message_checks: CHECKS,
          max_future_release: 1d, deliver_by: true, mt_priority: true}
virtual_mtas: {tx-1: {}}
default_virtual_mta: tx-1
)";

std::string configuration(const std::string& lines, const std::string& checks) {
    std::string text = kWild;
    text.replace(text.find("LINES"), 5, lines);
    return text.replace(text.find("CHECKS"), 6, checks);
}

// What a client may come up with.
class Speaker {
public:
    explicit Speaker(std::uint64_t seed) : random_(seed) {}

    std::size_t below(std::size_t bound) { return random_() % bound; }
    bool once_in(std::size_t times) { return below(times) == 0; }

    std::string phrase() { return once_in(2) ? transaction() : command(); }

private:
    template <std::size_t N>
    std::string one_of(const char* const (&choices)[N]) {
        return choices[below(N)];
    }
    std::string noise(std::size_t most) {
        std::string octets(below(most), '\0');
        for (char& octet : octets) octet = static_cast<char>(random_());
        return octets;
    }
    std::string line_end() {
        static constexpr const char* kEnds[] = {"\n", "\r", "\r\r\n", "", " \r\n", "\t\r\n"};
        return once_in(60) ? one_of(kEnds) : "\r\n";
    }
    std::string path() {
        static constexpr const char* kPaths[] = {"<a@b.example>",
                                                 "<c@d.example>",
                                                 "<\"q u\\\"o\"@b.example>",
                                                 "<@r.example:a@b.example>",
                                                 "<>",
                                                 "<Postmaster>",
                                                 "<a@[192.0.2.1]>",
                                                 "<a@[IPv6:::1]>",
                                                 "a@b.example",
                                                 "<a@>",
                                                 "<a b@c>",
                                                 "<a@b.example",
                                                 "<gr\xc3\xbcn@b.example>",
                                                 "<a@b\r.example>",
                                                 "<a@-.example>",
                                                 "<a@b.example>x"};
        return once_in(3) ? one_of(kPaths)
                          : "<user" + std::to_string(below(5)) + "@d" + std::to_string(below(3)) + ".example>";
    }
    std::string parameters() {
        static constexpr const char* kParameters[] = {" SIZE=100",
                                                      " SIZE=999999999999999999999",
                                                      " BODY=8BITMIME",
                                                      " BODY=BINARYMIME",
                                                      " SMTPUTF8",
                                                      " RET=HDRS",
                                                      " ENVID=a+2Bb",
                                                      " ENVID=+0D",
                                                      " HOLDFOR=60",
                                                      " HOLDUNTIL=2026-01-01T01:00:00Z",
                                                      " BY=60;R",
                                                      " BY=-1;NT",
                                                      " MT-PRIORITY=9",
                                                      " MT-PRIORITY=-10",
                                                      " REQUIRETLS",
                                                      " AUTH=<>",
                                                      " NOTIFY=NEVER",
                                                      " NOTIFY=SUCCESS,DELAY",
                                                      " ORCPT=rfc822;x",
                                                      " X=",
                                                      " =",
                                                      " \xff"};
        std::string text;
        while (once_in(3)) text += one_of(kParameters);
        return text;
    }
    std::string command() {
        static constexpr const char* kPlain[] = {"NOOP",
                                                 "RSET",
                                                 "VRFY a",
                                                 "HELP",
                                                 "EXPN l",
                                                 "QUIT x",
                                                 "STARTTLS",
                                                 "AUTH PLAIN AGEAYg==",
                                                 "DATA x",
                                                 "",
                                                 " ",
                                                 "ehlo",
                                                 "EHLO a b",
                                                 "TURN",
                                                 "NOOP \xff",
                                                 "MAIL",
                                                 "RCPT TO",
                                                 "BDAT",
                                                 "BDAT 18446744073709551616",
                                                 "BDAT -1",
                                                 "BDAT 5 LASTT"};
        switch (below(12)) {
            case 0: return "EHLO client.example" + line_end();
            case 1: return "HELO client.example" + line_end();
            case 2: return "MAIL FROM:" + path() + parameters() + line_end();
            case 3: return "RCPT TO:" + path() + parameters() + line_end();
            case 4: return "DATA" + line_end();
            case 5: return chunk();
            case 6: return once_in(8) ? "QUIT" + line_end() : "NOOP" + line_end();
            case 7: return once_in(8) ? noise(60) + line_end() : "RSET" + line_end();
            case 8: return once_in(20) ? "NOOP " + std::string(below(6000), 'x') + line_end() : "NOOP" + line_end();
            case 9: return once_in(30) ? "GET / HTTP/1.1\r\nHost: x\r\n\r\n" : "EHLO [192.0.2.1]" + line_end();
            default: return one_of(kPlain) + line_end();
        }
    }
    std::string transaction() {
        std::string all = once_in(3) ? "EHLO client.example\r\n" : "";
        all += "MAIL FROM:" + (once_in(5) ? path() + parameters() : "<a@b.example>") + "\r\n";
        for (std::size_t i = 0; i <= below(6); ++i)
            all += "RCPT TO:" + path() + (once_in(4) ? parameters() : "") + "\r\n";
        if (once_in(3)) {
            while (once_in(2)) all += chunk();
            const std::string last = content();
            return all + "BDAT " + std::to_string(last.size()) + " LAST\r\n" + last;
        }
        all += "DATA\r\n";
        behind_data_ = true;
        return all;
    }
    std::string chunk() {
        const std::string octets = content();
        const std::size_t said = once_in(20) ? below(50) : octets.size();
        return "BDAT " + std::to_string(said) + (once_in(3) ? " LAST" : "") + line_end() + octets;
    }

public:
    // Behind the 354, which a good client waits for.
    bool is_behind_data() { return std::exchange(behind_data_, false); }
    std::string data() {
        std::string octets = content();
        return octets + (once_in(30) ? "" : octets.ends_with("\r\n") ? ".\r\n" : "\r\n.\r\n");
    }

private:
    std::string content() {
        static constexpr const char* kPieces[] = {"From: a@b.example\r\n",
                                                  "Subject: x\r\n folded\r\n",
                                                  "Date: now\r\n",
                                                  "Message-ID: <1@x>\r\n",
                                                  "Bcc: c@d.example\r\n",
                                                  "Received: x\r\n",
                                                  "X-Job: j\r\n",
                                                  "X-Virtual-MTA: tx-1\r\n",
                                                  "X-Virtual-MTA: nobody\r\n",
                                                  "TLS-Required: No\r\n",
                                                  "\r\n",
                                                  "text\r\n",
                                                  ".\r\n",
                                                  "..\r\n",
                                                  ".text\r\n",
                                                  "no line end",
                                                  "gr\xc3\xbcn\r\n",
                                                  "MAIL FROM:<evil@src.example>\r\nRCPT TO:<b@c.example>\r\nDATA\r\n"};
        static constexpr const char* kSmuggling[] = {"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r",       "\r.\n",
                                                     "\n.\r", "\r.\r\n", "\r\n.\r", "\r\n.\r\r\n", "\r\r\n.\r\r\n"};
        std::string octets = "From: a@b.example\r\n";
        for (std::size_t pieces = below(8); pieces > 0; --pieces) {
            if (once_in(40)) octets += one_of(kSmuggling);
            else if (once_in(60)) octets += noise(30);
            else octets += one_of(kPieces);
        }
        if (once_in(2000)) {
            const std::string line = std::string(70, 'x') + "\r\n";
            while (octets.size() < kMostOctets) octets += line;
            octets.resize(octets.size() - below(kMostOctets / 4));
        }
        return octets;
    }

    Random random_;
    bool behind_data_ = false;
};

// Whole lines of at most 512 octets, printable, one code per reply; the enhanced status fits the code (RFC 2034).
void check_replies(std::string_view out, std::set<std::string>& queued) {
    static constexpr std::string_view kQueued = "250 2.0.0 Ok: queued as ";
    std::string_view open;  // the code of a reply that goes on
    while (!out.empty()) {
        const std::size_t end = out.find("\r\n");
        const std::string_view line = out.substr(0, end);
        const std::string_view code = line.substr(0, 3);
        bool good = end != std::string_view::npos && end >= 6 && end + 2 <= 512;
        good = good && line[0] >= '2' && line[0] <= '5' && (line[3] == ' ' || line[3] == '-');
        good = good && std::all_of(line.begin(), line.end(), [](char c) { return c >= ' ' && c < 0x7f; });
        good = good && (open.empty() || open == code);
        if (good && line[0] >= '4') good = line[4] == line[0] && line[5] == '.';
        if (!good) FAIL("not a reply: " << line);
        out.remove_prefix(end + 2);
        open = line[3] == '-' ? code : std::string_view();
        if (line.starts_with(kQueued)) CHECK(queued.emplace(line.substr(kQueued.size())).second);
    }
    REQUIRE(open.empty());
}

void check_message(const IngestFixture& f, std::size_t index) {
    const AcceptedMessage& accepted = f.handover.accepted.at(index);
    std::size_t recipients = 0;
    for (const Task& task : accepted.tasks) recipients += task.recipients.size();
    REQUIRE((recipients >= 1 && recipients <= 4));
    REQUIRE(accepted.message->size_octets <= kMostOctets);
    const std::string content = f.handover.whole(index);
    for (std::size_t i = 0; i < content.size(); ++i) {
        const bool clean = content[i] == '\n'   ? i > 0 && content[i - 1] == '\r'
                           : content[i] == '\r' ? i + 1 < content.size() && content[i + 1] == '\n'
                                                : content[i] != '\0';
        if (!clean) FAIL("octet " << i << " of " << content);
    }
}

class Session {
public:
    Session(IngestFixture& fixture, std::uint64_t seed) : f_(fixture), speaker_(seed), client_(fixture) {}

    void run() {
        hear(client_.hear());
        for (std::size_t phrases = 1 + speaker_.below(10); phrases > 0 && !client_.session().is_closed(); --phrases) {
            meddle();
            say(speaker_.phrase());
            if (speaker_.is_behind_data() && client_.session().state() == smtp::ServerSession::State::Body) {
                say(speaker_.data());
            }
        }
        if (speaker_.once_in(3)) client_.lose();
        settle();
        finish();
    }

private:
    void hear(const std::string& replies) { check_replies(replies, told_); }

    // The store and time do what they like.
    void meddle() {
        if (speaker_.once_in(10)) {
            f_.handover.mode = static_cast<FakeHandover::Mode>(speaker_.below(3));
            f_.handover.next = Status();
            if (speaker_.once_in(3)) f_.handover.next = Error{ErrorKind::Unavailable, "the disk is gone"};
        }
        if (speaker_.once_in(40)) f_.handover.open.open = !f_.handover.open.open;
        if (speaker_.once_in(50)) f_.executor.advance(std::chrono::seconds(speaker_.below(40)));
        if (speaker_.once_in(200)) hear(client_.time_out());
        if (speaker_.once_in(300)) hear(client_.drain());
        if (f_.handover.held() > 0 && speaker_.once_in(2)) release();
        hear(client_.hear());
    }

    void release() {
        if (speaker_.once_in(4)) f_.handover.release(Error{ErrorKind::Unavailable, "the disk is gone"});
        else f_.handover.release({});
    }

    // In pieces, as the driver would: what the session does not want yet stays in the socket.
    void say(std::string octets) {
        const std::size_t piece = speaker_.once_in(4) ? 1 + speaker_.below(5) : octets.size();
        for (std::size_t at = 0; at < octets.size(); at += piece) {
            while (client_.session().unread_octets() > 0 && f_.handover.held() > 0) {
                release();
                hear(client_.hear());
            }
            const bool closed = client_.session().is_closed();
            const std::string replies = client_.say(octets.substr(at, piece));
            if (closed) REQUIRE(replies.empty());
            hear(replies);
            REQUIRE(client_.session().unread_octets() <= octets.size());
        }
    }

    // Whatever is still under way comes to an end.
    void settle() {
        while (f_.handover.held() > 0) {
            release();
            f_.executor.run_until_idle();
        }
        f_.executor.run_until_idle();
        if (!client_.is_lost()) hear(client_.hear());
        client_.lose();
        f_.executor.run_until_idle();
    }

    // Told 250, or made durable behind the client's back and counted: nothing else was kept.
    void finish() {
        std::set<MessageId> kept;
        std::size_t untold = 0;
        for (std::size_t i = 0; i < f_.handover.accepted.size(); ++i) {
            check_message(f_, i);
            const MessageId id = f_.handover.accepted[i].message->id;
            kept.insert(id);
            if (told_.erase(id.to_string()) == 0) ++untold;
        }
        REQUIRE(told_.empty());
        REQUIRE(untold == f_.counters.unanswered.value() - unanswered_before_);
        for (const auto& [id, chunks] : f_.handover.chunks) REQUIRE(kept.contains(id));
        f_.handover.accepted.clear();
        f_.handover.chunks.clear();
        f_.handover.mode = FakeHandover::Mode::Posted;
        f_.handover.next = Status();
        f_.handover.open = {};
        f_.sink.lines.clear();
    }

    IngestFixture& f_;
    Speaker speaker_;
    Client client_;
    std::set<std::string> told_;
    const std::uint64_t unanswered_before_ = f_.counters.unanswered.value();
};

}  // namespace

TEST_CASE("no random session breaks the promises of acceptance", "[property][SEC-1][SEC-6][X2034][P1][P2]") {
    const char* const asked = std::getenv("POSTFLEET_RANDOM_SESSIONS");
    const std::uint64_t sessions = asked != nullptr ? std::strtoull(asked, nullptr, 10) : kSessions;
    std::unique_ptr<IngestFixture> fixtures[4];
    int made = 0;
    for (const std::string lines : {"strict", "normalize"}) {
        for (const std::string checks : {"allow", "repair"}) {
            fixtures[made++] = std::make_unique<IngestFixture>(configuration(lines, checks));
        }
    }
    const SteadyTime end = steady_clock_now() + kPatience;
    std::uint64_t seed = 0, messages = 0;
    while (seed < sessions && (asked != nullptr || seed < kLeastSessions || steady_clock_now() < end)) {
        ++seed;
        INFO("session " << seed);
        IngestFixture& f = *fixtures[seed % 4];
        Session(f, seed).run();
    }
    for (const auto& f : fixtures) messages += f->listener.counters.messages.value();
    CHECK(messages > seed / 4);  // they are not all refused
    WARN(seed << " sessions, " << messages << " messages");
}

}  // namespace postfleet::ingest
