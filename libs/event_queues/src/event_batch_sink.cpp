#include "postfleet/event_queues/event_batch_sink.hpp"

#include "postfleet/reporting/confirmed_sending.hpp"
#include "postfleet/wire/events.hpp"
#include "postfleet/wire/topology.hpp"

namespace postfleet::event_queues {
namespace {

class EventBatchSink final : public ReportSink {
public:
    EventBatchSink(std::unique_ptr<BrokerPublisher> publisher, EventBatchSinkOptions options)
        : options_(std::move(options)),
          sending_(std::move(publisher), {.window = options_.window, .deadline = options_.deadline}) {}

    Status write(std::span<const ReportRecord> records) override {
        wire::EventBatch batch{.source = options_.source, .events = {}};
        std::size_t octets = 0;
        for (const ReportRecord& record : records) {
            const std::size_t size = wire::octets_in_batch(*record.event);
            const bool is_full = batch.events.size() >= options_.most_events || octets + size > options_.most_octets;
            if (is_full && !batch.events.empty()) {
                if (Status sent = send(batch); !sent) return sent;
                batch.events.clear();
                octets = 0;
            }
            batch.events.push_back({record.number, record.event});
            octets += size;
        }
        return batch.events.empty() ? Status() : send(batch);
    }
    Status flush() override { return sending_.await_all(); }
    void finish_by(SteadyTime when) override { sending_.finish_by(when); }

private:
    Status send(const wire::EventBatch& batch) {
        BrokerMessage message;
        message.body = std::make_shared<const std::string>(wire::encode_events(batch));
        message.content_type = wire::kEventsContentType;
        message.message_id = options_.source + "/" + std::to_string(batch.events.front().sequence);
        return sending_.send({std::string(wire::kEventsExchange), wire::sink_queue(options_.sink)}, std::move(message),
                             [this, count = batch.events.size()](const std::string& why) {
                                 // A batch is a fraction of what brokers take, so this is a broker with a wrong limit.
                                 options_.log.line(LogLevel::Error, "report-events-refused")
                                     .field("sink", options_.sink)
                                     .field("events", count)
                                     .field("because", why);
                             });
    }

    const EventBatchSinkOptions options_;
    reporting::ConfirmedSending sending_;
};

}  // namespace

std::unique_ptr<ReportSink> event_batch_sink(std::unique_ptr<BrokerPublisher> publisher,
                                             EventBatchSinkOptions options) {
    return std::make_unique<EventBatchSink>(std::move(publisher), std::move(options));
}

}  // namespace postfleet::event_queues
