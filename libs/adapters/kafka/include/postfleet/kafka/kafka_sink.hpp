// KafkaSink: a ReportSink that puts each record into a Kafka topic, confirmed by all in-sync replicas.
//
//   write()  hands records to the producer's queue; blocks while that is full
//   flush()  blocks until the brokers have confirmed every record
//
// Both give up after `deadline`, at the first record that could not be delivered, or when finish_by() says so; then
// everything since the last flush is to be written again, by a new producer. The brokers may be away at any time, also
// when it is opened.
//
// Threads: confined, except finish_by(); `key` and `refused` run on the thread of the caller. Errors: open() says what
// is wrong with the options or files; else Unavailable or DeadlineExceeded, with the last thing that a broker said.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "postfleet/base/secret.hpp"
#include "postfleet/ports/report_sink.hpp"

namespace postfleet::kafka {

struct KafkaSinkOptions {
    std::vector<std::string> brokers;  // "host:port"
    std::string topic;
    std::function<std::string(const Event&)> key;  // none: records without a key
    std::string compression = "lz4";               // librdkafka's words: none, gzip, snappy, lz4, zstd
    bool tls = false;
    std::string ca_file, certificate, private_key;  // PEM; empty: the system's authorities, no certificate
    std::string sasl_mechanism;                     // "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"; empty: no login
    std::string user;
    std::function<Result<Secret>()> password;  // asked for every producer
    Duration deadline = std::chrono::seconds(20);
    std::uint32_t most_unsent_kib = 32u << 10;  // in the producer's queue
    // An event that the topic does not take, and why.
    std::function<void(EventId, const std::string& why)> refused;
};

class Producer;

class KafkaSink final : public ReportSink {
public:
    static Result<std::unique_ptr<KafkaSink>> open(KafkaSinkOptions options);
    ~KafkaSink() override;
    KafkaSink(const KafkaSink&) = delete;
    KafkaSink& operator=(const KafkaSink&) = delete;

    Status write(std::span<const ReportRecord> records) override;
    Status flush() override;
    void finish_by(SteadyTime when) override;

private:
    explicit KafkaSink(KafkaSinkOptions options);
    Error give_up(Error error);
    SteadyTime deadline() const;

    const KafkaSinkOptions options_;
    std::atomic<SteadyTime::rep> finish_by_;
    std::unique_ptr<Producer> producer_;
};

}  // namespace postfleet::kafka
