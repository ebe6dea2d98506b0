#include "postfleet/support/spool_samples.hpp"

#include <utility>

namespace postfleet::support {

namespace {

WallTime time_at(std::uint64_t microseconds) {
    return from_unix_microseconds(1'767'225'600'000'000 + static_cast<std::int64_t>(microseconds));
}

}  // namespace

MessageId sample_id(std::uint64_t n) {
    MessageId id;
    for (int i = 0; i < 8; i++) id.octets[7 - i] = static_cast<std::uint8_t>(n >> (8 * i));
    id.octets[15] = 1;
    return id;
}

std::shared_ptr<Message> sample_message(std::uint64_t n) {
    auto text = std::to_string(n);
    auto message = std::make_shared<Message>();
    message->id = sample_id(n);
    message->accepted_at = time_at(n);
    message->send_at = time_at(n + 1);
    message->expires_at = time_at(n + 2);
    message->reverse_path = "bounce-" + text + "@news.example";
    message->envelope_id = "env-" + text;
    message->tenant = "acme";
    message->job = "spring-" + text;
    message->user = "shop";
    message->listener = "submission";
    message->client_address = "192.0.2." + std::to_string(n % 250);
    message->helo = "client.example";
    message->server_address = "192.0.2.25";
    message->dkim_options = "s=s1; d=from.test";
    message->recorded_headers = {{"x-campaign", "spring"}, {"x-list", ""}};
    message->pool = "bulk";
    message->priority = n % 2 == 0 ? Priority::Low : Priority::High;
    message->body_type = n % 2 == 0 ? BodyType::EightBitMime : BodyType::BinaryMime;
    message->smtputf8 = n % 2 == 0;
    message->return_content = n % 2 == 0 ? ReturnContent::Headers : ReturnContent::NotGiven;
    message->tls_wish = n % 2 == 0 ? TlsWish::Required : TlsWish::Waived;
    message->deliver_by =
        DeliverBy{time_at(n + 4), n % 2 == 0 ? DeliverBy::Mode::Notify : DeliverBy::Mode::Return, n % 3 == 0};
    message->mt_priority = static_cast<std::int8_t>(static_cast<int>(n % 19) - 9);
    message->has_leading_dots = n % 3 == 0;
    message->has_long_lines = n % 3 == 1;
    message->size_octets = 2000;
    message->prepended_header = "Received: from client.example\r\n";
    message->header_from = "News <news@news.example>";
    message->header_message_id = "<" + text + "@news.example>";
    message->header_subject = "Offer " + text;
    message->template_reference = {"receipt", 7, R"({"name":"Ada"})"};
    message->metadata = {{"order", text}, {"empty", ""}};
    if (n % 3 == 1) message->windows = {{time_at(n + 1), time_at(n + 2)}, {time_at(n + 5), time_at(n + 9)}};
    if (n % 2 == 1) {
        message->merge.parts = {{1, 500}, {70, 0}, {2, 1500}};
        message->merge.undefined = UndefinedVariable::Refuse;
        message->merge.max_octets = 50 << 20;
        message->merge.utf8_in_header = n % 3 == 0;
        message->verp = n % 5 == 0;
    }
    return message;
}

Task sample_task(std::uint64_t n, std::uint32_t number) {
    Task task;
    task.key = {sample_id(n), number};
    task.due = time_at(n + 3);
    task.accepted_at = time_at(n);
    task.expires_at = time_at(n + 2);
    if (n % 2 == 0) task.notice_at = time_at(n + 1);
    task.domain = "example.org";
    task.virtual_mta = "promo-1";
    task.pool = "bulk";
    task.tenant = "acme";
    task.job = "spring-" + std::to_string(n);
    task.priority = n % 2 == 0 ? Priority::Low : Priority::Normal;
    task.size_octets = 2000;
    task.reroutes = static_cast<std::uint8_t>(n % 3);
    Recipient first;
    first.address = "a" + std::to_string(n) + "@example.org";
    Recipient second;
    second.index = 1;
    second.address = "b@example.org";
    second.attempts = 3;
    second.delayed_notices = 1;
    second.last_reply = Reply{451, {4, 7, 1}, "greylisted, try again"};
    second.last_mx = "mx1.example.org";
    second.original = "rfc822;b@example.org";
    second.notify = 6;
    second.variables.add("name", "Ann");
    second.variables.add("*jobid", "");
    task.recipients = {first, second};
    return task;
}

Event sample_event(std::uint64_t n, EventType type) {
    Event event;
    event.message = sample_message(n);
    event.id = make_event_id(event.message->id, 1, 2, type);
    event.type = type;
    event.time = time_at(n + 9);
    event.recipient_index = 1;
    event.recipient = "b@example.org";
    event.original_recipient = "rfc822;list@example.org";
    event.virtual_mta = "promo-1";
    event.pool = "bulk";
    event.queue = "google/promo-1";
    event.attempt = 2;
    event.next_attempt_at = time_at(n + 60);
    event.delivery = DeliveryFacts{"mx1.example.org",
                                   "192.0.2.1:25",
                                   "192.0.2.20",
                                   "TLSv1.3/TLS_AES_128_GCM_SHA256",
                                   extension_bit("SIZE") | extension_bit("XFORWARD"),
                                   SmtpPhase::EndOfData,
                                   Reply{250, {2, 0, 0}, "queued as 4711"},
                                   std::chrono::milliseconds(17),
                                   true};
    event.bounce = BounceFacts{"soft", "greylisted", true};
    event.reason = "because " + std::to_string(n);
    return event;
}

SharedOctets sample_content(std::uint64_t n, std::size_t octets) {
    std::string text = "Subject: " + std::to_string(n) + "\r\n\r\n";
    while (text.size() < octets) text += std::to_string(n * 7919 + text.size()) + "\r\n";
    text.resize(octets);
    return std::make_shared<const std::string>(std::move(text));
}

SpoolBatch sample_acceptance(std::uint64_t n, std::size_t octets) {
    SpoolBatch batch;
    batch.put_messages.push_back({sample_message(n), sample_content(n, octets)});
    batch.put_tasks.push_back(sample_task(n));
    batch.events.push_back(sample_event(n, EventType::Accepted));
    return batch;
}

SpoolBatch sample_outcome(std::uint64_t n) {
    SpoolBatch batch;
    batch.urgency = SpoolBatch::Urgency::Outcome;
    batch.remove_tasks.push_back({sample_id(n), 0});
    batch.remove_messages.push_back({sample_id(n), 1});
    batch.events.push_back(sample_event(n, EventType::Delivered));
    return batch;
}

bool tells_the_same(const Event& stored, const Event& original) {
    auto same_message = [&] {
        if (!stored.message || !original.message) return stored.message == original.message;
        auto message = *original.message;
        if (*stored.message == message) return true;
        message.prepended_header.clear();
        message.template_reference.variables.clear();
        message.tls_wish = TlsWish::NotGiven;
        message.deliver_by.reset();
        message.windows.clear();
        message.mt_priority.reset();
        message.dkim_options.clear();
        message.merge = {};
        message.verp = false;
        return *stored.message == message;
    };
    return same_message() && stored.id == original.id && stored.type == original.type && stored.time == original.time &&
           stored.recipient_index == original.recipient_index && stored.recipient == original.recipient &&
           stored.original_recipient == original.original_recipient && stored.virtual_mta == original.virtual_mta &&
           stored.pool == original.pool && stored.queue == original.queue && stored.attempt == original.attempt &&
           stored.next_attempt_at == original.next_attempt_at && stored.delivery == original.delivery &&
           stored.bounce == original.bounce && stored.reason == original.reason;
}

}  // namespace postfleet::support
