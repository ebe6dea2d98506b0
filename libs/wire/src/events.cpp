#include "postfleet/wire/events.hpp"

#include <google/protobuf/arena.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>
#include <postfleet/v1/events.pb.h>

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "handover_message.hpp"
#include "postfleet/base/require.hpp"

namespace postfleet::wire {
namespace {

using PbBatch = postfleet::v1::EventBatch;

Error wrong_field(const std::string& name) {
    return {ErrorKind::InvalidArgument, "this batch of events is not well formed: " + name};
}

void write_delivery(const DeliveryFacts& from, PbBatch::Delivery& to) {
    to.set_mx_host(from.mx_host);
    to.set_mx_address(from.mx_address);
    to.set_source_address(from.source_address);
    to.set_tls(from.tls);
    to.set_offered(from.offered);
    to.set_phase(static_cast<std::uint32_t>(from.phase));
    write_reply(from.reply, *to.mutable_reply());
    to.set_elapsed_nanoseconds(std::chrono::duration_cast<std::chrono::nanoseconds>(from.elapsed).count());
    to.set_in_doubt(from.in_doubt);
}

void write_event(const Event& from, std::uint64_t sequence, PbBatch::Event& to) {
    to.set_id(from.id.octets.data(), from.id.octets.size());
    to.set_type(static_cast<std::uint32_t>(from.type));
    to.set_time(to_unix_microseconds(from.time));
    to.set_sequence(sequence);
    to.set_recipient_index(from.recipient_index);
    to.set_recipient(from.recipient);
    to.set_original_recipient(from.original_recipient);
    to.set_virtual_mta(from.virtual_mta);
    to.set_pool(from.pool);
    to.set_queue(from.queue);
    to.set_attempt(from.attempt);
    if (from.next_attempt_at) to.set_next_attempt_at(to_unix_microseconds(*from.next_attempt_at));
    if (from.delivery) write_delivery(*from.delivery, *to.mutable_delivery());
    if (from.bounce) {
        auto& bounce = *to.mutable_bounce();
        bounce.set_type(from.bounce->type);
        bounce.set_category(from.bounce->category);
        bounce.set_asynchronous(from.bounce->asynchronous);
    }
    to.set_reason(from.reason);
}

void write_facts(const Message& from, PbHandover::Message& to) {
    write_message(from, to);
    to.clear_prepended_header();
    to.clear_dkim_options();
    to.clear_windows();
    to.clear_merge();
    if (to.has_template_()) to.mutable_template_()->clear_variables();
}

template <class Number>
void read_number(std::uint64_t from, Number& to, const char* name, std::string& wrong) {
    if (from > static_cast<std::uint64_t>(std::numeric_limits<Number>::max())) wrong = name;
    else to = static_cast<Number>(from);
}

void read_delivery(const PbBatch::Delivery& from, DeliveryFacts& to, std::string& wrong) {
    to.mx_host = from.mx_host();
    to.mx_address = from.mx_address();
    to.source_address = from.source_address();
    to.tls = from.tls();
    read_number(from.offered(), to.offered, "delivery.offered", wrong);
    if (from.phase() > static_cast<std::uint32_t>(SmtpPhase::Quit)) wrong = "delivery.phase";
    else to.phase = static_cast<SmtpPhase>(from.phase());
    read_reply(from.reply(), to.reply, wrong);
    if (from.elapsed_nanoseconds() < 0) wrong = "delivery.elapsed_nanoseconds";
    else to.elapsed = std::chrono::duration_cast<Duration>(std::chrono::nanoseconds(from.elapsed_nanoseconds()));
    to.in_doubt = from.in_doubt();
}

bool is_known_type(std::uint32_t number) {
    if (number > std::numeric_limits<std::uint8_t>::max()) return false;
    return parse_event_type(to_string(static_cast<EventType>(number))).has_value();
}

void read_event(const PbBatch::Event& from, const std::vector<std::shared_ptr<const Message>>& messages, Event& to,
                std::string& wrong) {
    if (from.id().size() != to.id.octets.size()) wrong = "event.id";
    else std::copy(from.id().begin(), from.id().end(), to.id.octets.begin());
    if (!is_known_type(from.type())) wrong = "event.type";
    else to.type = static_cast<EventType>(from.type());
    to.time = from_unix_microseconds(from.time());
    if (from.has_message()) {
        if (from.message() >= messages.size()) wrong = "event.message";
        else to.message = messages[from.message()];
    }
    to.recipient_index = from.recipient_index();
    to.recipient = from.recipient();
    to.original_recipient = from.original_recipient();
    to.virtual_mta = from.virtual_mta();
    to.pool = from.pool();
    to.queue = from.queue();
    read_number(from.attempt(), to.attempt, "event.attempt", wrong);
    if (from.has_next_attempt_at()) to.next_attempt_at = from_unix_microseconds(from.next_attempt_at());
    if (from.has_delivery()) read_delivery(from.delivery(), to.delivery.emplace(), wrong);
    if (from.has_bounce()) {
        to.bounce = BounceFacts{from.bounce().type(), from.bounce().category(), from.bounce().asynchronous()};
    }
    to.reason = from.reason();
}

// How many messages and events are in it, before anything is allocated for them; each takes two octets at least.
bool has_too_many(std::string_view octets) {
    google::protobuf::io::CodedInputStream in(reinterpret_cast<const std::uint8_t*>(octets.data()),
                                              static_cast<int>(octets.size()));
    std::size_t elements = 0;
    while (const auto tag = in.ReadTag()) {
        if (++elements > 2 * kMaxEventsOfBatch + 2) return true;
        if (!google::protobuf::internal::WireFormatLite::SkipField(&in, tag)) return false;  // parsing tells of it
    }
    return false;
}

}  // namespace

std::string encode_events(const EventBatch& batch) {
    google::protobuf::Arena arena;
    auto& out = *google::protobuf::Arena::CreateMessage<PbBatch>(&arena);
    out.set_version(kEventsVersion);
    out.set_source(batch.source);
    std::map<MessageId, std::uint32_t> places;
    for (const SequencedEvent& sequenced : batch.events) {
        auto& event = *out.add_events();
        write_event(*sequenced.event, sequenced.sequence, event);
        const Message* const message = sequenced.event->message.get();
        if (message == nullptr) continue;
        const auto [place, is_new] = places.try_emplace(message->id, static_cast<std::uint32_t>(places.size()));
        if (is_new) write_facts(*message, *out.add_messages());
        event.set_message(place->second);
    }
    std::string octets;
    require(out.SerializeToString(&octets));
    return octets;
}

Result<EventBatch> decode_events(std::string_view octets) {
    if (octets.size() > kMaxEventBatchOctets || has_too_many(octets)) return wrong_field("there is too much in it");
    google::protobuf::Arena arena;
    auto& from = *google::protobuf::Arena::CreateMessage<PbBatch>(&arena);
    if (!from.ParseFromArray(octets.data(), static_cast<int>(octets.size()))) {
        return wrong_field("these octets are no protobuf message");
    }
    if (from.version() > kEventsVersion) {
        return Error{ErrorKind::Unavailable, "this batch of events is of version " + std::to_string(from.version()) +
                                                 "; this process knows up to " + std::to_string(kEventsVersion)};
    }
    if (from.version() == 0) return wrong_field("version");
    std::string wrong;
    std::vector<std::shared_ptr<const Message>> messages;
    for (const auto& facts : from.messages()) {
        auto message = std::make_shared<Message>();
        read_message(facts, *message, wrong);
        messages.push_back(std::move(message));
    }
    EventBatch batch{.source = from.source(), .events = {}};
    for (const auto& one : from.events()) {
        auto event = std::make_shared<Event>();
        read_event(one, messages, *event, wrong);
        batch.events.push_back({one.sequence(), std::move(event)});
    }
    if (!wrong.empty()) return wrong_field(wrong);
    return batch;
}

std::size_t octets_in_batch(const Event& event) {
    constexpr std::size_t kFixed = 200;
    std::size_t octets =
        kFixed + event.recipient.size() + event.original_recipient.size() + event.queue.size() + event.reason.size();
    if (event.delivery) octets += kFixed + event.delivery->reply.text.size();
    if (event.message) {
        const Message& message = *event.message;
        octets += kFixed + message.reverse_path.size() + message.header_from.size() + message.header_subject.size();
        for (const auto& [name, value] : message.metadata) octets += name.size() + value.size();
        for (const auto& [name, value] : message.recorded_headers) octets += name.size() + value.size();
    }
    return octets;
}

}  // namespace postfleet::wire
