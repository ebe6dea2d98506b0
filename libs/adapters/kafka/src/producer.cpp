#include "producer.hpp"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>

namespace postfleet::kafka {
namespace {

// Of one wait inside librdkafka, so that finish_by() is noticed.
constexpr int kSliceMilliseconds = 50;
constexpr const char* kContentType = "application/cloudevents+json; charset=UTF-8";

struct FreeConf {
    void operator()(rd_kafka_conf_t* conf) const { rd_kafka_conf_destroy(conf); }
};
using Conf = std::unique_ptr<rd_kafka_conf_t, FreeConf>;

class Setter final {
public:
    explicit Setter(rd_kafka_conf_t* conf) : conf_(conf) {}
    void operator()(const char* name, const std::string& value) {
        std::array<char, 512> text{};
        if (rd_kafka_conf_set(conf_, name, value.c_str(), text.data(), text.size()) == RD_KAFKA_CONF_OK) return;
        // The value may be a secret.
        if (error_.empty()) error_ = std::string("kafka: ") + name + " is not possible";
    }
    const std::string& error() const { return error_; }

private:
    rd_kafka_conf_t* conf_;
    std::string error_;
};

std::string joined(const std::vector<std::string>& texts) {
    std::string all;
    for (const std::string& text : texts) all += (all.empty() ? "" : ",") + text;
    return all;
}

void set_access(const KafkaSinkOptions& options, const Secret& password, Setter& set) {
    const bool login = !options.sasl_mechanism.empty();
    set("security.protocol", std::string(login ? "sasl_" : "") + (options.tls ? "ssl" : "plaintext"));
    if (!options.ca_file.empty()) set("ssl.ca.location", options.ca_file);
    if (!options.certificate.empty()) set("ssl.certificate.location", options.certificate);
    if (!options.private_key.empty()) set("ssl.key.location", options.private_key);
    if (!login) return;
    set("sasl.mechanism", options.sasl_mechanism);
    set("sasl.username", options.user);
    set("sasl.password", std::string(password.view()));
}

// The brokers have it, or refuse it for good: sending it again changes nothing.
bool is_refusal(rd_kafka_resp_err_t code) {
    return code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || code == RD_KAFKA_RESP_ERR_INVALID_RECORD;
}

std::string text_of(rd_kafka_resp_err_t code) { return rd_kafka_err2str(code); }

}  // namespace

Result<std::unique_ptr<Producer>> Producer::make(const KafkaSinkOptions& options) {
    Secret password;
    if (!options.sasl_mechanism.empty()) {
        Result<Secret> read = options.password();
        if (!read) return read.error();
        password = std::move(*read);
    }
    std::unique_ptr<Producer> made(new Producer(options));
    Conf conf(rd_kafka_conf_new());
    Setter set(conf.get());
    set("bootstrap.servers", joined(options.brokers));
    set("client.id", "postfleet");
    set("enable.idempotence", "true");  // with it acks=all, and an order that retries do not change
    set("acks", "all");
    set("compression.codec", options.compression);
    const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(options.deadline).count();
    set("message.timeout.ms", std::to_string(milliseconds));
    set("queue.buffering.max.kbytes", std::to_string(options.most_unsent_kib));
    set("linger.ms", "5");  // records come in batches, and flush() waits for them
    set("reconnect.backoff.max.ms", "2000");
    set("socket.keepalive.enable", "true");
    set_access(options, password, set);
    if (!set.error().empty()) return Error{ErrorKind::InvalidArgument, set.error()};
    rd_kafka_conf_set_opaque(conf.get(), made.get());
    rd_kafka_conf_set_dr_msg_cb(conf.get(), &Producer::on_delivery);
    rd_kafka_conf_set_error_cb(conf.get(), &Producer::on_error);
    rd_kafka_conf_set_log_cb(conf.get(), nullptr);
    std::array<char, 512> why{};
    made->handle_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf.get(), why.data(), why.size());
    if (made->handle_ == nullptr) return Error{ErrorKind::InvalidArgument, std::string("kafka: ") + why.data()};
    (void)conf.release();  // it is the handle's now
    return made;
}

Producer::~Producer() {
    if (handle_ == nullptr) return;
    rd_kafka_purge(handle_, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_poll(handle_, 0);
    rd_kafka_destroy(handle_);
}

Status Producer::send(const ReportRecord& record, const std::function<SteadyTime()>& until) {
    const std::string key = options_.key ? options_.key(*record.event) : std::string();
    sent_.push_back(record.event->id);
    auto* const place = reinterpret_cast<void*>(sent_.size() - 1);
    for (;;) {
        const rd_kafka_resp_err_t code = rd_kafka_producev(
            handle_, RD_KAFKA_V_TOPIC(options_.topic.c_str()), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_KEY(key.empty() ? nullptr : key.data(), key.size()),
            RD_KAFKA_V_VALUE(const_cast<char*>(record.text.data()), record.text.size()),
            RD_KAFKA_V_HEADER("content-type", kContentType, -1), RD_KAFKA_V_OPAQUE(place), RD_KAFKA_V_END);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) break;
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            on_result(code, sent_.size() - 1);
            break;
        }
        if (!failed_.empty() || steady_clock_now() >= until()) return failure("hand over more records");
        rd_kafka_poll(handle_, kSliceMilliseconds);
    }
    rd_kafka_poll(handle_, 0);
    return failed_.empty() ? Status() : failure("deliver");
}

Status Producer::await_all(const std::function<SteadyTime()>& until) {
    while (failed_.empty() && rd_kafka_flush(handle_, kSliceMilliseconds) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (steady_clock_now() >= until()) break;
    }
    if (failed_.empty() && rd_kafka_outq_len(handle_) == 0) {
        sent_.clear();
        return {};
    }
    return failure("deliver");
}

void Producer::on_delivery(rd_kafka_t*, const rd_kafka_message_t* message, void* self) {
    static_cast<Producer*>(self)->on_result(message->err, reinterpret_cast<std::size_t>(message->_private));
}

void Producer::on_result(int code, std::size_t index) {
    const auto error = static_cast<rd_kafka_resp_err_t>(code);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return;
    if (is_refusal(error)) {
        if (options_.refused) options_.refused(sent_.at(index), text_of(error));
    } else if (failed_.empty()) {
        failed_ = text_of(error);
    }
}

void Producer::on_error(rd_kafka_t* handle, int code, const char* reason, void* self) {
    auto& producer = *static_cast<Producer*>(self);
    producer.broker_error_ = reason;
    if (code != RD_KAFKA_RESP_ERR__FATAL) return;
    std::array<char, 512> why{};
    const rd_kafka_resp_err_t fatal = rd_kafka_fatal_error(handle, why.data(), why.size());
    producer.failed_ = text_of(fatal) + ": " + why.data();
}

Error Producer::failure(const char* doing) const {
    std::string text = std::string("kafka: cannot ") + doing + " to topic " + options_.topic;
    if (!failed_.empty()) text += ": " + failed_;
    if (!broker_error_.empty()) text += (failed_.empty() ? ": " : "; ") + broker_error_;
    if (failed_.empty() && broker_error_.empty()) text += ": no answer in time";
    return {failed_.empty() ? ErrorKind::DeadlineExceeded : ErrorKind::Unavailable, std::move(text)};
}

}  // namespace postfleet::kafka
