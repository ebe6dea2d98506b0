// What one message costs the server side in user CPU, without sockets: `build/release/bench/smtp_server_bench`.
//
// The pieces are those of a pipelining client: the envelope in one read, the data in the next. "Intake" is the whole
// of ingest but for the socket and the store: session, header, binding, ids, Received, tasks; with and without the log line.
#include <benchmark/benchmark.h>

#include <string>

#include "postfleet/ingest/intake.hpp"
#include "postfleet/smtp/data_scanner.hpp"
#include "postfleet/support/manual_executor.hpp"

namespace postfleet {
namespace {

const std::string kEnvelope =
    "MAIL FROM:<bounce-12345@news.example.com> SIZE=10240 BODY=8BITMIME\r\nRCPT TO:<some.user@example.org>\r\nDATA\r\n";

std::string message_of(std::size_t octets) {
    std::string text =
        "Received: from app.example.com (app.example.com [10.1.2.3])\r\n\tby mail.example.com with ESMTP id "
        "1234567890\r\n"
        "\tfor <some.user@example.org>; Sun, 22 Nov 2026 10:11:12 +0000\r\n"
        "From: \"Example News\" <news@example.com>\r\nTo: Some User <some.user@example.org>\r\n"
        "Subject: Our offers of this week, with free delivery until Sunday\r\nDate: Sun, 22 Nov 2026 10:11:12 +0000\r\n"
        "Message-ID: <20261122101112.12345@news.example.com>\r\nMIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=utf-8\r\nX-Virtual-MTA: tx-1\r\nX-Job: weekly-2026-47\r\n"
        "List-Unsubscribe: <https://example.com/u/12345>\r\n\r\n";
    while (text.size() + 78 < octets) text += std::string(76, 'x') + "\r\n";
    return text + ".\r\n";
}

class NoPolicy final : public smtp::ServerPolicy {
public:
    smtp::Decision on_connection() override { return {}; }
    smtp::Decision on_auth(smtp::AuthRequest&&) override { return smtp::Decision::accept(); }
    smtp::Decision on_auth_line(std::string_view) override { return smtp::Decision::accept(); }
    smtp::Decision on_mail(smtp::MailRequest&&) override { return {}; }
    smtp::Decision on_rcpt(smtp::RcptRequest&&) override { return {}; }
    smtp::Decision on_header(std::string&) override { return {}; }
    smtp::Decision on_chunk(SharedOctets, std::uint32_t) override { return {}; }
    smtp::Decision on_end_of_data(smtp::ContentEnd&& end) override {
        benchmark::DoNotOptimize(end.last_chunk.data());
        return {};
    }
    void on_abandoned() override {}
    void on_refusal(smtp::Refusal) override {}
};

void scanner(benchmark::State& state) {
    const std::string text = message_of(static_cast<std::size_t>(state.range(0)));
    std::string out;
    out.reserve(text.size());
    for (auto _ : state) {
        out.clear();
        smtp::DataScanner scan(smtp::LineEndPolicy::Strict);
        benchmark::DoNotOptimize(scan.scan(text, out).ended);
    }
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * text.size()));
}
BENCHMARK(scanner)->Arg(2000)->Arg(10'000)->Arg(50'000);

void session(benchmark::State& state) {
    const std::string text = message_of(static_cast<std::size_t>(state.range(0)));
    const smtp::ServerSettings settings{.hostname = "mx.example"};
    NoPolicy policy;
    smtp::ServerSession server(settings, policy);
    std::string out;
    server.open(out);
    server.receive("EHLO client.example\r\n", out);
    for (auto _ : state) {
        out.clear();
        server.receive(kEnvelope, out);
        server.receive(text, out);
        benchmark::DoNotOptimize(out.data());
    }
}
BENCHMARK(session)->Arg(2000)->Arg(10'000)->Arg(50'000);

class AtOnce final : public Handover {
public:
    Admission admission() const override { return {}; }
    void holds(MessageId, Completion<Result<bool>>) override {}
    void hand_over(AcceptedMessage message, Completion<Status> done) override {
        benchmark::DoNotOptimize(message.tasks.data());
        waiting = std::move(done);
    }
    void append_content(MessageId, std::uint32_t, SharedOctets, Completion<Status>) override {}
    void discard_content(MessageId, std::uint32_t) override {}
    Completion<Status> waiting;
};

struct Driver final : ingest::IntakeDriver {
    smtp::ServerSession* server = nullptr;
    std::string out;
    void resume(smtp::Decision decision) override { server->resume(std::move(decision), out); }
};

class NullSink final : public LogSink {
public:
    void write(LogLevel, std::string&& line) override { benchmark::DoNotOptimize(line.data()); }
};

void run_intake(benchmark::State& state, bool logged) {
    const std::string text = message_of(static_cast<std::size_t>(state.range(0)));
    config::Config config;
    config.hostname = "mx.example";
    config.log.accepted = logged;
    config.virtual_mtas["tx-1"].name = "tx-1";
    config.default_virtual_mta = "tx-1";
    config::Listener listener;
    listener.name = "relay";
    listener.headers = config::HeaderTrust::Honour;
    listener.relay_from.push_back(*Network::parse("10.0.0.0/8"));
    support::ManualExecutor executor;
    AtOnce handover;
    Metrics metrics;
    ingest::IngestCounters counters(metrics);
    ingest::ProcessLimits process;
    ingest::ListenerShared shared(metrics, "relay", process);
    NullSink sink;
    ingest::IntakeShard shard(executor, handover, counters, Log(sink), 1);
    const auto rules = ingest::ListenerRules::make(config, listener, routing::Snapshot::compile(config));
    Driver driver;
    ingest::Intake policy(shard, shared, rules, *IpAddress::parse("10.1.2.3"), driver);
    smtp::ServerSession server(rules->session, policy);
    driver.server = &server;
    server.open(driver.out);
    server.receive("EHLO client.example\r\n", driver.out);
    for (auto _ : state) {
        driver.out.clear();
        server.receive(kEnvelope, driver.out);
        server.receive(text, driver.out);
        handover.waiting.run({});
        if (driver.out.find("250 2.0.0 Ok: queued") == std::string::npos) {
            state.SkipWithError("not accepted");
            break;
        }
    }
}
void intake(benchmark::State& state) { run_intake(state, false); }
void intake_logged(benchmark::State& state) { run_intake(state, true); }
BENCHMARK(intake_logged)->Arg(10'000);
BENCHMARK(intake)->Arg(2000)->Arg(10'000)->Arg(50'000);

}  // namespace
}  // namespace postfleet

BENCHMARK_MAIN();
