#include "records.hpp"

#include <catch2/catch.hpp>

#include <functional>

#include "crc32c.hpp"
#include "octets.hpp"
#include "postfleet/support/spool_samples.hpp"

namespace postfleet::spool {

using namespace postfleet::support;

namespace {

std::string record_of(Column column, std::string_view key, std::string_view fields) {
    std::string value(kRecordHeaderOctets, '\0');
    value += fields;
    seal_record(column, key, value.data(), value.size());
    return value;
}

// Every way to shorten it, and every single bit of it turned round.
void for_each_damage(const std::string& octets, const std::function<void(const std::string&)>& visit) {
    for (std::size_t size = 0; size < octets.size(); size++) visit(octets.substr(0, size));
    for (std::size_t bit = 0; bit < octets.size() * 8; bit++) {
        auto damaged = octets;
        damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
        visit(damaged);
    }
}

}  // namespace

TEST_CASE("a message survives being stored, every field of it") {
    for (std::uint64_t n = 0; n < 6; n++) {
        auto message = sample_message(n);
        std::string fields;
        encode_message(*message, fields);
        auto decoded = decode_message(message->id, fields);
        REQUIRE(decoded);
        CHECK(*decoded == *message);
    }
}

TEST_CASE("a message with nothing set survives being stored") {
    Message message;
    message.tenant.clear();
    message.has_leading_dots = false;
    message.content_chunks = 0;
    std::string fields;
    encode_message(message, fields);
    CHECK(*decode_message(message.id, fields) == message);
    CHECK(fields.size() < 10);
}

TEST_CASE("a task survives being stored, every field of it") {
    auto task = sample_task(4, 9);
    std::string fields;
    encode_task(task, fields);
    auto decoded = decode_task(task.key, fields);
    REQUIRE(decoded);
    CHECK(*decoded == task);
}

TEST_CASE("a long value inside a recipient survives, its length taking more than one octet") {
    auto task = sample_task(4);
    task.recipients[1].last_reply->text = std::string(1000, 'x');
    std::string fields;
    encode_task(task, fields);
    CHECK(*decode_task(task.key, fields) == task);
}

TEST_CASE("an event survives being stored, with what reports need of its message") {
    auto event = sample_event(3);
    std::string fields;
    encode_event(event, fields);
    auto decoded = decode_event(fields);
    REQUIRE(decoded);
    CHECK(tells_the_same(*decoded, event));
    CHECK(decoded->message->prepended_header.empty());
    CHECK(decoded->message->template_reference.variables.empty());
}

TEST_CASE("an event that is about no message survives being stored") {
    Event event;
    event.id = make_event_id({}, 0, 0, EventType::QueueBackoffEntered);
    event.type = EventType::QueueBackoffEntered;
    event.queue = "google/promo-1";
    std::string fields;
    encode_event(event, fields);
    auto decoded = decode_event(fields);
    REQUIRE(decoded);
    CHECK(tells_the_same(*decoded, event));
    CHECK(decoded->message == nullptr);
}

TEST_CASE("records of before RET and ORCPT were kept are read, and say that neither was given") {
    const auto without_field = [](std::string fields, std::uint32_t field, const std::string& value) {
        std::string written;
        FieldWriter to(written);
        if (value.empty()) to.number(field, 2);
        else to.octets(field, value);
        const auto at = fields.find(written);
        REQUIRE(at != std::string::npos);
        return fields.erase(at, written.size());
    };
    auto message = *sample_message(2);
    REQUIRE(message.return_content == ReturnContent::Headers);
    std::string fields;
    encode_message(message, fields);
    message.return_content = ReturnContent::NotGiven;
    CHECK(*decode_message(message.id, without_field(fields, 24, "")) == message);

    auto event = sample_event(1);
    fields.clear();
    encode_event(event, fields);
    const auto decoded = decode_event(without_field(fields, 16, event.original_recipient));
    event.original_recipient.clear();
    REQUIRE(decoded);
    CHECK(tells_the_same(*decoded, event));
}

TEST_CASE("records of before mail merge are read, and say that there is none") {
    auto message = *sample_message(2);
    REQUIRE_FALSE(message.merge);
    std::string fields;
    encode_message(message, fields);
    CHECK(*decode_message(message.id, fields) == message);
    for (const auto& [field, value] : {std::pair{33u, 3u}, std::pair{33u, 7u}}) {
        std::string wrong;
        FieldWriter(wrong).number(field, value);
        CHECK_FALSE(decode_message(sample_id(1), wrong).has_value());
    }
    std::string task;
    FieldWriter to(task);
    to.nested(11, [&] { to.octets(9, "no variables"); });
    CHECK_FALSE(decode_task({}, task).has_value());
}

TEST_CASE("what the submitter wants of the way comes back as it was, and its absence too", "[X8689][X2852][X6710]") {
    for (std::uint64_t n = 0; n < 40; ++n) {
        auto message = *sample_message(n);
        if (n % 5 == 0) message.deliver_by.reset();
        if (n % 7 == 0) message.mt_priority.reset();
        if (n % 11 == 0) message.tls_wish = TlsWish::NotGiven;
        std::string fields;
        encode_message(message, fields);
        const auto decoded = decode_message(message.id, fields);
        REQUIRE(decoded);
        CHECK(*decoded == message);
    }
    for (const auto& [field, value] : {std::pair{25u, 3u}, std::pair{28u, 20u}, std::pair{28u, 255u}}) {
        std::string fields;
        FieldWriter(fields).number(field, value);
        CHECK_FALSE(decode_message(sample_id(1), fields).has_value());
    }
}

TEST_CASE("an event is small") {
    auto event = sample_event(3);
    std::string fields;
    encode_event(event, fields);
    CHECK(fields.size() < 560);
}

TEST_CASE("a record that was cut or of which a bit was turned is never taken for good") {
    auto key = key_of(sample_id(1), 0);
    std::string fields;
    encode_task(sample_task(1), fields);
    auto value = record_of(Column::Task, key, fields);
    REQUIRE(open_record(Column::Task, key, value));
    for_each_damage(value, [&](const std::string& damaged) {
        auto opened = open_record(Column::Task, key, damaged);
        CHECK_FALSE(opened.has_value());
        if (!opened) CHECK(opened.error().kind == ErrorKind::Corruption);
    });
}

TEST_CASE("a record in the place of another does not check out") {
    auto value = record_of(Column::Task, "key", "fields");
    CHECK(open_record(Column::Task, "other", value).error().kind == ErrorKind::Corruption);
    CHECK(open_record(Column::Note, "key", value).error().kind == ErrorKind::Corruption);
}

TEST_CASE("a record of a newer version is refused with a text that says what to do") {
    // As a newer Postfleet would write it: another version, and a checksum that fits.
    std::string value(kRecordHeaderOctets, '\0');
    value[0] = kRecordVersion + 1;
    const char prefix[2] = {static_cast<char>(Column::Note), value[0]};
    put_fixed32(value.data() + 1, crc32c("key", crc32c({prefix, 2})));
    auto opened = open_record(Column::Note, "key", value);
    REQUIRE_FALSE(opened.has_value());
    CHECK(opened.error().kind == ErrorKind::InvalidArgument);
    CHECK(opened.error().text.find("version " + std::to_string(kRecordVersion + 1)) != std::string::npos);
}

TEST_CASE("fields of a later version are passed over") {
    std::string fields;
    encode_task(sample_task(1), fields);
    FieldWriter(fields).octets(4711, "something new");
    FieldWriter(fields).number(4712, 5);
    CHECK(*decode_task(sample_task(1).key, fields) == sample_task(1));
}

TEST_CASE("malformed fields are an error, never a crash, whatever is cut or turned") {
    std::string message, task, event;
    encode_message(*sample_message(1), message);
    encode_task(sample_task(1), task);
    encode_event(sample_event(1), event);
    for_each_damage(message, [](auto& damaged) { (void)decode_message(sample_id(1), damaged).has_value(); });
    for_each_damage(task, [](auto& damaged) { (void)decode_task({sample_id(1), 0}, damaged).has_value(); });
    for_each_damage(event, [](auto& damaged) { (void)decode_event(damaged).has_value(); });
    CHECK_FALSE(decode_task({}, "\x17\xFF").has_value());
    CHECK_FALSE(decode_event("").has_value());
}

TEST_CASE("keys sort as ids and numbers do") {
    CHECK(key_of(sample_id(1), 255) < key_of(sample_id(1), 256));
    CHECK(key_of(sample_id(1), 256) < key_of(sample_id(2), 0));
    CHECK(key_of_event(255) < key_of_event(256));
    CHECK(id_of_key(key_of(sample_id(77), 5)) == sample_id(77));
}

}  // namespace postfleet::spool
