#include "tools/sink.hpp"

#include <catch2/catch.hpp>

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "postfleet/base/text.hpp"
#include "smtp_script.hpp"

namespace postfleet::tools {
namespace {

class Folder {
public:
    Folder() {
        std::string pattern = (std::filesystem::temp_directory_path() / "postfleet-sink-XXXXXX").string();
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        path_ = pattern;
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    std::string operator/(const char* name) const { return (path_ / name).string(); }

private:
    std::filesystem::path path_;
};

std::string read_file(const std::string& path) {
    std::ifstream file(path);
    std::ostringstream out;
    out << file.rdbuf();
    return out.str();
}

std::unique_ptr<Sink> run(SinkOptions options) {
    options.listen = {*Endpoint::parse("127.0.0.1:0")};
    auto sink = Sink::open(options);
    INFO((sink ? "" : sink.error().text));
    REQUIRE(sink);
    (*sink)->start();
    return std::move(*sink);
}

void greet(SmtpScript& client) {
    REQUIRE(client.reply().substr(0, 4) == "220 ");
    REQUIRE(client.command("EHLO me").find("250") == 0);
}

std::string send_message(SmtpScript& client, std::string_view recipient,
                         std::string_view content = "Subject: x\r\n\r\nhi\r\n") {
    client.command("MAIL FROM:<a@src.test>");
    const std::string rcpt = client.command("RCPT TO:<" + std::string(recipient) + ">");
    if (rcpt.substr(0, 3) != "250") {
        client.command("RSET");
        return rcpt;
    }
    CHECK(client.command("DATA").substr(0, 3) == "354");
    return client.command(std::string(content) + ".");
}

TEST_CASE("a sink that is told to takes chunks, and reads those that it refuses", "[X3030]") {
    Folder folder;
    const std::string stored = folder / "mail.jsonl";
    const auto sink = run({.chunking = true, .store_file = stored});
    SmtpScript client(sink->addresses()[0]);
    CHECK(client.reply().substr(0, 3) == "220");
    CHECK(client.command("EHLO me").find("CHUNKING") != std::string::npos);
    client.send("MAIL FROM:<a@src.test>\r\nRCPT TO:<x@one.test>\r\nBDAT 16 LAST\r\nSubject: x\r\n\r\n.\r");
    for (int i = 0; i < 2; ++i) CHECK(client.reply().substr(0, 3) == "250");
    CHECK(client.reply() == "250 2.0.0 accepted");
    client.send("MAIL FROM:<>\r\nRCPT TO:<x@one.test>\r\nBDAT 5\r\n12345BDAT 0\r\nBDAT 3 LAST\r\n678");
    for (int i = 0; i < 4; ++i) CHECK(client.reply().substr(0, 3) == "250");
    CHECK(client.reply() == "250 2.0.0 accepted");
    client.send("BDAT 6 LAST\r\nQUIT\r\nMAIL FROM:<>\r\nRCPT TO:<x@one.test>\r\nBDAT 1\r\nxDATA\r\nBDAT many\r\n");
    CHECK(client.reply().substr(0, 3) == "503");  // for nobody
    for (int i = 0; i < 3; ++i) CHECK(client.reply().substr(0, 3) == "250");
    CHECK(client.reply().substr(0, 3) == "503");  // DATA in the middle of chunks
    CHECK(client.reply().substr(0, 3) == "501");
    CHECK(client.reply().empty());
    sink->stop();
    CHECK(sink->counts().messages == 2);
    CHECK(read_file(stored).find("12345678") != std::string::npos);
}

TEST_CASE("a sink takes mail, counts it by domain and source, and offers what it is told to") {
    const auto sink = run({.threads = 2});
    SmtpScript client(sink->addresses()[0]);
    CHECK(client.reply() == "220 sink.test ESMTP postfleet sink");
    const std::string ehlo = client.command("EHLO me");
    for (const char* keyword : {"PIPELINING", "SIZE 67108864", "8BITMIME", "ENHANCEDSTATUSCODES"}) {
        CHECK(ehlo.find(keyword) != std::string::npos);
    }
    CHECK(send_message(client, "x@one.test") == "250 2.0.0 accepted");
    CHECK(send_message(client, "y@two.test") == "250 2.0.0 accepted");
    client.send("MAIL FROM:<>\r\nRCPT TO:<a@one.test>\r\nRCPT TO:<b@one.test>\r\nDATA\r\n");
    for (const char* code : {"250", "250", "250", "354"}) CHECK(client.reply().substr(0, 3) == code);
    client.send("..stuffed\r\n.\r\nQUIT\r\n");
    CHECK(client.reply() == "250 2.0.0 accepted");
    CHECK(client.reply().substr(0, 3) == "221");
    CHECK(client.reply().empty());
    sink->stop();
    const SinkCounts counts = sink->counts();
    CHECK(counts.messages == 3);
    CHECK(counts.recipients == 4);
    CHECK(counts.connections == 1);
    CHECK(counts.recipients_by_domain.at("one.test") == 3);
    CHECK(counts.recipients_by_domain.at("two.test") == 1);
    CHECK(counts.messages_by_source.at(*IpAddress::parse("127.0.0.1")) == 3);
    CHECK(counts.octets == 18 * 2 + 11);
    CHECK(counts.broken_transactions == 0);
    CHECK(sink->connections_now() == 0);
}

TEST_CASE("commands out of order, unknown ones and bad arguments are refused") {
    const auto sink = run({});
    SmtpScript client(sink->addresses()[0]);
    greet(client);
    CHECK(client.command("RCPT TO:<x@y>").substr(0, 3) == "503");
    CHECK(client.command("DATA").substr(0, 3) == "503");
    CHECK(client.command("MAIL FROM:<a@b>").substr(0, 3) == "250");
    CHECK(client.command("MAIL FROM:<a@b>").substr(0, 3) == "503");
    CHECK(client.command("RCPT TO:<>").substr(0, 3) == "501");
    CHECK(client.command("FROB").substr(0, 3) == "500");
    CHECK(client.command("RSET").substr(0, 3) == "250");
    CHECK(client.command("noop").substr(0, 3) == "250");
    CHECK(client.command(std::string(5000, 'x')).substr(0, 9) == "500 5.5.2");
    client.send(std::string(5000, 'x'));
    CHECK(client.reply() == "500 5.5.6 line too long");
    CHECK(client.reply().empty());
}

TEST_CASE("extensions can be switched off, and who pipelines without leave is counted") {
    const auto sink = run({.pipelining = false, .eight_bit = false, .enhanced_status = false, .max_message_size = 0});
    SmtpScript client(sink->addresses()[0]);
    client.reply();
    CHECK(client.command("EHLO me") == "250 sink.test");
    client.send("MAIL FROM:<a@b>\r\nRCPT TO:<x@y>\r\nDATA\r\n");
    for (const char* reply : {"250 ok", "250 ok"}) CHECK(client.reply() == reply);
    client.reply();
    client.command(".");
    sink->stop();
    CHECK(sink->counts().violations == 2);
    CHECK(sink->counts().messages == 1);
}

TEST_CASE("a message over the size is refused, declared or not") {
    const auto sink = run({.max_message_size = 1000});
    SmtpScript client(sink->addresses()[0]);
    greet(client);
    CHECK(client.command("MAIL FROM:<a-long-enough-name@src.test> SIZE=1001").substr(0, 3) == "552");
    CHECK(send_message(client, "x@y", std::string(999, 'x') + "\r\n").substr(0, 3) == "552");
    CHECK(send_message(client, "x@y", std::string(997, 'x') + "\r\n").substr(0, 3) == "250");
    sink->stop();
    CHECK(sink->counts().rejected_messages == 1);
}

TEST_CASE("connections beyond the limit are refused with 421") {
    const auto sink = run({.max_connections = 1});
    SmtpScript first(sink->addresses()[0]);
    greet(first);
    SmtpScript second(sink->addresses()[0]);
    CHECK(second.reply().substr(0, 3) == "421");
    CHECK(second.reply().empty());
    sink->stop();
    CHECK(sink->counts().refused_connections == 1);
}

TEST_CASE("named recipients defer, bounce and delay as they say") {
    const auto sink = run({});
    SmtpScript client(sink->addresses()[0]);
    greet(client);
    CHECK(send_message(client, "defer-1@x").substr(0, 3) == "450");
    CHECK(send_message(client, "defer-1@x").substr(0, 3) == "250");
    CHECK(send_message(client, "bounce@x").substr(0, 9) == "550 5.1.1");
    CHECK(send_message(client, "spam@x").substr(0, 3) == "554");
    const SteadyTime start = steady_clock_now();
    client.send("MAIL FROM:<a@b>\r\nRCPT TO:<slow-80ms@x>\r\nDATA\r\n");
    for (int i = 0; i < 3; ++i) client.reply();
    client.send("content\r\n.\r\nNOOP\r\n");  // the NOOP waits behind it
    CHECK(client.reply() == "250 2.0.0 accepted");
    CHECK(steady_clock_now() - start >= std::chrono::milliseconds(80));
    CHECK(client.reply() == "250 2.0.0 ok");
    CHECK(send_message(client, "gmail-rate@x").find("421-4.7.28 Gmail has detected") == 0);
    CHECK(client.reply().empty());  // 421 hangs up
    sink->stop();
    const SinkCounts counts = sink->counts();
    CHECK(counts.messages == 2);
    CHECK(counts.rejected_recipients == 2);
    CHECK(counts.rejected_messages == 2);
}

TEST_CASE("faults close, reset, babble, stop halfway or say nothing, in any phase") {
    const auto sink = run({.rules = {"connect source=127.0.0.1 first=1 reply=\"554 5.7.1 go away\"",
                                     "mail from=reset@* reset", "ehlo first=1 garbage", "data from=half@* half"}});
    {
        SmtpScript refused(sink->addresses()[0]);
        CHECK(refused.reply() == "554 5.7.1 go away");
        CHECK(refused.reply().empty());
    }
    {
        SmtpScript babbled(sink->addresses()[0]);
        babbled.reply();
        babbled.send("EHLO me\r\n");
        std::size_t octets = 0;
        for (std::string part = babbled.reply(); !part.empty(); part = babbled.reply()) octets += part.size();
        CHECK(octets > 150);
    }
    {
        SmtpScript reset(sink->addresses()[0]);
        greet(reset);
        CHECK(reset.command("MAIL FROM:<reset@x>").empty());
        CHECK(reset.was_reset);
    }
    SmtpScript dropped(sink->addresses()[0]);
    greet(dropped);
    CHECK(send_message(dropped, "drop@x").empty());
    CHECK_FALSE(dropped.was_reset);
    SmtpScript half(sink->addresses()[0]);
    greet(half);
    half.command("MAIL FROM:<half@x>");
    half.command("RCPT TO:<x@y>");
    half.send("DATA\r\n");
    const std::string part = half.some();
    CHECK(part.substr(0, 3) == "354");
    CHECK(part.size() < 30);
    sink->stop();
    CHECK(half.some().empty());
    CHECK(sink->counts().unanswered_messages == 1);
    CHECK(sink->counts().messages == 0);
}

TEST_CASE("a client that goes away in the middle is counted as a broken transaction") {
    const auto sink = run({});
    {
        SmtpScript client(sink->addresses()[0]);
        greet(client);
        client.command("MAIL FROM:<a@b>");
    }
    while (sink->connections_now() > 0) ::usleep(1000);
    sink->stop();
    CHECK(sink->counts().broken_transactions == 1);
}

TEST_CASE("messages are stored as files with envelopes, dots removed") {
    const Folder folder;
    const auto sink = run({.store_dir = folder / "mail"});
    SmtpScript client(sink->addresses()[0]);
    greet(client);
    CHECK(send_message(client, "x@y.test", "Subject: one\r\n\r\n..dotted\r\nplain.\r\n").substr(0, 3) == "250");
    sink->stop();
    CHECK(read_file(folder / "mail/000001.eml") == "Subject: one\r\n\r\n.dotted\r\nplain.\r\n");
    const std::string envelope = read_file(folder / "mail/envelopes.jsonl");
    CHECK(envelope.find("\"from\":\"a@src.test\",\"to\":[\"x@y.test\"]") != std::string::npos);
    CHECK(envelope.find("\"file\":\"000001.eml\"") != std::string::npos);
}

TEST_CASE("messages are stored as JSON lines, and the count is on disk") {
    const Folder folder;
    const auto sink = run({.store_file = folder / "mail.jsonl", .count_file = folder / "count"});
    SmtpScript client(sink->addresses()[0]);
    greet(client);
    for (int i = 0; i < 3; ++i) send_message(client, "x@y.test");
    sink->stop();
    sink->write_count();
    const std::string stored = read_file(folder / "mail.jsonl");
    CHECK(std::count(stored.begin(), stored.end(), '\n') == 3);
    CHECK(stored.find("\"content\":\"Subject: x\\r\\n\\r\\nhi\\r\\n\"") != std::string::npos);
    CHECK(std::stoi(read_file(folder / "count")) == 3);
}

TEST_CASE("a recording has every step of a connection with its time and source") {
    const Folder folder;
    const auto sink = run({.record_file = folder / "trace"});
    const std::int64_t before = to_unix_microseconds(wall_clock_now());
    {
        SmtpScript client(sink->addresses()[0]);
        greet(client);
        send_message(client, "x@y.test");
        send_message(client, "bounce@y.test");
        client.command("QUIT");
        CHECK(client.reply().empty());
    }
    sink->stop();
    const std::string trace = read_file(folder / "trace");
    std::string events;
    std::int64_t last = before;
    for (const std::string_view line : split(trace, '\n')) {
        if (line.empty()) continue;
        const std::size_t name = line.find("\"event\":\"") + 9;
        events += std::string(line.substr(name, line.find('"', name) - name)) + " ";
        const std::int64_t time = std::stoll(std::string(line.substr(line.find("\"t\":") + 4, 16)));
        CHECK(time >= last);
        last = time;
        CHECK(line.find("\"source\":\"127.0.0.1\"") != std::string_view::npos);
    }
    CHECK(events == "connect mail rcpt data end-of-data mail rcpt close ");
    CHECK(trace.find("\"recipient\":\"bounce@y.test\",\"code\":550") != std::string::npos);
    CHECK(last <= to_unix_microseconds(wall_clock_now()) + 1000);
}

TEST_CASE("a sink says when it has what it was waiting for") {
    const auto sink = run({.quit_after = 2});
    SmtpScript client(sink->addresses()[0]);
    greet(client);
    send_message(client, "x@y");
    CHECK_FALSE(sink->finished());
    send_message(client, "x@y");
    CHECK(sink->finished());
}

TEST_CASE("wrong rules, files and addresses are errors before anything starts") {
    CHECK_FALSE(Sink::open({.listen = {*Endpoint::parse("127.0.0.1:0")}, .rules = {"nonsense"}}));
    const auto unwritable = Sink::open({.listen = {*Endpoint::parse("127.0.0.1:0")}, .record_file = "/no/such/place"});
    REQUIRE_FALSE(unwritable);
    CHECK(unwritable.error().text.find("/no/such/place") == 0);
    const auto sink = run({});
    const auto second = Sink::open({.listen = sink->addresses()});
    REQUIRE_FALSE(second);
    CHECK(second.error().text.find("address in use") != std::string::npos);
}

TEST_CASE("the summary is readable, and JSON when asked") {
    SinkCounts counts;
    counts.messages = 5;
    counts.recipients_by_domain["x.test"] = 5;
    CHECK(format_sink_summary(counts, 1, false, false).find("x.test") != std::string::npos);
    const std::string json = format_sink_summary(counts, 1, true, true);
    CHECK(json.find("\"recipients_by_domain\":{\"x.test\":5}") != std::string::npos);
    CHECK(json.find("\"unique_deliveries\":0") != std::string::npos);
}

}  // namespace
}  // namespace postfleet::tools
