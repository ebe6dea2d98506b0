#include "postfleet/wire/handover.hpp"

#include <catch2/catch.hpp>
#include <postfleet/v1/handover.pb.h>

#include <random>

#include "postfleet/support/newer_peer.hpp"

namespace postfleet::wire {

namespace {

using PbHandover = postfleet::v1::Handover;

// Random values of every field, extreme ones among them; the same for the same seed.
class Samples {
public:
    explicit Samples(std::uint32_t seed) : random_(seed) {}

    Handover handover() {
        auto message = std::make_shared<Message>(this->message());
        Handover made{.id = flip() ? message->id : id(), .message = message};
        const auto tasks = below(4) + 1;
        std::uint32_t index = 0;
        for (std::uint32_t number = 0; number < tasks; ++number) {
            made.tasks.push_back(task(message->id, number * 7, index));
        }
        for (std::uint64_t left = message->size_octets; made.content.size() < message->content_chunks;) {
            const auto size = std::min<std::uint64_t>(left, kContentChunkOctets);
            made.content.push_back(std::make_shared<const std::string>(size, static_cast<char>(below(256))));
            left -= size;
        }
        return made;
    }

private:
    std::uint32_t below(std::uint32_t limit) { return static_cast<std::uint32_t>(random_() % limit); }
    bool flip() { return below(2) == 0; }
    template <class Number>
    Number number() {
        const auto any = static_cast<Number>(random_());
        return flip() ? any : flip() ? Number{} : std::numeric_limits<Number>::max();
    }
    std::string text(std::size_t most = 40) {
        std::string made(flip() ? 0 : below(static_cast<std::uint32_t>(most)) + 1, '\0');
        for (char& octet : made) octet = static_cast<char>(below(256));
        return made;
    }
    std::string some_text() { return "x" + text(); }
    WallTime time() { return from_unix_microseconds(static_cast<std::int64_t>(random_()) * (flip() ? 1 : -1)); }
    std::optional<WallTime> maybe_time() { return flip() ? std::optional(time()) : std::nullopt; }
    MessageId id() {
        MessageId made;
        for (auto& octet : made.octets) octet = static_cast<std::uint8_t>(below(256));
        return made;
    }
    template <class Enum>
    Enum one_of(Enum greatest) {
        return static_cast<Enum>(below(static_cast<std::uint32_t>(greatest) + 1));
    }
    std::vector<std::pair<std::string, std::string>> pairs() {
        std::vector<std::pair<std::string, std::string>> made(below(4));
        for (auto& [name, value] : made) name = text(), value = text();
        return made;
    }

    void fill_merge(Message& message) {
        std::uint64_t left = message.size_octets;
        for (std::uint32_t part = below(3); part > 0; --part) {
            const auto size = part == 1 ? left : left / 2;
            message.merge.parts.push_back({number<std::uint32_t>(), size});
            left -= size;
        }
        message.merge.undefined = one_of(UndefinedVariable::Refuse);
        message.merge.max_octets = number<std::uint64_t>();
        message.merge.utf8_in_header = flip();
        message.verp = flip();
    }

    Message message() {
        Message made;
        made.id = id();
        made.accepted_at = time();
        made.send_at = maybe_time();
        made.expires_at = maybe_time();
        if (flip()) made.deliver_by = DeliverBy{time(), one_of(DeliverBy::Mode::Notify), flip()};
        made.windows.resize(below(3));
        for (auto& window : made.windows) window = {time(), time()};
        if (flip()) made.mt_priority = static_cast<std::int8_t>(static_cast<int>(below(19)) - 9);
        for (auto* field : {&made.reverse_path, &made.envelope_id, &made.tenant, &made.job, &made.user, &made.listener,
                            &made.client_address, &made.server_address, &made.helo, &made.pool, &made.prepended_header,
                            &made.dkim_options, &made.header_from, &made.header_message_id, &made.header_subject}) {
            *field = text();
        }
        made.return_content = one_of(ReturnContent::Headers);
        made.tls_wish = one_of(TlsWish::Waived);
        made.priority = one_of(Priority::Low);
        made.body_type = one_of(BodyType::BinaryMime);
        made.smtputf8 = flip(), made.has_leading_dots = flip(), made.has_long_lines = flip();
        made.content_chunks = below(3) + 1;
        const auto last = below(4) == 0 ? below(2) * std::uint32_t{kContentChunkOctets} : below(kContentChunkOctets);
        made.size_octets = (made.content_chunks - 1) * kContentChunkOctets + last;
        made.recorded_headers = pairs();
        made.metadata = pairs();
        made.template_reference = {text(), number<std::uint32_t>(), text()};
        fill_merge(made);
        return made;
    }

    Recipient recipient(std::uint32_t index) {
        Recipient made;
        made.index = index;
        made.address = some_text();
        made.attempts = number<std::uint16_t>();
        made.delayed_notices = number<std::uint16_t>();
        if (flip()) {
            made.last_reply = Reply{static_cast<int>(below(1000)),
                                    {number<std::uint8_t>(), number<std::uint16_t>(), number<std::uint16_t>()},
                                    text(kMaxReplyText)};
        }
        made.last_mx = text();
        made.original = text();
        made.notify = number<std::uint8_t>();
        if (flip()) made.variables.add("name", text());
        return made;
    }

    Task task(const MessageId& message, std::uint32_t task_number, std::uint32_t& index) {
        Task made;
        made.key = {message, task_number};
        made.due = time();
        made.accepted_at = time();
        made.expires_at = maybe_time();
        made.notice_at = maybe_time();
        made.domain = some_text();
        for (auto* field : {&made.virtual_mta, &made.pool, &made.tenant, &made.job}) *field = text();
        made.priority = one_of(Priority::Low);
        made.waives_tls_policy = flip();
        made.reroutes = number<std::uint8_t>();
        made.size_octets = number<std::uint64_t>();
        const auto recipients = below(3) + 1;
        for (std::uint32_t i = 0; i < recipients; ++i) made.recipients.push_back(recipient(index += below(5) + 1));
        return made;
    }

