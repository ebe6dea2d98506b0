// Parts of Config (config.hpp): where events go: files, accounting, RabbitMQ, Kafka.
//
// Threads: value types.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "postfleet/base/document.hpp"
#include "postfleet/base/time.hpp"
#include "postfleet/config/values.hpp"
#include "postfleet/mail/event.hpp"

namespace postfleet::config {

// CloudEvents JSON lines; PowerMTA's accounting CSV; CloudEvents JSON for an exchange, for a topic.
enum class ReportType { File, Accounting, Amqp, Kafka };
enum class WhenReportsFull { Pause, DropOldest };
enum class ReportTimes { Iso, Epoch };
enum class ReportPrivacy { Retain, Redact, HmacSha256 };

// Columns of an accounting file by record type; empty: the default ones.
struct AccountingColumns {
    std::vector<std::string> d, b, t, tq, r;
};

// What decides the partition of an event, and with it what stays in order.
enum class KafkaKey { Message, Recipient, Job, Tenant, None };
enum class KafkaCompression { None, Gzip, Snappy, Lz4, Zstd };
enum class KafkaLogin { None, Plain, ScramSha256, ScramSha512 };

struct KafkaReport {
    std::vector<std::string> brokers;  // "host:port"
    std::string topic;
    KafkaKey key = KafkaKey::Message;
    KafkaCompression compression = KafkaCompression::Lz4;
    bool tls = false;
    KafkaLogin sasl = KafkaLogin::None;
    std::string user;
};

struct AmqpReport {
    std::string exchange = "postfleet.reports";
    std::string queue = "postfleet.reports";  // "none": none is declared
};

struct Report {
    std::string name;  // of its position in the outbox
    ReportType type = ReportType::File;
    std::vector<EventType> types;       // what it takes; empty only for Accounting
    std::uint64_t quota = 10ull << 30;  // of what waits for it
    WhenReportsFull on_full = WhenReportsFull::DropOldest;
    KafkaReport kafka;    // Kafka only
    AmqpReport amqp;      // Amqp only
    BrokerAccess broker;  // Amqp; of Kafka the files
    // File and Accounting only.
    std::string path;
    std::string move_to;  // folder for rotated files; empty: where they are
    // Accounting only.
    std::vector<std::string> records{"d", "b"};
    AccountingColumns columns;
    ReportTimes times = ReportTimes::Iso;
    std::string user_string;
    ReportPrivacy privacy = ReportPrivacy::Retain;
    std::string privacy_key_file;
    std::uint64_t rotate_size = 100ull << 20;
    Duration rotate_after = std::chrono::hours(24);
    std::uint32_t keep = 14;  // rotated files
    Origin origin;
};

}  // namespace postfleet::config
