// The two applications beside a cluster under load: one that submits mail by RabbitMQ, one that reads the reports.
//
//   queue_load publish URL --messages N    postfleet.v1.Submission to postfleet.submit, with confirms; a report as JSON.
//                                          Declares the queue, so that it can be tried on a broker alone
//   queue_load reports URL --until N       reads postfleet.reports until N messages are reported as delivered
//
// The mail is that of `postfleet load`, so `postfleet sink --id-header X-Load-Id` counts it and measures its latency.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "postfleet/amqp/broker.hpp"
#include "postfleet/net/loop_group.hpp"
#include "postfleet/v1/submission.pb.h"
#include "postfleet/wire/topology.hpp"
#include "tools/load_message.hpp"

using namespace postfleet;

namespace {

constexpr Duration kMoment = std::chrono::milliseconds(1);

struct Options {
    std::string url;
    std::uint64_t messages = 10'000;
    std::uint64_t window = 500;   // under way
    std::size_t connections = 1;  // that they are shared out among
    double rate = 0;              // messages a second; 0: as fast as it goes
    std::uint64_t pools = 0;      // "pool-0", "pool-1" … in turn; 0: as the configuration binds
    tools::LoadOptions mail;
};

// Keeps `window` submissions under way, or sends them at a rate. Threads: confined to the loop, but the counts.
class Publisher {
public:
    using Connections = std::vector<std::unique_ptr<BrokerPublisher>>;

    Publisher(const Options& options, const Connections& connections, net::EpollLoop& loop)
        : options_(options), maker_(options.mail), connections_(connections), loop_(loop) {}

    void start() {
        started_ = loop_.now();
        if (options_.rate > 0) return tick();
        for (std::uint64_t i = 0; i < options_.window && sent_ < options_.messages; ++i) send();
    }
    std::uint64_t ended() const { return ended_.load(std::memory_order_acquire); }
    std::uint64_t failed() const { return failed_; }
    const std::string& failure() const { return failure_; }
    SteadyTime last_confirm() const { return last_; }

private:
    void tick() {
        const double due = std::chrono::duration<double>(loop_.now() - started_).count() * options_.rate;
        while (sent_ < options_.messages && static_cast<double>(sent_) < due) send();
        if (sent_ < options_.messages) loop_.schedule_at(loop_.now() + kMoment, [this] { tick(); });
    }

    std::string submission(std::uint64_t number) {
        v1::Submission mail;
        maker_.append_from(*mail.mutable_mail_from(), number);
        maker_.append_recipient(*mail.add_recipients()->mutable_address(), number, 0);
        const auto pieces = maker_.content(number, loop_.now(), head_);
        mail.mutable_mime()->append(pieces[0].octets).append(pieces[1].octets).append("\r\n");
        if (options_.pools > 0) mail.set_virtual_mta(fmt::format("pool-{}", number % options_.pools));
        return mail.SerializeAsString();
    }

    void send() {
        BrokerMessage message;
        message.body = std::make_shared<const std::string>(submission(sent_));
        message.content_type = "application/x-protobuf";
        message.message_id = maker_.id(sent_);
        BrokerPublisher& publisher = *connections_[sent_++ % connections_.size()];
        publisher.publish({std::string(wire::kSubmitExchange), std::string(wire::kSubmitQueue)}, std::move(message),
                          {&loop_, [this](const Status& status) { on_confirm(status); }});
    }

    void on_confirm(const Status& status) {
        last_ = loop_.now();
        if (!status) {
            ++failed_;
            failure_ = status.error().text;
        }
        ended_.fetch_add(1, std::memory_order_release);
        if (options_.rate == 0 && sent_ < options_.messages) send();
    }

    const Options& options_;
    const tools::MessageMaker maker_;
    const Connections& connections_;
    net::EpollLoop& loop_;
    std::string head_, failure_;
    std::uint64_t sent_ = 0, failed_ = 0;
    SteadyTime started_{}, last_{};
    std::atomic<std::uint64_t> ended_{0};
};

// Threads: confined to the loop, but the count.
class Reader {
public:
    explicit Reader(std::uint64_t until) : until_(until) {}

