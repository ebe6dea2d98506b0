#include "postfleet/event_queues/outbox_publishing.hpp"

#include <algorithm>
#include <utility>

namespace postfleet::event_queues {

Result<std::unique_ptr<OutboxPublishing>> OutboxPublishing::start(EventLog& outbox,
                                                                  std::vector<reporting::SinkSetup> sinks,
                                                                  Others others, Metrics& metrics, Log log) {
    reporting::CarrierOptions options;
    options.gather_interval = options.flush_interval = std::chrono::milliseconds(20);
    options.last_backoff = std::chrono::seconds(5);
    options.others = others;
    std::unique_ptr<OutboxPublishing> publishing(new OutboxPublishing(outbox, std::move(options), metrics, log));
    for (reporting::SinkSetup& sink : sinks) {
        sink.quota = UINT64_MAX;  // nothing is given up in order to end
        const auto cursor = outbox.open_cursor(sink.name);
        if (!cursor) return cursor.error();
        publishing->begun_at_[sink.name] = *cursor;
    }
    publishing->carrier_.start(std::move(sinks));
    return publishing;
}

OutboxPublishing::State OutboxPublishing::state() const {
    State state;
    for (const reporting::SinkStatus& sink : carrier_.status()) {
        // A sink that has not begun counts from the first event that ever was.
        const std::uint64_t last = outbox_.last_number(), begun_at = begun_at_.at(sink.name);
        state.left += std::min(sink.lag_events, last > begun_at ? last - begun_at : 0);
        if (!sink.last_error.empty()) state.obstacle = sink.name + ": " + sink.last_error;
    }
    return state;
}

OutboxPublishing::State OutboxPublishing::stop() {
    carrier_.stop();
    return state();
}

}  // namespace postfleet::event_queues
