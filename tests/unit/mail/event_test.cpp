#include "postfleet/mail/event.hpp"

#include <catch2/catch.hpp>

#include <set>

using namespace postfleet;

TEST_CASE("every event type has a name of its own, and the name leads back") {
    std::set<std::string> names;
    int types = 0;
    for (int value = 0; value < 256; ++value) {
        const auto type = static_cast<EventType>(value);
        const std::string name = to_string(type);
        if (name == "unknown") continue;
        ++types;
        names.insert(name);
        CHECK(parse_event_type(name) == type);
    }
    CHECK(types == 20);
    CHECK(names.size() == 20);
    CHECK(names.count("email.delivered") == 1);
    CHECK_FALSE(parse_event_type("unknown"));
    CHECK_FALSE(parse_event_type("email.Delivered"));
    CHECK_FALSE(parse_event_type(""));
}

TEST_CASE("six events end the life of a recipient, all others do not") {
    std::set<std::string> terminal;
    for (int value = 0; value < 256; ++value) {
        const auto type = static_cast<EventType>(value);
        if (is_terminal(type)) terminal.insert(to_string(type));
    }
    CHECK(terminal == std::set<std::string>{"email.delivered", "email.bounced", "email.expired", "email.suppressed",
                                            "email.rendering_failed", "email.cancelled"});
}

TEST_CASE("every phase of SMTP has a name") {
    std::set<std::string> names;
    for (int phase = 0; phase <= static_cast<int>(SmtpPhase::Quit); ++phase) {
        names.insert(to_string(static_cast<SmtpPhase>(phase)));
    }
    CHECK(names.size() == 13);
    CHECK(names.count("end-of-data") == 1);
    CHECK(names.count("unknown") == 0);
}

TEST_CASE("the same fact has the same id, and any other fact another") {
    IdGenerator generator(1);
    const MessageId message = generator.next(WallTime{});
    const EventId id = make_event_id(message, 3, 2, EventType::Deferred);
    CHECK(id == make_event_id(message, 3, 2, EventType::Deferred));
    std::set<EventId> ids{id};
    ids.insert(make_event_id(generator.next(WallTime{}), 3, 2, EventType::Deferred));
    ids.insert(make_event_id(message, 4, 2, EventType::Deferred));
    ids.insert(make_event_id(message, 3 << 8, 2, EventType::Deferred));
    ids.insert(make_event_id(message, 3, 3, EventType::Deferred));
    ids.insert(make_event_id(message, 3, 2 << 8, EventType::Deferred));
    ids.insert(make_event_id(message, 3, 2, EventType::Delivered));
    CHECK(ids.size() == 7);
}
