#include "postfleet/kafka/kafka_sink.hpp"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <set>
#include <thread>

using namespace postfleet;
using namespace postfleet::kafka;
using namespace std::chrono_literals;

namespace {

constexpr const char* kTopic = "reports";

// librdkafka's own mock cluster: real sockets on the loop-back address, no Kafka.
class MockCluster final {
public:
    MockCluster() {
        std::array<char, 512> why{};
        rd_kafka_conf_t* conf = rd_kafka_conf_new();
        rd_kafka_conf_set_log_cb(conf, nullptr);
        handle_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why.data(), why.size());
        REQUIRE(handle_ != nullptr);
        cluster_ = rd_kafka_mock_cluster_new(handle_, 3);
        REQUIRE(cluster_ != nullptr);
        rd_kafka_mock_topic_create(cluster_, kTopic, 4, 3);
    }
    ~MockCluster() {
        rd_kafka_mock_cluster_destroy(cluster_);
        rd_kafka_destroy(handle_);
    }
    MockCluster(const MockCluster&) = delete;
    MockCluster& operator=(const MockCluster&) = delete;

    std::string brokers() const { return rd_kafka_mock_cluster_bootstraps(cluster_); }
    void set_up(bool up) {
        for (int id = 1; id <= 3; ++id) {
            if (up) rd_kafka_mock_broker_set_up(cluster_, id);
            else rd_kafka_mock_broker_set_down(cluster_, id);
        }
    }
    void answer_produce_with(std::initializer_list<rd_kafka_resp_err_t> errors) {
        for (const rd_kafka_resp_err_t error : errors) {
            rd_kafka_mock_push_request_errors(cluster_, 0 /* Produce */, 1, error);
        }
    }

    struct Record {
        std::string key, value, content_type;
    };
    // Reads from the beginning until it has `count` different values.
    std::vector<Record> read(std::size_t count) const {
        std::array<char, 512> why{};
        rd_kafka_conf_t* conf = rd_kafka_conf_new();
        rd_kafka_conf_set(conf, "bootstrap.servers", brokers().c_str(), why.data(), why.size());
        rd_kafka_conf_set(conf, "group.id", "test", why.data(), why.size());
        rd_kafka_conf_set(conf, "enable.auto.commit", "false", why.data(), why.size());
        rd_kafka_conf_set_log_cb(conf, nullptr);
        rd_kafka_t* consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why.data(), why.size());
        rd_kafka_poll_set_consumer(consumer);
        rd_kafka_topic_partition_list_t* all = rd_kafka_topic_partition_list_new(4);
        for (int partition = 0; partition < 4; ++partition) {
            rd_kafka_topic_partition_list_add(all, kTopic, partition)->offset = RD_KAFKA_OFFSET_BEGINNING;
        }
        rd_kafka_assign(consumer, all);
        rd_kafka_topic_partition_list_destroy(all);
        std::vector<Record> records;
        std::set<std::string> values;
        const SteadyTime until = steady_clock_now() + 60s;
        while (values.size() < count && steady_clock_now() < until) {
            rd_kafka_message_t* message = rd_kafka_consumer_poll(consumer, 100);
            if (message == nullptr) continue;
            if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) records.push_back(record_of(message));
            if (!records.empty()) values.insert(records.back().value);
            rd_kafka_message_destroy(message);
        }
        rd_kafka_consumer_close(consumer);
        rd_kafka_destroy(consumer);
        return records;
    }

private:
    static Record record_of(rd_kafka_message_t* message) {
        Record record;
        if (message->key != nullptr) record.key.assign(static_cast<const char*>(message->key), message->key_len);
        record.value.assign(static_cast<const char*>(message->payload), message->len);
        rd_kafka_headers_t* headers = nullptr;
        const void* value = nullptr;
        std::size_t size = 0;
        if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR &&
            rd_kafka_header_get_last(headers, "content-type", &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR) {
            record.content_type.assign(static_cast<const char*>(value), size);
        }
        return record;
    }
    rd_kafka_t* handle_ = nullptr;
    rd_kafka_mock_cluster_t* cluster_ = nullptr;
};

KafkaSinkOptions options_for(const std::string& brokers) {
    KafkaSinkOptions options;
    options.brokers = {brokers};
    options.topic = kTopic;
    options.key = [](const Event& event) { return event.recipient; };
    options.refused = [](EventId, const std::string&) { FAIL("no event was to be refused"); };
    return options;
}

std::vector<ReportRecord> records_of(int first, int count, std::size_t octets = 20) {
    std::vector<ReportRecord> records;
    for (int i = first; i < first + count; ++i) {
        auto event = std::make_shared<Event>();
        event->recipient = "r" + std::to_string(i);
        event->id.octets[0] = static_cast<std::uint8_t>(i);
        std::string text = "event " + std::to_string(i) + " ";
        text.resize(std::max(text.size(), octets), '.');
        records.push_back({std::move(text), std::move(event)});
    }
    return records;
}

std::size_t different(const std::vector<MockCluster::Record>& records) {
    std::set<std::string> values;
    for (const auto& record : records) values.insert(record.value);
    return values.size();
}

}  // namespace

