// SenderWorld: a whole sender core in memory: shards on a manual clock, spool, DNS and SMTP servers that the test
// scripts. Settle() runs everything that can run now; advance() moves the clock.
//
// Threads: confined to the test's thread.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "postfleet/crypto/openssl_digests.hpp"
#include "postfleet/sender/sender.hpp"
#include "postfleet/support/fake_resolver.hpp"
#include "postfleet/support/fake_spool.hpp"
#include "postfleet/support/fake_state_store.hpp"
#include "postfleet/support/fake_transport.hpp"
#include "postfleet/support/manual_executor.hpp"

namespace postfleet::support {

// Runs what it is given with whatever else can run now.
class FakeWorkers final : public Workers {
public:
    bool submit(Priority priority, Callback task) override {
        if (is_full) return false;
        priorities.push_back(priority);
        on->post(std::move(task));
        return true;
    }
    Executor* on = nullptr;
    bool is_full = false;
    std::vector<Priority> priorities;  // of every task so far
};

class LogLines final : public LogSink {
public:
    void write(LogLevel, std::string&& line) override { lines.push_back(std::move(line)); }
    std::vector<std::string> lines;
};

struct Mail {
    std::string from = "sender@from.test";
    std::vector<std::string> to{"a@x.test"};
    std::string content = "Subject: hi\r\n\r\nhello\r\n";
    std::string virtual_mta = "v1";
    std::string pool, tenant = "default", job;
    Priority priority = Priority::Normal;
    std::optional<Duration> expires_in, send_in;
    std::vector<DeliveryWindow> windows;
    bool has_leading_dots = false;
    bool has_long_lines = false;
    TlsWish tls_wish = TlsWish::NotGiven;
    BodyType body_type = BodyType::SevenBit;
    std::string user, dkim_options;
    std::uint8_t notify = 0;  // of every recipient
    ReturnContent return_content = ReturnContent::NotGiven;
    std::string envelope_id, listener;
    std::optional<DeliverBy> deliver_by;
    MergeText merge;
    std::vector<MergeVariables> variables;  // of `to`, as far as it goes
    bool verp = false;
    std::optional<MessageId> id, taken_as;  // `id` empty: one of its own
};

class SenderWorld {
public:
    explicit SenderWorld(unsigned shards = 1);
    ~SenderWorld();

    // Before start(), or with reload().
    // Has VMTA v1 (source 192.0.2.10, ehlo v1.test); retry_after 10s 30s; expire 1h; no notifications to senders.
    config::Config config;
    config::ShapingKeys& shaping() { return config.shaping.front().keys; }  // the general rule
    config::VirtualMta& add_virtual_mta(const std::string& name, const std::vector<std::string>& sources);
    void route(const std::string& domain, const std::string& endpoint);  // in config.routes
    std::map<std::string, std::string> secret_files;                     // path → what is in it

    std::string own_name;  // of a cluster's sender; empty: it is none

    void start();
    void reload();
    void stop();  // the process is gone; the spool stays (call spool.restart() for a crash)
    void settle();
    void advance(Duration duration);

    // Hands a message over and settles. try_accept: the status that ingest would have got; accept: it must be ok.
    Status try_accept(const Mail& mail);
    void accept(const Mail& mail) { require(try_accept(mail).has_value()); }
    // The same without settling.
    void hand_over(const Mail& mail, unsigned shard = 0);
    std::optional<Status> last_status;

    FakeHost& host(const std::string& endpoint) { return transports[0]->host(endpoint); }
    std::vector<Event> events(EventType type) const;
    std::size_t count(EventType type) const { return events(type).size(); }
    QueueStatus queue(const std::string& name);
    std::vector<QueueStatus> queues();
    template <class T, class Call>
    T ask(Call&& call) {
        std::optional<T> answer;
        call(Completion<T>{executors[0].get(), [&](T value) { answer.emplace(std::move(value)); }});
        for (int i = 0; i < 1000 && !answer; ++i) settle_or_advance();
        return std::move(answer).value();
    }
    // Orders of "op", each of which must be taken; remove() waits until it is finished and answers for how many.
    Result<Order> give(Order order);
    Order must_give(Order order) { return give(std::move(order)).value(); }
    Order pause(MailSelector which) { return must_give({.which = std::move(which), .why = "maintenance"}); }
    std::uint64_t remove(MailSelector which);
    Order finished(OrderId id);  // waits for that
    void resume(MailSelector which);
    void withdraw(OrderId id);
    std::uint64_t retry(MailSelector which);
    std::uint64_t count_mail(MailSelector which);
    std::vector<Order> orders(OrderFilter filter = {});
    std::vector<QueuedTask> list(MailSelector which, std::size_t limit = 100);
    std::uint64_t ids_made = 0;

    std::vector<std::unique_ptr<ManualExecutor>> executors;
    std::vector<std::unique_ptr<FakeTransport>> transports;
    std::vector<std::unique_ptr<FakeTlsClient>> tls_clients;
    FakeSpool spool;
    FakeStateStore state;
    FakeResolver resolver;
    FakeWorkers workers;
    crypto::OpensslDigests digests;
    std::shared_ptr<const sender::SigningKeys> signing_keys;  // by the index of config.dkim
    const Compressor* compressor = nullptr;                   // for start(); null: no TLS reports
    HttpClient* http = nullptr;                               // for start(); null: nothing is fetched
    LogLines log;
    std::unique_ptr<Metrics> metrics;
    std::unique_ptr<sender::Sender> sender;

private:
    AcceptedMessage make(const Mail& mail);
    sender::SenderConfiguration compiled() const;
    void settle_or_advance();
    IdGenerator ids_{42};
};

}  // namespace postfleet::support
