// What `postfleet show message` answers: from what waits, from the outbox, from the report files.
#include "postfleet/control/message_history.hpp"

#include <boost/json.hpp>
#include <catch2/catch.hpp>
#include <filesystem>

#include "postfleet/control/immediate_executor.hpp"
#include "postfleet/control/json_view.hpp"
#include "../../../libs/control/src/report_search.hpp"
#include "postfleet/report/cloud_event.hpp"
#include "postfleet/standalone/views.hpp"
#include "postfleet/support/fake_spool.hpp"
#include "postfleet/support/temporary_directory.hpp"

using namespace postfleet;
using namespace postfleet::control;
using namespace postfleet::standalone;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

namespace {

struct World {
    support::TemporaryDirectory folder;
    support::FakeSpool outbox;
    ImmediateExecutor executor;
    IdGenerator ids{7};
    const WallTime start = std::chrono::floor<std::chrono::seconds>(wall_clock_now()) - 1h;
    std::shared_ptr<Message> message = std::make_shared<Message>();
    std::vector<QueuedTask> tasks;
    std::shared_ptr<config::Config> config = std::make_shared<config::Config>();
    std::uint64_t sequence = 0;

    World() {
        message->id = ids.next(start);
        message->accepted_at = start;
        message->reverse_path = "from@src.test";
        message->tenant = "acme";
        message->listener = "relay";
        message->client_address = "192.0.2.9";
        message->helo = "app.src.test";
        message->size_octets = 2048;
        config->hostname = "mta1.test";
        config::Report report;
        report.path = folder.file("events.jsonl");
        report.types = {EventType::Accepted, EventType::Delivered,  EventType::Deferred, EventType::Bounced,
                        EventType::Expired,  EventType::Suppressed, EventType::Cancelled};
        config->reports = {report};
    }
    Event event(EventType type, std::uint32_t recipient, std::uint16_t attempt, WallTime time) const {
        Event event;
        event.id = make_event_id(message->id, recipient, attempt, type);
        event.type = type;
        event.time = time;
        event.message = message;
        event.recipient_index = recipient;
        event.recipient = std::string(1, static_cast<char>('a' + recipient)) + "@x.test";
        event.virtual_mta = "v1";
        event.attempt = attempt;
        if (attempt > 0) {
            event.queue = "x.test/v1";
            event.delivery.emplace();
            event.delivery->mx_host = "mx.x.test";
            event.delivery->reply = type == EventType::Delivered  ? Reply{250, {2, 0, 0}, "ok"}
                                    : type == EventType::Deferred ? Reply{450, {4, 2, 1}, "busy"}
                                                                  : Reply{550, {5, 1, 1}, "no such user"};
        }
        return event;
    }
    std::string line(const Event& event) {
        std::string text;
        report::render_cloud_event(event, ++sequence, {"/senders/mta1.test"}, text);
        return text + "\n";
    }
    void write(const std::string& name, const std::string& text, WallTime changed_at) const {
        const std::string path = folder.write(name, text);
        const auto age =
            std::chrono::duration_cast<std::filesystem::file_time_type::duration>(wall_clock_now() - changed_at);
        std::filesystem::last_write_time(path, std::filesystem::file_time_type::clock::now() - age);
    }
    void wait(std::uint32_t recipient, std::uint16_t attempts) {
        QueuedTask queued;
        queued.message = message;
        queued.queue = "x.test/v1";
        queued.state = "waiting";
        queued.task.key = {message->id, recipient};
        queued.task.virtual_mta = "v1";
        queued.task.due = start + 2h;
        Recipient& waits = queued.task.recipients.emplace_back();
        waits.index = recipient;
        waits.address = std::string(1, static_cast<char>('a' + recipient)) + "@x.test";
        waits.attempts = attempts;
        waits.last_reply = Reply{450, {4, 2, 1}, "busy"};
        tasks.push_back(std::move(queued));
    }
    void put_into_outbox(Event event) {
        SpoolBatch batch;
        batch.events.push_back(std::move(event));
        outbox.commit(std::move(batch), {&executor, [](Status status) { REQUIRE(status); }});
    }
    Result<std::string> ask() {
        return tell_history(message->id,
                            {.waiting = [this](const MailSelector& which) -> Result<std::vector<QueuedTask>> {
                                 CHECK(which.message == message->id);
                                 return tasks;
                             },
                             .outbox = &outbox,
                             .config = config});
    }
    boost::json::value history() { return boost::json::parse(ask().value()); }
};

}  // namespace

TEST_CASE("a message's history joins what waits, what is on its way to reports, and what reports say") {
    World w;
    w.wait(0, 1);
    const Event accepted = w.event(EventType::Accepted, 0, 0, w.start);
    const Event deferred = w.event(EventType::Deferred, 0, 1, w.start + 1min);
    const Event bounced = w.event(EventType::Bounced, 1, 1, w.start + 2min);
    w.write("events.jsonl", w.line(accepted) + w.line(w.event(EventType::Accepted, 1, 0, w.start)) + w.line(deferred),
            w.start + 1min);
    w.put_into_outbox(deferred);  // in both: the sink's cursor is a little behind
    w.put_into_outbox(bounced);
    const boost::json::value document = w.history();
    const JsonView history(document), message = history.object("message");
    CHECK(message.text("sender") == "from@src.test");
    CHECK(message.text("client_address") == "192.0.2.9");
    CHECK(message.text("helo") == "app.src.test");
    CHECK(message.count("size_octets") == 2048);
    REQUIRE(history.array("recipients").size() == 2);
    const JsonView a(history.array("recipients")[0]), b(history.array("recipients")[1]);
    CHECK(a.text("state") == "waiting");
    CHECK(a.text("last_reply") == "450 4.2.1 busy");
    CHECK(a.count("attempts") == 1);
    CHECK(a.has("next_attempt_at"));
    CHECK(b.text("state") == "bounced");
    CHECK(b.text("last_reply") == "550 5.1.1 no such user");
    CHECK(b.text("last_mx") == "mx.x.test");
    CHECK(b.has("ended_at"));
    std::vector<std::string> types;
    for (const auto& event : history.array("events")) types.push_back(JsonView(event).text("type"));
    CHECK(types == std::vector<std::string>{"email.accepted", "email.accepted", "email.deferred", "email.bounced"});
    CHECK(history.array("notes").empty());
    const std::string shown = view_message(boost::json::serialize(document), {}, w.start + 1h).value();
    CHECK_THAT(shown, Contains("1h ago, by listener relay, from 192.0.2.9, as app.src.test\n") && Contains("in 1h") &&
                          Contains("550 5.1.1 no such user") && Contains("owner      tenant acme"));
}

