// Publishing with confirms and consuming with acknowledgements through a real RabbitMQ: rates, and CPU of this process.
//
//   tests/support/brokers/rabbitmq.py -- build/release/bench/broker_bench [MESSAGES] [OCTETS]
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>

#include "postfleet/amqp/broker.hpp"
#include "postfleet/net/loop_group.hpp"

using namespace postfleet;

namespace {

double cpu_seconds() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Meter {
    explicit Meter(const char* name, std::uint64_t messages) : what(name), count(messages) {}
    ~Meter() {
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
        std::printf("%-8s %9.0f messages/s   %6.1f us CPU each\n", what, static_cast<double>(count) / took.count(),
                    (cpu_seconds() - cpu) * 1e6 / static_cast<double>(count));
    }
    const char* const what;
    const std::uint64_t count;
    const std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
    const double cpu = cpu_seconds();
};

// Keeps `window` publishes under way, as senders of confirmed mail do.
class Source {
public:
    Source(BrokerPublisher& publisher, Executor& executor, std::uint64_t messages, std::size_t octets)
        : publisher_(publisher),
          executor_(executor),
          messages_(messages),
          body_(std::make_shared<const std::string>(octets, 'x')) {}

    void start(std::uint64_t window) {
        for (std::uint64_t i = 0; i < window && sent_ < messages_; ++i) next();
    }
    std::uint64_t confirmed() const { return confirmed_.load(); }
    std::uint64_t failed() const { return failed_.load(); }

private:
    void next() {
        BrokerMessage message;
        message.body = body_;
        message.message_id = std::to_string(sent_++);
        publisher_.publish({"", "bench"}, std::move(message), {&executor_, [this](const Status& status) {
                                                                   (status ? confirmed_ : failed_).fetch_add(1);
                                                                   if (sent_ < messages_) next();
                                                               }});
    }

    BrokerPublisher& publisher_;
    Executor& executor_;
    const std::uint64_t messages_;
    const SharedOctets body_;
    std::uint64_t sent_ = 0;
    std::atomic<std::uint64_t> confirmed_{0}, failed_{0};
};

}  // namespace

int main(int argc, char** argv) {
    const std::uint64_t messages = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 20'000;
    const std::size_t octets = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 10'240;
    const char* const address = std::getenv("POSTFLEET_TEST_AMQP_URL");
    auto url = BrokerUrl::parse(address != nullptr ? address : "");
    auto loops = net::LoopGroup::create(1);
    if (!url || !loops) return std::fputs("run it through tests/support/brokers/rabbitmq.py --\n", stderr), 1;
    (*loops)->start();
    Executor& executor = (**loops)[0];
    amqp::BrokerOptions options;
    options.access.url = *url;
    options.topology = {.queues = {{.name = "bench", .most_octets = 8ull << 30, .delivery_limit = 1000}}};
    amqp::Broker broker(options);
    const auto publisher = broker.publisher();
    while (!publisher->obstacle().empty()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    {
        Source source(*publisher, executor, messages, octets);
        const Meter meter("publish", messages);
        executor.post([&] { source.start(500); });
        while (source.confirmed() + source.failed() < messages) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        if (source.failed() > 0) std::printf("%llu failed\n", static_cast<unsigned long long>(source.failed()));
    }
    std::atomic<std::uint64_t> got{0};
    BrokerConsumer* settles = nullptr;
    const Meter meter("consume", messages);
    BrokerConsumerOptions consuming;
    consuming.queue = "bench";
    consuming.on = &executor;
    consuming.deliver = [&](BrokerDelivery&& delivery) {
        settles->settle(delivery.tag, BrokerVerdict::Ack);
        got.fetch_add(1);
    };
    std::unique_ptr<BrokerConsumer> consumer;
    executor.post([&] {
        consumer = broker.consumer(std::move(consuming));
        settles = consumer.get();
    });
    while (got.load() < messages) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}