    void take(const BrokerDelivery& delivery) {
        ++events_;
        if (delivery.message.type != "email.delivered" || !ids_.insert(delivery.message.message_id).second) return;
        delivered_.fetch_add(1, std::memory_order_release);
    }
    bool is_done() const { return delivered_.load(std::memory_order_acquire) >= until_; }
    std::uint64_t events() const { return events_; }

private:
    const std::uint64_t until_;
    std::uint64_t events_ = 0;
    std::unordered_set<std::string> ids_;
    std::atomic<std::uint64_t> delivered_{0};
};

int publish(const Options& options, amqp::Broker& broker, net::EpollLoop& loop) {
    const SteadyTime began = steady_clock_now();  // as `postfleet load`: with the time to connect
    Publisher::Connections connections;
    for (std::size_t i = 0; i < options.connections; ++i) connections.push_back(broker.publisher());
    for (const auto& connection : connections) {
        while (!connection->obstacle().empty()) std::this_thread::sleep_for(kMoment);
    }
    Publisher source(options, connections, loop);
    loop.post([&] { source.start(); });
    while (source.ended() < options.messages) std::this_thread::sleep_for(kMoment);
    fmt::print("{{\"seconds\": {}, \"confirmed\": {}, \"failed\": {}}}\n",
               std::chrono::duration<double>(source.last_confirm() - began).count(), options.messages - source.failed(),
               source.failed());
    if (source.failed() > 0) fmt::print(stderr, "the last failure: {}\n", source.failure());
    return source.failed() > 0 ? 1 : 0;
}

int read_reports(const Options& options, amqp::Broker& broker, net::EpollLoop& loop) {
    Reader reader(options.messages);
    std::unique_ptr<BrokerConsumer> consumer;
    BrokerConsumerOptions consuming;
    consuming.queue = wire::kReportsQueue;
    consuming.name = "application";
    consuming.most_unsettled = 1'000;
    consuming.on = &loop;
    consuming.deliver = [&](BrokerDelivery&& delivery) {
        reader.take(delivery);
        consumer->settle(delivery.tag, BrokerVerdict::Ack);
    };
    loop.post([&] { consumer = broker.consumer(std::move(consuming)); });
    while (!reader.is_done()) std::this_thread::sleep_for(kMoment);
    std::atomic<bool> stopped{false};
    loop.post([&] { consumer->stop({&loop, [&](const Status&) { stopped = true; }}); });
    while (!stopped) std::this_thread::sleep_for(kMoment);
    fmt::print("{{\"events\": {}}}\n", reader.events());
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app("An application that submits by RabbitMQ, and one that reads the reports");
    app.require_subcommand(1);
    CLI::App& publishing = *app.add_subcommand("publish", "submit mail");
    publishing.add_option("url", options.url, "the broker")->required();
    publishing.add_option("--messages", options.messages, "how many")->capture_default_str();
    publishing.add_option("--window", options.window, "how many are under way")->capture_default_str();
    publishing.add_option("--connections", options.connections, "to the broker, used in turn")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    publishing.add_option("--rate", options.rate, "messages a second; 0: as fast as it goes")->capture_default_str();
    publishing.add_option("--pools", options.pools, "pool-0, pool-1 … in turn; 0: none is named")
        ->capture_default_str();
    publishing.add_option("--size", options.mail.sizes.front().octets, "octets of a message")->capture_default_str();
    publishing.add_option("--domains", options.mail.domains, "domains of recipients")->capture_default_str();
    CLI::App& reading = *app.add_subcommand("reports", "read reports");
    reading.add_option("url", options.url, "the broker")->required();
    reading.add_option("--until", options.messages, "so many are delivered")->required();
    CLI11_PARSE(app, argc, argv);

    auto url = BrokerUrl::parse(options.url);
    auto loops = net::LoopGroup::create(1);
    if (!url || !loops) return fmt::print(stderr, "{}\n", url ? loops.error().text : url.error().text), 1;
    (*loops)->start();
    amqp::BrokerOptions broker_options;
    broker_options.access.url = *url;
    broker_options.name = "queue_load";
    if (publishing.parsed()) broker_options.topology = wire::submit_topology();
    amqp::Broker broker(broker_options);
    net::EpollLoop& loop = (**loops)[0];
    return publishing.parsed() ? publish(options, broker, loop) : read_reports(options, broker, loop);
}
