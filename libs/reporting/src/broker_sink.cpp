#include "postfleet/reporting/broker_sink.hpp"

#include "postfleet/reporting/confirmed_sending.hpp"
#include "postfleet/report/routing_key.hpp"

namespace postfleet::reporting {
namespace {

constexpr const char* kContentType = "application/cloudevents+json";

BrokerMessage message_of(const ReportRecord& record) {
    const Event& event = *record.event;
    BrokerMessage message;
    message.body = std::make_shared<const std::string>(record.text);
    message.content_type = kContentType;
    message.message_id = event.id.to_string();
    message.type = to_string(event.type);
    const auto add = [&](const char* name, const std::string& value) {
        if (!value.empty()) message.headers.emplace_back(name, value);
    };
    if (event.message) {
        add("tenant", event.message->tenant);
        add("job", event.message->job);
    }
    add("pool", report::pool_of(event));
    add("virtual_mta", event.virtual_mta);
    add("queue", event.queue);
    add("recipient", event.recipient);
    return message;
}

class BrokerSink final : public ReportSink {
public:
    BrokerSink(std::unique_ptr<BrokerPublisher> publisher, BrokerSinkOptions options)
        : options_(std::move(options)),
          sending_(std::move(publisher), {.window = options_.window, .deadline = options_.deadline}) {}

    Status write(std::span<const ReportRecord> records) override {
        for (const ReportRecord& record : records) {
            Status sent =
                sending_.send({options_.exchange, report::report_routing_key(*record.event)}, message_of(record),
                              [this, id = record.event->id](const std::string& why) { options_.refused(id, why); });
            if (!sent) return sent;
        }
        return {};
    }
    Status flush() override { return sending_.await_all(); }
    void finish_by(SteadyTime when) override { sending_.finish_by(when); }

private:
    const BrokerSinkOptions options_;
    ConfirmedSending sending_;
};

}  // namespace

std::unique_ptr<ReportSink> broker_sink(std::unique_ptr<BrokerPublisher> publisher, BrokerSinkOptions options) {
    return std::make_unique<BrokerSink>(std::move(publisher), std::move(options));
}

}  // namespace postfleet::reporting