TEST_CASE("flush() is ok when the brokers have every record, with its key and content type") {
    MockCluster cluster;
    auto sink = KafkaSink::open(options_for(cluster.brokers()));
    REQUIRE(sink);
    REQUIRE((*sink)->write(records_of(0, 100)));
    REQUIRE((*sink)->write(records_of(100, 100)));
    REQUIRE((*sink)->flush());
    const auto records = cluster.read(200);
    CHECK(records.size() == 200);
    CHECK(different(records) == 200);
    const auto one = std::find_if(records.begin(), records.end(), [](const auto& r) { return r.key == "r7"; });
    REQUIRE(one != records.end());
    CHECK(one->value.starts_with("event 7 "));
    CHECK(one->content_type == "application/cloudevents+json; charset=UTF-8");
}

TEST_CASE("flush() with nothing written is ok") {
    MockCluster cluster;
    auto sink = KafkaSink::open(options_for(cluster.brokers()));
    REQUIRE(sink);
    CHECK((*sink)->flush());
}

TEST_CASE("a broker that refuses for a while is tried again, and no record comes twice") {
    MockCluster cluster;
    auto sink = KafkaSink::open(options_for(cluster.brokers()));
    REQUIRE(sink);
    cluster.answer_produce_with({RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
                                 RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT});
    REQUIRE((*sink)->write(records_of(0, 50)));
    REQUIRE((*sink)->flush());
    CHECK(cluster.read(50).size() == 50);
}

TEST_CASE("brokers that are away fail the flush within its deadline; they get everything when they are back") {
    MockCluster cluster;
    KafkaSinkOptions options = options_for(cluster.brokers());
    options.deadline = 500ms;
    auto sink = KafkaSink::open(options);
    REQUIRE(sink);
    cluster.set_up(false);
    REQUIRE((*sink)->write(records_of(0, 10)));
    const Status away = (*sink)->flush();
    REQUIRE_FALSE(away);
    CHECK(away.error().text.find("topic reports") != std::string::npos);
    // What was given up is not sent behind our back.
    const Status lost = (*sink)->flush();
    REQUIRE_FALSE(lost);
    cluster.set_up(true);
    const SteadyTime until = steady_clock_now() + 60s;
    Status flushed = lost;
    while (!flushed && steady_clock_now() < until) {
        if (Status written = (*sink)->write(records_of(0, 10)); written) flushed = (*sink)->flush();
    }
    REQUIRE(flushed);
    CHECK(different(cluster.read(10)) == 10);
}

TEST_CASE("an event that no broker takes is told of and passed over; the others arrive") {
    MockCluster cluster;
    KafkaSinkOptions options = options_for(cluster.brokers());
    std::vector<EventId> refused;
    options.refused = [&](EventId id, const std::string& why) {
        refused.push_back(id);
        CHECK_FALSE(why.empty());
    };
    auto sink = KafkaSink::open(options);
    REQUIRE(sink);
    auto records = records_of(0, 3);
    records[1].text.assign(2 << 20, 'x');  // librdkafka's own limit is 1 MB
    REQUIRE((*sink)->write(records));
    REQUIRE((*sink)->flush());
    REQUIRE(refused.size() == 1);
    CHECK(refused[0].octets[0] == 1);
    CHECK(cluster.read(2).size() == 2);
}

TEST_CASE("a batch that is larger than the producer's queue waits for room") {
    MockCluster cluster;
    KafkaSinkOptions options = options_for(cluster.brokers());
    options.most_unsent_kib = 64;
    auto sink = KafkaSink::open(options);
    REQUIRE(sink);
    REQUIRE((*sink)->write(records_of(0, 250, 4'000)));
    REQUIRE((*sink)->flush());
    CHECK(different(cluster.read(250)) == 250);
}

TEST_CASE("a stop ends the wait for brokers that are away") {
    MockCluster cluster;
    auto sink = KafkaSink::open(options_for(cluster.brokers()));  // with a deadline of 20 s
    REQUIRE(sink);
    cluster.set_up(false);
    REQUIRE((*sink)->write(records_of(0, 10)));
    const SteadyTime begin = steady_clock_now();
    std::thread stopper([&] { (*sink)->finish_by(steady_clock_now() + 100ms); });
    const Status stopped = (*sink)->flush();
    stopper.join();
    CHECK_FALSE(stopped);
    CHECK(steady_clock_now() - begin < 15s);
}

TEST_CASE("options that cannot work are refused when the sink is opened") {
    KafkaSinkOptions options = options_for("127.0.0.1:1");
    options.tls = true;
    options.ca_file = "/nonexistent/ca.pem";
    CHECK_FALSE(KafkaSink::open(options));
    options = options_for("127.0.0.1:1");
    options.sasl_mechanism = "SCRAM-SHA-512";
    options.user = "postfleet";
    options.password = [] { return Result<Secret>(Error{ErrorKind::NotFound, "no such file"}); };
    const auto opened = KafkaSink::open(options);
    REQUIRE_FALSE(opened);
    CHECK(opened.error().text == "no such file");
}
