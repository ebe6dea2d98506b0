// IngestFixture: the ingest core of one shard with a scripted store and clients that speak SMTP without sockets.
#pragma once

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "postfleet/config_files/load.hpp"
#include "postfleet/ingest/intake.hpp"
#include "postfleet/support/fake_handover.hpp"
#include "postfleet/support/manual_executor.hpp"

namespace postfleet::ingest {

inline const std::string kConfiguration = R"(
hostname: mx.example
tenants: {acme: {}}
listeners:
  relay: {address: "127.0.0.1:2525", relay_from: ["192.0.2.0/24"], headers: honour, tenant: acme}
virtual_mtas: {tx-1: {}, promo-1: {}, promo-2: {}}
pools:
  transactional: {members: [tx-1], priority: high}
  bulk: {members: {promo-1: 3, promo-2: 1}}
default_virtual_mta: tx-1
)";

class CollectingSink final : public LogSink {
public:
    void write(LogLevel, std::string&& line) override { lines.push_back(std::move(line)); }
    std::vector<std::string> lines;
};

inline std::shared_ptr<const ListenerRules> rules_from(const std::string& text) {
    const auto loaded = config_files::load_text(text);
    INFO(config_files::to_string(loaded.problems));
    REQUIRE(loaded.config);
    return ListenerRules::make(*loaded.config, loaded.config->listeners.at("relay"),
                               routing::Snapshot::compile(*loaded.config));
}

struct IngestFixture {
    explicit IngestFixture(const std::string& configuration = kConfiguration) : rules(rules_from(configuration)) {}

    std::uint64_t refused(Reason reason) { return counters.by_reason[static_cast<std::size_t>(reason)]->value(); }
    std::uint64_t refused(smtp::Refusal reason) {
        return counters.by_refusal[static_cast<std::size_t>(reason)]->value();
    }

    std::shared_ptr<const ListenerRules> rules;
    support::ManualExecutor executor;
    support::FakeHandover handover;
    Metrics metrics;
    CollectingSink sink;
    IngestCounters counters{metrics};
    ProcessLimits process;
    ListenerShared listener{metrics, "relay", process};
    IntakeShard shard{executor, handover, counters, Log(sink), 42};
};

class Client final : public IntakeDriver {
public:
    enum class Wire { Plain, Tls };
    explicit Client(IngestFixture& fixture, const std::string& address = "192.0.2.7", Wire wire = Wire::Plain)
        : fixture_(fixture),
          intake_(std::make_unique<Intake>(fixture.shard, fixture.listener, fixture.rules, *IpAddress::parse(address),
                                           *this)),
          session_(std::make_unique<smtp::ServerSession>(intake_->session_settings(), *intake_)) {
        if (wire == Wire::Tls) {
            intake_->secured({.protocol = "TLSv1.3", .cipher = "TLS_AES_128_GCM_SHA256"});
            session_->secured();
        }
        session_->open(out_);
    }

    // What the server answers, after everything that is due now has run.
    std::string say(const std::string& octets) {
        session_->receive(octets, out_);
        return hear();
    }
    std::string hear() {
        fixture_.executor.run_until_idle();
        return std::exchange(out_, {});
    }
    // EHLO to DATA; every command must be taken.
    void begin(const std::string& from = "a@sender.example",
               const std::vector<std::string>& recipients = {"b@rcpt.example"}) {
        std::string commands = "EHLO client.example\r\nMAIL FROM:<" + from + ">\r\n";
        for (const auto& recipient : recipients) commands += "RCPT TO:<" + recipient + ">\r\n";
        const std::string replies = say(commands + "DATA\r\n");
        REQUIRE(replies.find("\r\n5") == std::string::npos);
        REQUIRE(replies.find("354 ") != std::string::npos);
    }
    // Too slow; or we are shutting down.
    std::string time_out() {
        session_->time_out(out_);
        return hear();
    }
    std::string drain() {
        session_->drain(out_);
        return hear();
    }
    bool is_lost() const { return session_ == nullptr; }
    void lose() {
        if (is_lost()) return;
        session_->lose();
        session_.reset();
        intake_.reset();
    }
    void resume(smtp::Decision decision) override { session_->resume(std::move(decision), out_); }
    smtp::ServerSession& session() { return *session_; }
    Intake& intake() { return *intake_; }

private:
    IngestFixture& fixture_;
    std::unique_ptr<Intake> intake_;
    std::unique_ptr<smtp::ServerSession> session_;
    std::string out_;
};

}  // namespace postfleet::ingest