TEST_CASE("the history of mail that an order ended shows its last reply and the order") {
    World w;
    Event cancelled = w.event(EventType::Cancelled, 0, 1, w.start + 1min);
    cancelled.delivery->reply = Reply{450, {4, 2, 1}, "busy"};
    cancelled.reason = "deleted by op: wrong list (order 7)";
    w.put_into_outbox(cancelled);
    const std::string shown = view_message(w.ask().value(), {}, w.start + 1h).value();
    CHECK_THAT(shown, Contains("cancelled") && Contains("450 4.2.1 busy; deleted by op: wrong list (order 7)\n"));
}

TEST_CASE("who ended while he was looked for has ended") {
    World w;
    w.wait(0, 1);
    w.put_into_outbox(w.event(EventType::Delivered, 0, 2, w.start + 3min));
    const boost::json::value document = w.history();
    const JsonView a(JsonView(document).array("recipients").at(0));
    CHECK(a.text("state") == "delivered");
    CHECK(a.count("attempts") == 2);
    CHECK_FALSE(a.has("next_attempt_at"));
}

TEST_CASE("rotated reports are read back to the message's acceptance and no further") {
    World w;
    const std::string accepted = w.line(w.event(EventType::Accepted, 0, 0, w.start));
    const std::string delivered = w.line(w.event(EventType::Delivered, 0, 1, w.start + 40min));
    w.write("events.jsonl", delivered, w.start + 41min);
    w.write("events.jsonl.20261122-101112", accepted, w.start + 20min);
    w.write("events.jsonl.20261122-091112", accepted, w.start - 20min);  // no event of this message can be in it
    w.write("events.jsonl.old", accepted, w.start + 20min);              // not one of ours
    const boost::json::value document = w.history();
    const JsonView history(document);
    CHECK(history.array("events").size() == 2);
    REQUIRE(history.array("files").size() == 2);
    CHECK(std::string_view(history.array("files")[1].as_string()).ends_with("events.jsonl.20261122-101112"));
    CHECK(history.array("notes").empty());
    CHECK(JsonView(history.array("recipients").at(0)).text("state") == "delivered");
}

TEST_CASE("history says what is not known of a message, and why") {
    World w;
    SECTION("the older reports are gone") {
        w.write("events.jsonl", w.line(w.event(EventType::Deferred, 0, 3, w.start + 30min)), w.start + 30min);
        const boost::json::value document = w.history();
        const JsonView history(document);
        CHECK(JsonView(history.array("recipients").at(0)).text("state") == "not known");
        CHECK_THAT(std::string(history.array("notes").at(0).as_string()),
                   Contains("the reports before " + format_rfc3339(w.start + 30min) + " are gone"));
    }
    SECTION("no report keeps anything") {
        w.config->reports.clear();
        CHECK(w.ask().error().kind == ErrorKind::NotFound);
        CHECK_THAT(w.ask().error().text, Contains("it does not wait; no report of type file is configured"));
    }
    SECTION("a report leaves some events out, or is another program's form") {
        w.config->reports[0].types = {EventType::Delivered};
        w.config->reports.push_back(w.config->reports[0]);
        w.config->reports[1].type = config::ReportType::Accounting;
        w.wait(0, 1);
        CHECK_THAT(w.ask().value(), Contains("no report file takes email.accepted, email.deferred, email.bounced"));
    }
    SECTION("a report cannot be read") {
        std::filesystem::create_directory(w.folder.file("events.jsonl"));
        w.config->reports[0].path = w.folder.file("none/events.jsonl");
        w.wait(0, 1);
        CHECK_THAT(w.ask().value(), Contains("No such file or directory"));
    }
}

TEST_CASE("a search of reports is bounded, and is not misled by other texts") {
    World w;
    const std::string id = w.message->id.to_string();
    std::string text =
        "{\"data\":{\"message_id\":\"other\",\"metadata\":{\"x\":\"" + id + "\"}}}\nno json " + id + "\n";
    text += std::string(3 << 20, 'x') + "\n";  // longer than any event
    const std::string delivered = w.line(w.event(EventType::Delivered, 0, 1, w.start + 1min));
    text += delivered + delivered.substr(0, delivered.size() / 2);  // the last one is being written
    w.write("events.jsonl", text, w.start + 1min);
    ReportFindings found;
    ReportSearch search{.message = w.message->id, .since = w.start, .until = steady_clock_now() + 1h};
    search_reports(w.config->reports[0], search, found);
    CHECK(found.events.size() == 1);
    CHECK(found.troubles.empty());
    search.most_octets = 1 << 20;
    found = {};
    search_reports(w.config->reports[0], search, found);
    CHECK(found.events.empty());
    REQUIRE(found.troubles.size() == 1);
    CHECK_THAT(found.troubles[0], Contains("not all of ") && Contains("too much"));
}
