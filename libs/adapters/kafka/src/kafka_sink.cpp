#include "postfleet/kafka/kafka_sink.hpp"

#include <algorithm>

#include "producer.hpp"

namespace postfleet::kafka {

KafkaSink::KafkaSink(KafkaSinkOptions options)
    : options_(std::move(options)), finish_by_(SteadyTime::max().time_since_epoch().count()) {}

KafkaSink::~KafkaSink() = default;

Result<std::unique_ptr<KafkaSink>> KafkaSink::open(KafkaSinkOptions options) {
    std::unique_ptr<KafkaSink> sink(new KafkaSink(std::move(options)));
    auto producer = Producer::make(sink->options_);
    if (!producer) return producer.error();
    sink->producer_ = std::move(*producer);
    return sink;
}

Status KafkaSink::write(std::span<const ReportRecord> records) {
    if (!producer_) {
        auto made = Producer::make(options_);
        if (!made) return made.error();
        producer_ = std::move(*made);
    }
    const SteadyTime latest = steady_clock_now() + options_.deadline;
    const auto until = [&] { return std::min(latest, deadline()); };
    for (const ReportRecord& record : records) {
        if (Status sent = producer_->send(record, until); !sent) return give_up(sent.error());
    }
    return {};
}

Status KafkaSink::flush() {
    if (!producer_) return Error{ErrorKind::Unavailable, "kafka: what was written is lost; write it again"};
    const SteadyTime latest = steady_clock_now() + options_.deadline;
    const auto until = [&] { return std::min(latest, deadline()); };
    if (Status all = producer_->await_all(until); !all) return give_up(all.error());
    return {};
}

void KafkaSink::finish_by(SteadyTime when) { finish_by_.store(when.time_since_epoch().count()); }

SteadyTime KafkaSink::deadline() const { return SteadyTime(SteadyTime::duration(finish_by_.load())); }

Error KafkaSink::give_up(Error error) {
    producer_.reset();
    return error;
}

}  // namespace postfleet::kafka
