#include "kafka_report.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "postfleet/config_files/passwords.hpp"
#include "postfleet/kafka/kafka_sink.hpp"

namespace postfleet::feedback {
namespace {

std::function<std::string(const Event&)> key_of(config::KafkaKey key) {
    switch (key) {
        case config::KafkaKey::None: return {};
        // Operator events have no message; theirs is the queue, or the virtual MTA.
        case config::KafkaKey::Message:
            return [](const Event& event) {
                if (event.message) return event.message->id.to_string();
                return event.queue.empty() ? event.virtual_mta : event.queue;
            };
        case config::KafkaKey::Recipient: return [](const Event& event) { return event.recipient; };
        case config::KafkaKey::Job:
            return [](const Event& event) { return event.message ? event.message->job : std::string(); };
        case config::KafkaKey::Tenant:
            return [](const Event& event) { return event.message ? event.message->tenant : std::string(); };
    }
    return {};
}

const char* codec_of(config::KafkaCompression compression) {
    switch (compression) {
        case config::KafkaCompression::None: return "none";
        case config::KafkaCompression::Gzip: return "gzip";
        case config::KafkaCompression::Snappy: return "snappy";
        case config::KafkaCompression::Lz4: return "lz4";
        case config::KafkaCompression::Zstd: return "zstd";
    }
    return "none";
}

const char* mechanism_of(config::KafkaLogin login) {
    switch (login) {
        case config::KafkaLogin::None: return "";
        case config::KafkaLogin::Plain: return "PLAIN";
        case config::KafkaLogin::ScramSha256: return "SCRAM-SHA-256";
        case config::KafkaLogin::ScramSha512: return "SCRAM-SHA-512";
    }
    return "";
}

kafka::KafkaSinkOptions options_of(const config::KafkaReport& kafka, const config::BrokerAccess& files) {
    return {.brokers = kafka.brokers,
            .topic = kafka.topic,
            .key = key_of(kafka.key),
            .compression = codec_of(kafka.compression),
            .tls = kafka.tls,
            .ca_file = files.ca_file,
            .certificate = files.certificate,
            .private_key = files.private_key,
            .sasl_mechanism = mechanism_of(kafka.sasl),
            .user = kafka.user,
            .password = [file = files.password_file] { return config_files::read_secret(file); }};
}

}  // namespace

reporting::SinkSetup kafka_report(const config::Report& report,
                                  std::function<void(EventId, const std::string& why)> refused) {
    kafka::KafkaSinkOptions options = options_of(report.kafka, report.broker);
    options.refused = std::move(refused);
    reporting::SinkSetup sink;
    sink.fingerprint = fmt::format("kafka\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}", fmt::join(options.brokers, ","),
                                   options.topic, static_cast<int>(report.kafka.key), options.compression, options.tls,
                                   options.ca_file, options.certificate, options.private_key, options.sasl_mechanism,
                                   options.user, report.broker.password_file);
    sink.open = [options]() -> Result<std::unique_ptr<ReportSink>> {
        auto opened = kafka::KafkaSink::open(options);
        if (!opened) return opened.error();
        return std::unique_ptr<ReportSink>(std::move(*opened));
    };
    return sink;
}

}  // namespace postfleet::feedback
