#include "publisher.hpp"

#include <fmt/format.h>

#include <charconv>

#include "completions.hpp"

namespace postfleet::amqp {

namespace {

constexpr std::size_t kMostShortText = 255;     // AMQP 0-9-1 §4.2.5.3
constexpr std::size_t kMostHeaderKey = 128;     // and of tables
constexpr std::size_t kMostHeaders = 60 << 10;  // octets; a header frame is not split
constexpr std::size_t kHeaderOverhead = 8;      // of each
constexpr std::size_t kSendAtOnce = 256;        // messages, then confirms are read
// A channel that was opened while its queue had no leader may refuse everything for ever (RabbitMQ 3.10; RMQ-13).
constexpr Duration kRefusedLongEnough = std::chrono::seconds(3);
constexpr std::uint64_t kUnlimitedOctets = UINT64_MAX;

}  // namespace

Publisher::Publisher(const WorkerParts& parts, PublisherOptions options, PublisherCounters counters)
    : Worker(parts, options.name),
      publisher_(std::move(options)),
      counters_(counters),
      most_octets_(publisher_.most_message_octets) {
    start();
}

Publisher::~Publisher() { stop(); }

std::string Publisher::what_is_wrong(const BrokerAddress& to, const BrokerMessage& message) const {
    const std::uint64_t most = most_octets_.load(std::memory_order_relaxed);
    if (message.body->size() > most) {
        return fmt::format("{} octets; the broker takes at most {}", message.body->size(), most);
    }
    if (message.message_id.empty()) return "it has no message id, by which it is known when it comes back";
    for (const std::string* text : {&to.exchange, &to.routing_key, &message.content_type, &message.content_encoding,
                                    &message.message_id, &message.type, &message.correlation_id, &message.reply_to}) {
        if (text->size() > kMostShortText) return "a property is longer than 255 octets";
    }
    std::size_t octets = 0;
    for (const auto& [name, value] : message.headers) {
        if (name.empty() || name.size() > kMostHeaderKey) return "the name of a header is not of 1 to 128 octets";
        octets += name.size() + value.size() + kHeaderOverhead;
    }
    return octets > kMostHeaders ? "its headers are larger than 60 KiB" : "";
}

void Publisher::publish(BrokerAddress to, BrokerMessage message, Completion<Status> done) {
    if (auto wrong = what_is_wrong(to, message); !wrong.empty()) {
        return run_one(std::move(done), Error{ErrorKind::InvalidArgument, "cannot be published: " + std::move(wrong)});
    }
    bool wakes = false;
    Status refused;
    {
        const std::lock_guard lock(mutex_);
        if (!closed_.empty()) {
            refused = Error{ErrorKind::Unavailable, closed_};
        } else if (waiting_.size() >= publisher_.most_waiting ||
                   waiting_octets_ + message.body->size() > publisher_.most_waiting_octets) {
            refused = Error{ErrorKind::ResourceExhausted, "too much waits to be published"};
        } else {
            wakes = waiting_.empty();
            if (wakes) first_waits_since_ = steady_clock_now();
            waiting_octets_ += message.body->size();
            waiting_.push_back({std::move(to), std::move(message), std::move(done)});
            wakes = wakes || waiting_.size() == kSendAtOnce;
        }
    }
    if (!refused) return run_one(std::move(done), std::move(refused));
    if (wakes) wake();
}

std::string Publisher::obstacle() const { return Worker::obstacle(); }

Status Publisher::on_connected(Connection& connection) {
    if (auto selected = connection.select_confirms(); !selected) return selected;
    content_.clear();
    const std::lock_guard lock(mutex_);
    closed_.clear();
    return {};
}

Status Publisher::on_frame(Connection&, const amqp_frame_t& frame) {
    if (frame.frame_type != AMQP_FRAME_METHOD) {
        const auto added = content_.add(frame);
        if (!added) return added.error();
        if (!*added) return {};
        const BrokerDelivery back = content_.take();
        counters_.returned.add();
        doubt_declarations();
        if (!window_.came_back(back.message.message_id, back.from.exchange, back.from.routing_key,
                               content_.return_text())) {
            return Error{ErrorKind::Corruption, "the broker returned what was not published"};
        }
        return {};
    }
    if (content_.is_expected()) return Error{ErrorKind::Corruption, "the broker sent a message in pieces"};
    switch (const auto& method = frame.payload.method; method.id) {
        case AMQP_BASIC_ACK_METHOD: {
            const auto* ack = static_cast<const amqp_basic_ack_t*>(method.decoded);
            return on_confirm(ack->delivery_tag, ack->multiple != 0, Confirm::Ack);
        }
        case AMQP_BASIC_NACK_METHOD: {
            const auto* nack = static_cast<const amqp_basic_nack_t*>(method.decoded);
            counters_.refused.add();
            return on_confirm(nack->delivery_tag, nack->multiple != 0, Confirm::Nack);
        }
        case AMQP_BASIC_RETURN_METHOD:
            content_.begin(*static_cast<const amqp_basic_return_t*>(method.decoded));
            return {};
        default: return {};  // methods are numbers from the wire; others are nothing to us
    }
}

Status Publisher::on_confirm(std::uint64_t number, bool multiple, Confirm how) {
    const std::size_t before = finished_.size();
    const SteadyTime now = how == Confirm::Nack ? steady_clock_now() : SteadyTime{};
    if (!window_.confirm(number, multiple, how, now, finished_)) {
        return Error{ErrorKind::Corruption, "the broker confirmed what was not published"};
    }
    if (how == Confirm::Ack) {
        counters_.confirmed.add(finished_.size() - before);
        return {};
    }
    const SteadyTime since = window_.refused_since();
    if (since == SteadyTime::max() || now - since < kRefusedLongEnough) return {};
    return Error{ErrorKind::Unavailable, "the broker refuses everything: a queue is full, or its channel is stuck"};
}

Status Publisher::on_turn(Connection& connection, SteadyTime now) {
    take_waiting(now);
    Status sent = send_all(connection, now);
    const std::size_t late = window_.expire(now, finished_);
    counters_.unknown.add(late);
    finish();
    // A channel may be stuck and look alive (RMQ-13); a broker that said that it takes nothing is not.
    if (sent && late > 0 && blocked_.empty()) return Error{ErrorKind::Unavailable, "a confirm did not come in time"};
    return sent;
}

void Publisher::take_waiting(SteadyTime now) {
    if (window_.size() + taken_.size() >= publisher_.most_unconfirmed) return;
    const std::lock_guard lock(mutex_);
    if (waiting_.empty()) return;
    if (waiting_.size() < kSendAtOnce && now - first_waits_since_ < publisher_.linger) return;
    std::move(waiting_.begin(), waiting_.end(), std::back_inserter(taken_));
    waiting_.clear();
    waiting_octets_ = 0;
}

Status Publisher::send_all(Connection& connection, SteadyTime now) {
    is_socket_full_ = false;
    if (taken_.empty() || !blocked_.empty()) return {};
    const auto timestamp = std::chrono::duration_cast<std::chrono::seconds>(wall_clock_now().time_since_epoch());
    const bool is_batch = taken_.size() > 1;
    if (is_batch) connection.cork();
    Status status;
    for (std::size_t count = 0; count < kSendAtOnce && !taken_.empty(); ++count) {
        if (window_.size() >= publisher_.most_unconfirmed) break;
        if (!connection.may_write()) {
            is_socket_full_ = true;
            break;
        }
        Waiting waiting = std::move(taken_.front());
        taken_.pop_front();
        status = send(connection, waiting, static_cast<std::uint64_t>(timestamp.count()));
        // Half of it may be at the broker: it is as unknown as the others.
        window_.sent({std::move(waiting.message.message_id), std::move(waiting.to), waiting.message.body->size(),
                      std::move(waiting.done)},
                     now + options_.confirm_timeout);
        if (!status) break;
    }
    if (is_batch) connection.uncork();
    return status;
}

Status Publisher::send(Connection& connection, const Waiting& waiting, std::uint64_t timestamp) {
    const BrokerMessage& message = waiting.message;
    amqp_basic_properties_t properties{};
    const auto set = [&](amqp_bytes_t& property, std::string_view text, amqp_flags_t flag) {
        if (text.empty()) return;
        property = to_bytes(text);
        properties._flags |= flag;
    };
    set(properties.content_type, message.content_type, AMQP_BASIC_CONTENT_TYPE_FLAG);
    set(properties.content_encoding, message.content_encoding, AMQP_BASIC_CONTENT_ENCODING_FLAG);
    set(properties.message_id, message.message_id, AMQP_BASIC_MESSAGE_ID_FLAG);
    set(properties.type, message.type, AMQP_BASIC_TYPE_FLAG);
    set(properties.correlation_id, message.correlation_id, AMQP_BASIC_CORRELATION_ID_FLAG);
    set(properties.reply_to, message.reply_to, AMQP_BASIC_REPLY_TO_FLAG);
    set(properties.app_id, "postfleet", AMQP_BASIC_APP_ID_FLAG);
    properties._flags |= AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_TIMESTAMP_FLAG;
    properties.delivery_mode = AMQP_DELIVERY_PERSISTENT;
    properties.timestamp = timestamp;
    if (message.priority > 0) {
        properties.priority = message.priority;
        properties._flags |= AMQP_BASIC_PRIORITY_FLAG;
    }
    if (!message.headers.empty()) {
        headers_.clear();
        for (const auto& [name, value] : message.headers) headers_.add_text(name, value);
        properties.headers = headers_.get();
        properties._flags |= AMQP_BASIC_HEADERS_FLAG;
    }
    counters_.published.add();
    return connection.publish(waiting.to, properties, *message.body);
}

void Publisher::on_blocked(const std::string& why) {
    blocked_ = why;
    {
        const std::lock_guard lock(mutex_);
        closed_ = why;
    }
    set_obstacle(why);
    if (!why.empty()) refuse_waiting(why);
}

void Publisher::on_lost(const std::string& why) {
    {
        const std::lock_guard lock(mutex_);
        closed_ = why;
    }
    blocked_.clear();
    is_socket_full_ = false;
    learn_limit(why);
    counters_.unknown.add(window_.size());
    window_.fail_all(why, most_octets_.load(), finished_);
    refuse_waiting(why);
    finish();
}

// "406 PRECONDITION_FAILED - message size 200 is larger than configured max size 100" (RMQ-14, F29): what we have been
// told once is not tried again, because it costs everything else on the channel.
void Publisher::learn_limit(const std::string& why) {
    static constexpr std::string_view kBefore = "max size ";
    const auto at = why.find(kBefore);
    if (at == std::string::npos || why.find("message size") == std::string::npos) return;
    std::uint64_t limit = kUnlimitedOctets;
    const char* const begin = why.data() + at + kBefore.size();
    if (std::from_chars(begin, why.data() + why.size(), limit).ec == std::errc()) {
        most_octets_.store(std::min(limit, most_octets_.load()));
    }
}

void Publisher::refuse_waiting(const std::string& why) {
    std::vector<Waiting> refused;
    {
        const std::lock_guard lock(mutex_);
        refused = std::move(waiting_);
        waiting_.clear();
        waiting_octets_ = 0;
    }
    for (Waiting& waiting : taken_) finished_.emplace_back(std::move(waiting.done), Error{ErrorKind::Unavailable, why});
    taken_.clear();
    for (Waiting& waiting : refused) {
        finished_.emplace_back(std::move(waiting.done), Error{ErrorKind::Unavailable, why});
    }
}

void Publisher::finish() { run_all(finished_); }

SteadyTime Publisher::next_wake() {
    SteadyTime wake = window_.next_deadline();
    const bool has_room = window_.size() < publisher_.most_unconfirmed;
    if (!taken_.empty() && has_room && blocked_.empty() && !is_socket_full_) return SteadyTime{};
    const std::lock_guard lock(mutex_);
    if (!waiting_.empty() && taken_.empty() && has_room) {
        wake = std::min(wake, first_waits_since_ + publisher_.linger);
    }
    return wake;
}

}  // namespace postfleet::amqp
