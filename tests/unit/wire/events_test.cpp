#include "postfleet/wire/events.hpp"

#include <catch2/catch.hpp>
#include <postfleet/v1/events.pb.h>

#include "postfleet/support/newer_peer.hpp"

namespace postfleet::wire {
namespace {

using PbBatch = postfleet::v1::EventBatch;

std::shared_ptr<Message> some_message(std::uint8_t id) {
    auto message = std::make_shared<Message>();
    message->id.octets.fill(id);
    message->accepted_at = from_unix_microseconds(1'700'000'000'000'000);
    message->reverse_path = "sender@src.test";
    message->tenant = "acme";
    message->job = "spring \xff sale";
    message->pool = "bulk";
    message->header_from = "News <n@src.test>";
    message->header_subject = "Hello";
    message->header_message_id = "<1@src.test>";
    message->metadata = {{"user", "17"}};
    message->recorded_headers = {{"x-campaign", "c42"}};
    message->size_octets = 1234;
    message->template_reference = {"receipt", 3, ""};
    return message;
}

Event delivered(const std::shared_ptr<const Message>& message, std::uint32_t index) {
    Event event;
    event.id.octets.fill(static_cast<std::uint8_t>(index + 1));
    event.type = EventType::Delivered;
    event.time = from_unix_microseconds(1'700'000'001'000'000);
    event.message = message;
    event.recipient_index = index;
    event.recipient = "r" + std::to_string(index) + "@dest.test";
    event.original_recipient = "rfc822;old@dest.test";
    event.virtual_mta = "v1";
    event.pool = "bulk";
    event.queue = "dest.test/v1";
    event.attempt = 2;
    event.delivery = DeliveryFacts{.mx_host = "mx.dest.test",
                                   .mx_address = "192.0.2.1:25",
                                   .source_address = "192.0.2.9",
                                   .tls = "TLSv1.3/AES/may/none",
                                   .offered = 5,
                                   .phase = SmtpPhase::EndOfData,
                                   .reply = {250, {2, 0, 0}, "ok"},
                                   .elapsed = std::chrono::milliseconds(17),
                                   .in_doubt = true};
    return event;
}

EventBatch some_batch() {
    const auto one = some_message(1), two = some_message(2);
    EventBatch batch{.source = "/senders/mta1.test", .events = {}};
    const auto add = [&](Event event) {
        batch.events.push_back({40 + batch.events.size(), std::make_shared<const Event>(std::move(event))});
    };
    add(delivered(one, 0));
    add(delivered(one, 1));
    Event bounced = delivered(two, 2);
    bounced.type = EventType::Bounced;
    bounced.bounce = BounceFacts{"hard", "bad-mailbox", true};
    bounced.next_attempt_at = from_unix_microseconds(-5);
    bounced.reason = "because";
    add(bounced);
    Event backoff;
    backoff.type = EventType::QueueBackoffEntered;
    backoff.queue = "dest.test/v1";
    add(backoff);
    return batch;
}

void check_same(const Event& a, const Event& b) {
    CHECK(a.id == b.id);
    CHECK(a.type == b.type);
    CHECK(a.time == b.time);
    CHECK(a.recipient_index == b.recipient_index);
    CHECK(a.recipient == b.recipient);
    CHECK(a.original_recipient == b.original_recipient);
    CHECK(a.virtual_mta == b.virtual_mta);
    CHECK(a.pool == b.pool);
    CHECK(a.queue == b.queue);
    CHECK(a.attempt == b.attempt);
    CHECK(a.next_attempt_at == b.next_attempt_at);
    CHECK(a.delivery == b.delivery);
    CHECK(a.bounce == b.bounce);
    CHECK(a.reason == b.reason);
    REQUIRE((a.message == nullptr) == (b.message == nullptr));
    if (a.message) CHECK(*a.message == *b.message);
}

std::string encoded(const PbBatch& batch) { return batch.SerializeAsString(); }

PbBatch parsed(const EventBatch& batch) {
    PbBatch out;
    REQUIRE(out.ParseFromString(encode_events(batch)));
    return out;
}

void check_same(const EventBatch& read, const EventBatch& batch) {
    CHECK(read.source == batch.source);
    REQUIRE(read.events.size() == batch.events.size());
    for (std::size_t i = 0; i < batch.events.size(); ++i) {
        CHECK(read.events[i].sequence == batch.events[i].sequence);
        check_same(*read.events[i].event, *batch.events[i].event);
    }
}

}  // namespace

TEST_CASE("a batch of events comes back as it was") {
    const EventBatch batch = some_batch();
    const auto read = decode_events(encode_events(batch));
    REQUIRE(read);
    check_same(*read, batch);
    CHECK(read->events[0].event->message == read->events[1].event->message);
}

TEST_CASE("each message is in a batch once") {
    CHECK(parsed(some_batch()).messages_size() == 2);
    // Also when its events were read one by one, each with a copy of its own.
    EventBatch batch;
    for (std::uint32_t i = 0; i < 10; ++i) {
        batch.events.push_back({i, std::make_shared<const Event>(delivered(some_message(7), i))});
    }
    CHECK(parsed(batch).messages_size() == 1);
}

TEST_CASE("an empty batch is a batch") {
    const auto read = decode_events(encode_events({}));
    REQUIRE(read);
    CHECK(read->events.empty());
}

TEST_CASE("what a batch must not hold is refused by the name of its field") {
    const auto wrong = [](auto change) {
        PbBatch batch = parsed(some_batch());
        change(batch);
        const auto read = decode_events(encoded(batch));
        REQUIRE_FALSE(read);
        CHECK(read.error().kind == ErrorKind::InvalidArgument);
        return read.error().text;
    };
    CHECK(wrong([](PbBatch& b) { b.mutable_events(0)->set_message(2); }).find("event.message") != std::string::npos);
    CHECK(wrong([](PbBatch& b) { b.mutable_events(0)->set_type(63); }).find("event.type") != std::string::npos);
    CHECK(wrong([](PbBatch& b) { b.mutable_events(0)->set_id("short"); }).find("event.id") != std::string::npos);
    CHECK(wrong([](PbBatch& b) { b.mutable_events(0)->set_attempt(70'000); }).find("attempt") != std::string::npos);
    CHECK(wrong([](PbBatch& b) { b.mutable_events(0)->mutable_delivery()->set_phase(99); }).find("phase") !=
          std::string::npos);
    CHECK(wrong([](PbBatch& b) { b.mutable_messages(0)->set_id(""); }).find("message.id") != std::string::npos);
    CHECK(wrong([](PbBatch& b) { b.clear_version(); }).find("version") != std::string::npos);
}

TEST_CASE("fields of a later version are passed over, and the rest of the batch is what it was") {
    const EventBatch batch = some_batch();
    PbBatch later = parsed(batch);
    support::add_unknown_fields(later);
    const auto read = decode_events(encoded(later));
    REQUIRE(read);
    check_same(*read, batch);
}

TEST_CASE("a batch of a newer version is left to newer processes") {
    PbBatch batch = parsed(some_batch());
    batch.set_version(2);
    const auto read = decode_events(encoded(batch));
    REQUIRE_FALSE(read);
    CHECK(read.error().kind == ErrorKind::Unavailable);
}

TEST_CASE("octets that would unfold into very many events are refused before anything is made of them") {
    std::string bomb;
    for (int i = 0; i < 30'000; ++i) bomb += std::string("\x22\x00", 2);  // field 4, empty
    const auto read = decode_events(bomb);
    REQUIRE_FALSE(read);
    CHECK(read.error().text.find("too much") != std::string::npos);
    CHECK_FALSE(decode_events(std::string(kMaxEventBatchOctets + 1, '\0')));
    CHECK_FALSE(decode_events("no protobuf at all"));
}

TEST_CASE("the size of an event in a batch is guessed well enough to bound a batch by it") {
    const EventBatch batch = some_batch();
    std::size_t guessed = 0;
    for (const SequencedEvent& one : batch.events) guessed += octets_in_batch(*one.event);
    const std::size_t real = encode_events(batch).size();
    CHECK(guessed >= real / 2);
    CHECK(guessed <= real * 4);
}

}  // namespace postfleet::wire
