#include "postfleet/report/cloud_event.hpp"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <sstream>

using namespace postfleet;
using namespace std::chrono_literals;

namespace {

const WallTime kNow = from_unix_microseconds(1'795'342'272'345'678);  // 2026-11-22T10:11:12.345678Z

std::shared_ptr<Message> message() {
    auto made = std::make_shared<Message>();
    made->id = *MessageId::parse("019aa9c1-0fd9-7abc-8def-0123456789ab");
    made->accepted_at = kNow - 812ms;
    made->reverse_path = "b+tok@bounce.example.com";
    made->tenant = "acme";
    made->listener = "relay";
    made->client_address = "127.0.0.1";
    made->size_octets = 10'240;
    return made;
}

Event event_of(EventType type, std::shared_ptr<const Message> about) {
    Event event;
    event.type = type;
    event.time = kNow;
    event.recipient = "user@example.org";
    event.recipient_index = 3;
    if (about) event.id = make_event_id(about->id, event.recipient_index, 2, type);
    event.message = std::move(about);
    return event;
}

Event delivered() {
    auto about = message();
    about->envelope_id = "client's own";
    about->job = "c42";
    about->user = "shop";
    about->header_from = "News <n@example.com>";
    about->header_message_id = "<1.2@example.com>";
    about->header_subject = "Hello, \"world\"";
    about->template_reference = {.name = "receipt", .version = 3, .variables = "{}"};
    about->metadata = {{"user_id", "123"}, {"list", "weekly"}};
    Event event = event_of(EventType::Delivered, about);
    event.original_recipient = "rfc822;list@example.org";
    event.virtual_mta = "vmta-7";
    event.pool = "bulk";
    event.queue = "google/vmta-7";
    event.attempt = 2;
    event.delivery = DeliveryFacts{.mx_host = "aspmx.l.google.com",
                                   .mx_address = "[2001:db8::25]:25",
                                   .source_address = "203.0.113.7",
                                   .tls = "TLSv1.3/TLS_AES_128_GCM_SHA256/dane/dane",
                                   .phase = SmtpPhase::EndOfData,
                                   .reply = {.code = 250, .enhanced = {2, 0, 0}, .text = "OK queued as 1"},
                                   .elapsed = 812ms};
    return event;
}

Event bounced() {
    Event event = event_of(EventType::Bounced, message());
    event.virtual_mta = "vmta-7";
    event.queue = "example.org/vmta-7";
    event.attempt = 1;
    event.delivery = DeliveryFacts{.mx_host = "mx.example.org",
                                   .mx_address = "192.0.2.1:25",
                                   .source_address = "203.0.113.7",
                                   .tls = "",
                                   .phase = SmtpPhase::Rcpt,
                                   .reply = {.code = 550, .enhanced = {5, 1, 1}, .text = "no such user"},
                                   .elapsed = 40ms};
    event.bounce = BounceFacts{.type = "hard", .category = "bad-mailbox", .asynchronous = false};
    return event;
}

Event deferred_without_a_reply() {
    Event event = event_of(EventType::Deferred, message());
    event.virtual_mta = "vmta-7";
    event.queue = "example.org/vmta-7";
    event.attempt = 1;
    event.next_attempt_at = kNow + 10min;
    event.delivery = DeliveryFacts{.mx_host = "mx.example.org",
                                   .mx_address = "192.0.2.1:25",
                                   .source_address = "203.0.113.7",
                                   .tls = "",
                                   .phase = SmtpPhase::Connect,
                                   .reply = {.code = 0, .enhanced = {}, .text = "connection timed out"},
                                   .elapsed = 30s};
    return event;
}

Event accepted_with_a_null_reverse_path() {
    auto about = message();
    about->reverse_path.clear();
    about->send_at = kNow + 1h;
    Event event = event_of(EventType::Accepted, about);
    event.pool = "";
    return event;
}

Event cancelled() {
    Event event = event_of(EventType::Cancelled, message());
    event.virtual_mta = "vmta-7";
    event.queue = "example.org/vmta-7";
    event.reason = "deleted by root: wrong campaign";
    return event;
}

Event queue_backoff() {
    Event event = event_of(EventType::QueueBackoffEntered, nullptr);
    event.id = hash_event_id("queue backoff");
    event.recipient.clear();
    event.queue = "google/vmta-7";
    event.virtual_mta = "vmta-7";
    event.reason = "4.7.28 too many messages";
    return event;
}

std::string render(const Event& event) {
    std::string out;
    report::render_cloud_event(event, 4711, {.uri = "/senders/mta1.example.net"}, out);
    return out;
}

// POSTFLEET_UPDATE_GOLDEN=1 writes the files anew; git shows what changed.
void check_golden(const char* name, const Event& event) {
    const std::string path = std::string(POSTFLEET_SOURCE_DIR "/tests/golden/report/") + name + ".json";
    const std::string rendered = render(event);
    if (std::getenv("POSTFLEET_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << rendered << '\n';
    std::stringstream golden;
    golden << std::ifstream(path).rdbuf();
    INFO(path);
    CHECK(rendered + "\n" == golden.str());
}

}  // namespace

TEST_CASE("events render as the golden files say", "[cloudevents]") {
    check_golden("delivered", delivered());
    check_golden("bounced", bounced());
    check_golden("deferred-without-a-reply", deferred_without_a_reply());
    check_golden("accepted-null-reverse-path", accepted_with_a_null_reverse_path());
    check_golden("cancelled", cancelled());
    check_golden("queue-backoff-entered", queue_backoff());
}

TEST_CASE("a delivery that may have been one says so", "[F49]") {
    Event event = deferred_without_a_reply();
    CHECK(render(event).find("in_doubt") == std::string::npos);
    event.delivery->in_doubt = true;
    CHECK(render(event).find("\"in_doubt\":true,\"duration_ms\"") != std::string::npos);
}

TEST_CASE("the same event has the same bytes every time", "[cloudevents]") {
    CHECK(render(delivered()) == render(delivered()));
}

TEST_CASE("rendering appends and leaves what was there", "[cloudevents]") {
    std::string out = "before ";
    report::render_cloud_event(bounced(), 1, {.uri = "/x"}, out);
    CHECK(out.starts_with("before {\"specversion\":\"1.0\""));
}

TEST_CASE("remote text that is not UTF-8 does not break the JSON", "[cloudevents]") {
    Event event = bounced();
    event.delivery->reply.text = "b\xff\x01\"\\";
    const std::string rendered = render(event);
    CHECK(rendered.find("b\xEF\xBF\xBD\\u0001\\\"\\\\") != std::string::npos);
}

TEST_CASE("the pool of the message is told when the event names none", "[cloudevents]") {
    auto about = message();
    about->pool = "bulk";
    CHECK(render(event_of(EventType::Accepted, about)).find("\"pool\":\"bulk\"") != std::string::npos);
}