    std::mt19937_64 random_;
};

void check_same(const Handover& read, const Handover& written) {
    CHECK(read.id == written.id);
    CHECK(*read.message == *written.message);
    CHECK(read.tasks == written.tasks);
    REQUIRE(read.content.size() == written.content.size());
    for (std::size_t chunk = 0; chunk < read.content.size(); ++chunk) {
        CHECK((*read.content[chunk] == *written.content[chunk]));
    }
}

PbHandover as_protobuf(const Handover& handover) {
    PbHandover made;
    REQUIRE(made.ParseFromString(encode_handover(handover)));
    return made;
}

void check_refused(const PbHandover& handover, const std::string& field, ErrorKind kind = ErrorKind::InvalidArgument) {
    const auto read = decode_handover(handover.SerializeAsString());
    REQUIRE_FALSE(read);
    CHECK(read.error().kind == kind);
    CHECK_THAT(read.error().text, Catch::Contains(field));
}

}  // namespace

TEST_CASE("a hand-over comes back exactly as it went, whatever is in it") {
    for (std::uint32_t seed = 1; seed <= 300; ++seed) {
        INFO("seed " << seed);
        const auto written = Samples(seed).handover();
        const auto read = decode_handover(encode_handover(written));
        REQUIRE(read);
        check_same(*read, written);
    }
}

TEST_CASE("any protobuf library may write a hand-over: fields in another order, the content not last") {
    const auto written = Samples(7).handover();
    auto front = as_protobuf(written), back = front;
    back.clear_tasks();
    back.clear_message();
    front.clear_content();
    const auto read = decode_handover(back.SerializeAsString() + front.SerializeAsString());
    REQUIRE(read);
    check_same(*read, written);
}

TEST_CASE("fields of a later version are passed over, and a version that must not be touched goes back to its queue") {
    for (std::uint32_t seed = 1; seed <= 50; ++seed) {
        INFO("seed " << seed);
        const auto written = Samples(seed).handover();
        auto later = as_protobuf(written);
        support::add_unknown_fields(later);
        const auto read = decode_handover(later.SerializeAsString());
        REQUIRE(read);
        check_same(*read, written);
    }

    auto later = as_protobuf(Samples(3).handover());
    later.set_version(kHandoverVersion + 1);
    check_refused(later, "version 2", ErrorKind::Unavailable);
    later.clear_version();
    check_refused(later, "version");
}

TEST_CASE("what the spool takes for granted is checked, and the field is named") {
    auto good = as_protobuf(Samples(5).handover());
    good.mutable_message()->clear_merge();
    const auto refused = [&](auto change, const std::string& field) {
        auto handover = good;
        change(handover);
        check_refused(handover, field);
    };
    refused([](auto& h) { h.mutable_message()->set_id("short"); }, "message.id");
    refused([](auto& h) { h.set_id("short"); }, "id");
    refused([](auto& h) { h.clear_tasks(); }, "tasks");
    refused([](auto& h) { *h.add_tasks() = h.tasks(0); }, "tasks");
    refused([](auto& h) { *h.mutable_tasks(0)->add_recipients() = h.tasks(0).recipients(0); }, "recipient.index");
    refused([](auto& h) { h.mutable_tasks(0)->clear_recipients(); }, "task.recipients");
    refused([](auto& h) { h.mutable_tasks(0)->clear_domain(); }, "task.domain");
    refused([](auto& h) { h.mutable_tasks(0)->set_reroutes(256); }, "task.reroutes");
    refused([](auto& h) { h.mutable_tasks(0)->mutable_recipients(0)->clear_address(); }, "recipient.address");
    refused([](auto& h) { h.mutable_tasks(0)->mutable_recipients(0)->set_attempts(65'536); }, "recipient.attempts");
    refused([](auto& h) { h.mutable_tasks(0)->mutable_recipients(0)->set_variables("no"); }, "recipient.variables");
    refused([](auto& h) { h.mutable_tasks(0)->mutable_recipients(0)->mutable_last_reply()->set_code(1000); },
            "last_reply.code");
    refused([](auto& h) { h.mutable_message()->set_priority(static_cast<PbHandover::Priority>(3)); },
            "message.priority");
    refused([](auto& h) { h.mutable_message()->set_mt_priority(10); }, "message.mt_priority");
    refused([](auto& h) { h.mutable_message()->set_size_octets(h.message().size_octets() + 1); }, "content");
    refused([](auto& h) { h.mutable_message()->set_content_chunks(0); }, "message.content_chunks");
    refused([](auto& h) { h.mutable_message()->set_content_chunks(h.message().content_chunks() + 2); },
            "content_chunks");
    refused([](auto& h) { h.mutable_message()->mutable_merge()->add_parts()->set_size_octets(UINT64_MAX); },
            "message.merge.parts");
}

TEST_CASE("a hand-over with too many small parts is refused before memory is taken for them") {
    auto handover = as_protobuf(Samples(5).handover());
    for (std::size_t i = 0; i <= kMaxHandoverElements; ++i) handover.add_tasks();
    check_refused(handover, "too many elements");
    handover.clear_tasks();
    for (std::size_t i = 0; i <= kMaxHandoverElements; ++i) handover.mutable_message()->mutable_merge()->add_parts();
    check_refused(handover, "too many elements");
}

}  // namespace postfleet::wire
