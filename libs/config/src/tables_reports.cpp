// The section about where delivery events go.
#include <algorithm>

#include "tables.hpp"
#include "tables_broker.hpp"

namespace postfleet::config {

namespace {

const std::vector<ReportType> kFiles{ReportType::File, ReportType::Accounting}, kAmqp{ReportType::Amqp},
    kKafka{ReportType::Kafka};
const std::vector<std::string> kRecordNames{"d", "b", "t", "tq", "r"};

std::optional<std::string> check_broker_name(std::string& name) {
    if (!name.empty() && name.size() <= 200) return std::nullopt;
    return "is no name: 1 to 200 octets";
}

std::optional<std::string> check_topic(std::string& topic) {
    const bool fits = !topic.empty() && topic.size() <= 249 && topic != "." && topic != ".." &&
                      topic.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
                          std::string::npos;
    if (fits) return std::nullopt;
    return "is no topic: up to 249 letters, digits, '.', '_' and '-'";
}

std::optional<std::string> check_host_port(std::string& text) {
    const std::size_t colon = text.rfind(':');
    const std::string port = colon == std::string::npos ? "" : text.substr(colon + 1);
    const bool fits = colon != 0 && !port.empty() && port.size() <= 5 &&
                      port.find_first_not_of("0123456789") == std::string::npos && std::stoul(port) >= 1 &&
                      std::stoul(port) <= 65535 && text.find_first_of(", \t/@") == std::string::npos;
    if (fits) return std::nullopt;
    return "is not host:port";
}

// A key that other types of reports do not have, and do not show.
Key only_of(const std::vector<ReportType>& types, Key key) {
    key.show = [types, show = std::move(key.show)](const void* owner, Shown& out) {
        const ReportType type = static_cast<const Report*>(owner)->type;
        if (std::find(types.begin(), types.end(), type) != types.end()) show(owner, out);
    };
    return key;
}

TextCodec host_port_codec() { return TextCodec{"host:port", check_host_port}; }

// Columns are checked as a whole, in check.cpp.
const Section& accounting_columns_section() {
    using A = AccountingColumns;
    const ListCodec<TextCodec, std::string> names{TextCodec{"column, `*` for the default ones, or `!column`"}};
    static const Section section{
        "reports[].columns",
        "What an accounting file shows of each record; `header_X-Foo` shows a header of the message.",
        {
            value_key<A>("d", &A::d, names, "Of deliveries.", {.default_text = "\"*\""}),
            value_key<A>("b", &A::b, names, "Of mail that ended undelivered.", {.default_text = "\"*\""}),
            value_key<A>("t", &A::t, names, "Of failed attempts that are made again.", {.default_text = "\"*\""}),
            value_key<A>("tq", &A::tq, names, "Of failed connections of a queue.", {.default_text = "\"*\""}),
            value_key<A>("r", &A::r, names, "Of receipts.", {.default_text = "\"*\""}),
        },
        {}};
    return section;
}

}  // namespace

const Section& report_section() {
    using F = Report;
    const auto of_kafka = [](auto KafkaReport::*member) {
        return [member](auto& report) -> auto& { return report.kafka.*member; };
    };
    static const Section section = with_broker_access<F>(
        Section{
            "reports[]",
            "A place that delivery events go to, at least once each.",
            {
                value_key<F>("type", &F::type,
                             ChoiceCodec<ReportType>{
                                 {"file", "accounting", "amqp", "kafka"},
                                 {ReportType::File, ReportType::Accounting, ReportType::Amqp, ReportType::Kafka}},
                             "`file`: CloudEvents JSON, one event per line. `accounting`: CSV with the columns of "
                             "PowerMTA's accounting file. Both are rotated. `amqp`: CloudEvents JSON to an exchange of "
                             "RabbitMQ. `kafka`: CloudEvents JSON to a topic.",
                             kRequired),
                value_key<F>("name", &F::name, name_codec("a name"),
                             "Names the position up to which events were written; a new name begins anew.",
                             {.default_text = "(`amqp`, `kafka`, else `file`)"}),
                value_key<F>("types", &F::types, EventTypesCodec{}, "Which events it takes; not for `accounting`.",
                             {.default_text = "all"}),
                value_key<F>("quota", &F::quota, SizeCodec{.lowest = 1 << 20},
                             "How much may wait for it in the spool while it is away or slow."),
                value_key<F>(
                    "on_full", &F::on_full,
                    ChoiceCodec<WhenReportsFull>{{"drop_oldest", "pause"},
                                                 {WhenReportsFull::DropOldest, WhenReportsFull::Pause}},
                    "When more waits than `quota`: `drop_oldest` drops its oldest events and counts them; `pause` "
                    "drops nothing and refuses new mail until there is room."),
                only_of(kFiles, value_key<F>("path", &F::path, PathCodec{}, "The file of a `file` or `accounting`.")),
                value_key<F>(
                    "records", &F::records,
                    ListCodec<ChoiceCodec<std::string>, std::string>{{kRecordNames, kRecordNames}},
                    "Which records an `accounting` file has: d delivered, b bounced, t failed attempts, tq failed "
                    "connections, r received."),
                object_key<F>("columns", &F::columns, accounting_columns_section(),
                              "Which columns an `accounting` file has."),
                value_key<F>("times", &F::times,
                             ChoiceCodec<ReportTimes>{{"iso", "epoch"}, {ReportTimes::Iso, ReportTimes::Epoch}},
                             "Times of an `accounting` file: `2026-11-22 10:11:12+0000`, or seconds since 1970."),
                value_key<F>("user_string", &F::user_string, TextCodec{}, "What the column `userString` shows."),
                value_key<F>("privacy", &F::privacy,
                             ChoiceCodec<ReportPrivacy>{
                                 {"retain", "redact", "hmac-sha256"},
                                 {ReportPrivacy::Retain, ReportPrivacy::Redact, ReportPrivacy::HmacSha256}},
                             "What an `accounting` file shows of the local parts of recipients."),
                value_key<F>("privacy_key_file", &F::privacy_key_file, PathCodec{}, "The key of `hmac-sha256`."),
                only_of(kFiles, value_key<F>("rotate_size", &F::rotate_size, SizeCodec{4096},
                                             "A file of this size is put aside.")),
                only_of(kFiles,
                        value_key<F>("rotate_after", &F::rotate_after, DurationCodec{.lowest = std::chrono::seconds(1)},
                                     "A file of this age is put aside.")),
                only_of(kFiles,
                        value_key<F>("keep", &F::keep, count(), "How many files that were put aside are kept.")),
                only_of(kFiles,
                        value_key<F>(
                            "move_to", &F::move_to, PathCodec{},
                            "Folder on the same volume that files are put aside to, for a reader that removes them; "
                            "`keep` does not count there.")),
                only_of(kAmqp, value_key<F>(
                                   "exchange", [](auto& report) -> auto& { return report.amqp.exchange; },
                                   TextCodec{"name of an exchange", check_broker_name},
                                   "The topic exchange of an `amqp`; it is declared.")),
                only_of(kAmqp, value_key<F>(
                                   "queue", [](auto& report) -> auto& { return report.amqp.queue; },
                                   TextCodec{"name of a queue, or `none`", check_broker_name},
                                   "The queue that is declared for an `amqp` and gets every event; `none` if "
                                   "applications bind queues of their own.")),
                only_of(kKafka,
                        value_key<F>("brokers", of_kafka(&KafkaReport::brokers),
                                     ListCodec<TextCodec, std::string>{host_port_codec()},
                                     "Some brokers of the `kafka` cluster, as host:port; it names the others.")),
                only_of(kKafka,
                        value_key<F>("topic", of_kafka(&KafkaReport::topic), TextCodec{"name of a topic", check_topic},
                                     "The topic of a `kafka`; it has to exist, or the brokers make it.")),
                only_of(
                    kKafka,
                    value_key<F>("key", of_kafka(&KafkaReport::key),
                                 ChoiceCodec<KafkaKey>{{"message_id", "recipient", "job", "tenant", "none"},
                                                       {KafkaKey::Message, KafkaKey::Recipient, KafkaKey::Job,
                                                        KafkaKey::Tenant, KafkaKey::None}},
                                 "What is the key of a record in `kafka`: it decides the partition, and what is in one "
                                 "partition stays in order.")),
                only_of(kKafka,
                        value_key<F>("compression", of_kafka(&KafkaReport::compression),
                                     ChoiceCodec<KafkaCompression>{
                                         {"none", "gzip", "snappy", "lz4", "zstd"},
                                         {KafkaCompression::None, KafkaCompression::Gzip, KafkaCompression::Snappy,
                                          KafkaCompression::Lz4, KafkaCompression::Zstd}},
                                     "Of batches that go to `kafka`.")),
                only_of(kKafka, value_key<F>("tls", of_kafka(&KafkaReport::tls), FlagCodec{},
                                             "Whether `kafka` is spoken to in TLS.")),
                only_of(kKafka,
                        value_key<F>("sasl", of_kafka(&KafkaReport::sasl),
                                     ChoiceCodec<KafkaLogin>{{"none", "plain", "scram-sha-256", "scram-sha-512"},
                                                             {KafkaLogin::None, KafkaLogin::Plain,
                                                              KafkaLogin::ScramSha256, KafkaLogin::ScramSha512}},
                                     "How we log in to `kafka`.")),
                only_of(kKafka, value_key<F>("user", of_kafka(&KafkaReport::user), TextCodec{"name of a user"},
                                             "Who we log in as.")),
            },
            {}},
        [](auto& report) -> auto& { return report.broker; });
    return section;
}

}  // namespace postfleet::config
