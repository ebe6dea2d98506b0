// BrokerSession: publishing and consuming in a test's own thread, on any implementation, with what came of it.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "postfleet/ports/broker.hpp"
#include "postfleet/support/manual_executor.hpp"

namespace postfleet::support {

inline BrokerMessage broker_message(std::string id, std::string body = "body") {
    BrokerMessage out;
    out.body = std::make_shared<const std::string>(std::move(body));
    out.message_id = std::move(id);
    return out;
}

struct BrokerSession {
    explicit BrokerSession(ManualExecutor& on) : executor(on) {}

    ManualExecutor& executor;
    std::map<std::string, std::string> answers;  // by message id: "ok", or the kind of error
    std::string last_error;
    std::vector<BrokerDelivery> got;

    void publish(BrokerPublisher& publisher, BrokerAddress to, BrokerMessage message) {
        const std::string id = message.message_id;
        publisher.publish(std::move(to), std::move(message), {&executor, [this, id](Status status) {
                                                                  answers[id] =
                                                                      status ? "ok" : to_string(status.error().kind);
                                                                  if (!status) last_error = status.error().text;
                                                              }});
    }

    BrokerConsumerOptions options(std::string queue) {
        BrokerConsumerOptions out;
        out.queue = std::move(queue);
        out.name = "test";
        out.on = &executor;
        out.deliver = [this](BrokerDelivery&& delivery) { got.push_back(std::move(delivery)); };
        return out;
    }

    std::vector<std::string> ids() const {
        std::vector<std::string> out;
        for (const auto& delivery : got) out.push_back(delivery.message.message_id);
        return out;
    }

    bool wait_for_answers(std::size_t count, Duration patience = std::chrono::seconds(60)) {
        return executor.run_until([&] { return answers.size() >= count; }, patience);
    }
    bool wait_for_messages(std::size_t count, Duration patience = std::chrono::seconds(60)) {
        return executor.run_until([&] { return got.size() >= count; }, patience);
    }
    bool stop(BrokerConsumer& consumer) {
        bool stopped = false;
        consumer.stop({&executor, [&stopped](const Status&) { stopped = true; }});
        return executor.run_until([&] { return stopped; }, std::chrono::seconds(60));
    }
};

}  // namespace postfleet::support
