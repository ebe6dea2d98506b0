// Producer: one librdkafka producer from its start to its end.
//
// send() and await_all() block until a deadline. After an error from either it is of no further use: some of its
// records are there and some are not. Its destructor drops what is not sent.
// Threads: confined; librdkafka's own threads call nothing of ours.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "postfleet/kafka/kafka_sink.hpp"

struct rd_kafka_s;
struct rd_kafka_message_s;

namespace postfleet::kafka {

class Producer final {
public:
    static Result<std::unique_ptr<Producer>> make(const KafkaSinkOptions& options);
    ~Producer();
    Producer(const Producer&) = delete;
    Producer& operator=(const Producer&) = delete;

    // `until` may come nearer while it waits.
    Status send(const ReportRecord& record, const std::function<SteadyTime()>& until);
    Status await_all(const std::function<SteadyTime()>& until);

private:
    explicit Producer(const KafkaSinkOptions& options) : options_(options) {}
    static void on_delivery(rd_kafka_s* handle, const rd_kafka_message_s* message, void* self);
    static void on_error(rd_kafka_s* handle, int code, const char* reason, void* self);
    void on_result(int code, std::size_t index);
    Error failure(const char* doing) const;

    const KafkaSinkOptions& options_;
    rd_kafka_s* handle_ = nullptr;
    std::vector<EventId> sent_;  // since the last await_all(); a record's opaque value is its place here
    std::string failed_;         // why a record was not delivered; empty: all were, so far
    std::string broker_error_;   // the last one
};

}  // namespace postfleet::kafka
