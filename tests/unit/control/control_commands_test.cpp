// The control protocol end to end: socket, commands, a scripted sender.
#include "postfleet/control/control_commands.hpp"

#include <catch2/catch.hpp>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "postfleet/config_files/load.hpp"
#include "postfleet/support/fake_resolver.hpp"
#include "postfleet/support/fake_spool.hpp"
#include "postfleet/support/temporary_directory.hpp"

using namespace postfleet;
using namespace postfleet::control;
using Catch::Matchers::Contains;

namespace {

// A shard for completions: post() only, on a thread of its own.
class PostingThread final : public Executor {
public:
    PostingThread() : thread_([this] { run(); }) {}
    ~PostingThread() override {
        post({});
        thread_.join();
    }
    void post(Callback task) override {
        const std::lock_guard lock(mutex_);
        tasks_.push_back(std::move(task));
        wake_.notify_one();
    }
    TimerId schedule_at(SteadyTime, Callback) override { return {}; }
    void cancel(TimerId) override {}
    SteadyTime now() const override { return steady_clock_now(); }
    WallTime wall_now() const override { return wall_clock_now(); }
    bool is_current_thread() const override { return false; }
    unsigned shard() const override { return 0; }

private:
    void run() {
        for (;;) {
            std::unique_lock lock(mutex_);
            wake_.wait(lock, [&] { return !tasks_.empty(); });
            Callback task = std::move(tasks_.front());
            tasks_.pop_front();
            lock.unlock();
            if (!task) return;
            task();
        }
    }
    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<Callback> tasks_;
    std::thread thread_;
};

class FakeSender final : public SenderControl {
public:
    std::vector<QueueStatus> queues;
    std::vector<QueuedTask> tasks;
    MailSelector asked;
    std::string who, why;
    std::size_t limit = 0;

    void status(Completion<SenderStatus> done) override {
        answer(std::move(done), SenderStatus{.queued_recipients = 7});
    }
    void list_queues(Completion<std::vector<QueueStatus>> done) override { answer(std::move(done), queues); }
    void list_limits(Completion<std::vector<LimitStatus>> done) override {
        answer(std::move(done), std::vector<LimitStatus>{{.scope = LimitScope::Provider,
                                                          .name = "google",
                                                          .connections = 3,
                                                          .queues_waiting = 1,
                                                          .max_connections = 5,
                                                          .max_message_rate = "500/m"}});
    }
    void list_virtual_mtas(Completion<std::vector<VirtualMtaStatus>> done) override {
        answer(std::move(done), std::vector<VirtualMtaStatus>{{.name = "b"}, {.name = "a"}});
    }
    void list_tasks(MailSelector which, std::size_t most, Completion<Result<std::vector<QueuedTask>>> done) override {
        asked = std::move(which);
        limit = most;
        answer(std::move(done), Result<std::vector<QueuedTask>>(tasks));
    }
    void count(MailSelector which, Completion<Result<MailCount>> done) override {
        asked = std::move(which);
        answer(std::move(done), Result<MailCount>(MailCount{3, 2, 1}));
    }
    void give(std::vector<Order> orders, Completion<Result<std::vector<Order>>> done) override {
        for (Order& order : orders) {
            order.id = OrderId{++last_order};
            given.push_back(order);
        }
        asked = orders.front().which;
        who = orders.front().who;
        why = orders.front().why;
        answer(std::move(done), Result<std::vector<Order>>(std::move(orders)));
    }
    void withdraw(std::vector<OrderId> orders, Completion<Result<std::vector<Order>>> done) override {
        withdrawn = std::move(orders);
        answer(std::move(done), Result<std::vector<Order>>(given));
    }
    void list_orders(OrderFilter, Completion<std::vector<Order>> done) override { answer(std::move(done), given); }
    void resume(MailSelector which, Completion<Result<std::vector<Order>>> done) override {
        asked = std::move(which);
        answer(std::move(done), Result<std::vector<Order>>(Error{ErrorKind::NotFound, "no such queue"}));
    }
    void retry(MailSelector which, Completion<Result<MailCount>> done) override {
        count(std::move(which), std::move(done));
    }
    void set_mode(MailSelector which, QueueModeOrder mode, std::string by, std::string because,
                  Completion<Result<std::uint64_t>> done) override {
        backoff = mode == QueueModeOrder::Backoff;
        asked = std::move(which);
        who = std::move(by);
        why = std::move(because);
        answer(std::move(done), Result<std::uint64_t>(std::uint64_t{2}));
    }
    void disable_source(SourceSelector which, std::optional<Duration> duration, std::string by, std::string because,
                        Completion<Result<std::uint64_t>> done) override {
        source = std::move(which);
        disabled_for = duration;
        who = std::move(by);
        why = std::move(because);
        answer(std::move(done), Result<std::uint64_t>(std::uint64_t{1}));
    }
    void enable_source(SourceSelector which, Completion<Result<std::uint64_t>> done) override {
        source = std::move(which);
        answer(std::move(done), Result<std::uint64_t>(std::uint64_t{1}));
    }
    SourceSelector source;
    std::optional<Duration> disabled_for;
    void begin_trace(TraceRequest request, Completion<Result<std::uint64_t>> done) override {
        traced = std::move(request);
        answer(std::move(done), Result<std::uint64_t>(std::uint64_t{9}));
    }
    void read_trace(std::uint64_t, Completion<Result<TracePart>> done) override {
        TracePart part{.lines = {{.session = 1, .direction = TraceLine::Direction::Sent, .text = "EHLO \"me\""}},
                       .sessions = 1,
                       .is_over = true};
        answer(std::move(done), Result<TracePart>(std::move(part)));
    }
    TraceRequest traced;
    bool backoff = false;
    std::vector<Order> given;
    std::vector<OrderId> withdrawn;
    std::uint32_t last_order = 0;

private:
    template <class T>
    static void answer(Completion<T> done, T value) {
        Executor* on = done.on;
        on->post([done = std::move(done), value = std::move(value)]() mutable { done.run(std::move(value)); });
    }
};

struct Fixture {
    support::TemporaryDirectory folder;
    std::string path = folder.path() / "control.sock";
    PostingThread shard;
    FakeSender sender;
    support::FakeResolver resolver;
    support::FakeSpool outbox;
    config::LoadResult loaded = config_files::load_text(R"(
hostname: mta1.example.net
listeners:
  relay: {address: "127.0.0.1:2525"}
virtual_mtas:
  tx-1: {source: 127.0.0.2}
default_virtual_mta: tx-1
providers:
  google: {mx: ["*.google.com"]}
shaping:
  - {match: {site: google}, max_connections: 10}
)");
    ControlCommands commands{ControlPorts{
        .executor = shard,
        .sender = sender,
        .outbox = outbox,
        .render_status =
            [](const SenderStatus& status) { return "{\"queued\":" + std::to_string(status.queued_recipients) + "}"; },
        .configuration = [this] { return loaded.config; },
        .reload = []() -> Result<std::string> {
            return Error{ErrorKind::InvalidArgument, "a.yaml:1:1: x: wrong"};
        },
        .render_intake = [](std::size_t limit) { return std::to_string(limit); },
        .resolver = resolver}};
    runtime::ControlServer server{path,
                                  [this](const runtime::ControlRequest& request) { return commands.run(request); }};

    Fixture() {
        REQUIRE(loaded.config);
        REQUIRE(server.start());
        sender.queues = {{.name = "google/tx-1", .site = "google", .virtual_mta = "tx-1", .ready = 5, .connections = 1},
                         {.name = "yahoo/tx-1", .site = "yahoo", .virtual_mta = "tx-1", .ready = 50, .paused = true},
                         {.name = "google/b", .site = "google", .virtual_mta = "b", .waiting = 6}};
    }
    Result<std::string> call(const std::string& command, const runtime::ControlArguments& arguments = {}) {
        return runtime::call_control(path, command, arguments);
    }
    std::string error_of(const std::string& command, const runtime::ControlArguments& arguments = {}) {
        const auto answer = call(command, arguments);
        return answer ? "" : answer.error().text;
    }
};

// The names of the queues in an answer, in its order.
std::string names_in(const std::string& json) {
    std::string names;
    for (std::size_t at = json.find("\"name\":\""); at != std::string::npos; at = json.find("\"name\":\"", at + 1)) {
        names += json.substr(at + 8, json.find('"', at + 8) - at - 8) + " ";
    }
    return names;
}

}  // namespace

TEST_CASE("status is what the sender says and more") {
    Fixture f;
    CHECK(*f.call("status") == "{\"queued\":7}");
}

TEST_CASE("queues can be matched, sorted and limited") {
    Fixture f;
    CHECK(names_in(*f.call("queues")) == "google/b google/tx-1 yahoo/tx-1 ");
    CHECK(names_in(*f.call("queues", {{"sort", "queued"}})) == "yahoo/tx-1 google/b google/tx-1 ");
    CHECK(names_in(*f.call("queues", {{"match", "google"}})) == "google/b google/tx-1 ");
    CHECK(names_in(*f.call("queues", {{"match", "*/tx-1"}})) == "google/tx-1 yahoo/tx-1 ");
    CHECK(names_in(*f.call("queues", {{"match", "g*e/*"}})) == "google/b google/tx-1 ");
    CHECK(names_in(*f.call("queues", {{"only", "paused"}})) == "yahoo/tx-1 ");
    CHECK(names_in(*f.call("queues", {{"only", "connected"}})) == "google/tx-1 ");
    const std::string limited = *f.call("queues", {{"limit", "1"}, {"sort", "queued"}});
    CHECK(names_in(limited) == "yahoo/tx-1 ");
    CHECK_THAT(limited, Contains("\"total\":3"));
}

TEST_CASE("virtual MTAs come by name") {
    Fixture f;
    CHECK(names_in(*f.call("vmtas")) == "a b ");
}

TEST_CASE("settings say value and origin; unknown virtual MTAs are named") {
    Fixture f;
    const auto answer = f.call("settings", {{"queue", "google/tx-1"}});
    REQUIRE(answer);
    CHECK_THAT(*answer, Contains(R"("key":"max_connections","value":"10","default":false,"origin":")"));
    CHECK_THAT(*answer, Contains("site: google"));
    CHECK_THAT(f.error_of("settings", {{"queue", "google/none"}}), Contains("'none'") && Contains("tx-1"));
    CHECK_THAT(f.error_of("settings", {{"queue", "google"}}), Contains("SITE/VMTA"));
}

TEST_CASE("orders carry who gave them, why, and how long they last") {
    Fixture f;
    const std::string paused = *f.call("pause", {{"queue", "google/*"}, {"why", "blocked"}, {"for", "2h"}});
    CHECK_THAT(paused, Contains(R"("order":1,"action":"pause","mail":"queue google/*")") &&
                           Contains(R"("state":"in force")") && Contains(R"("count":{"recipients":3)"));
    CHECK(f.sender.asked.queue == "google/*");
    CHECK(f.sender.why == "blocked");
    CHECK_FALSE(f.sender.who.empty());
    REQUIRE(f.sender.given[0].expires_at);
    CHECK(*f.call("retry", {{"domain", "EXAMPLE.org"}, {"job", "c42"}}) ==
          R"({"count":{"recipients":3,"tasks":2,"queues":1}})");
    CHECK(f.sender.asked.domain == "example.org");
    CHECK(f.sender.asked.job == "c42");
    CHECK_THAT(*f.call("delete", {{"message", "019aa9c1-0fd9-7abc-8def-0123456789ab"}}), Contains(R"("at work")"));
    CHECK(f.sender.asked.message);
    CHECK_THAT(*f.call("move", {{"mail_from", "*@A.test"}, {"older_than", "2h"}, {"text", "b"}}),
               Contains(R"("to":"b")"));
    CHECK(f.sender.asked.reverse_path == "*@a.test");
    CHECK(f.sender.asked.accepted_before);
    CHECK(f.error_of("resume", {{"everything", "yes"}}) == "no such queue");
    CHECK_THAT(f.error_of("pause", {{"everything", "yes"}, {"for", "soon"}}), Contains("for example 2h"));
    CHECK_THAT(f.error_of("delete", {{"everything", "yes"}, {"older_than", "old"}}), Contains("for example 90m"));
}

TEST_CASE("a dry run counts and gives nothing") {
    Fixture f;
    CHECK(*f.call("delete", {{"everything", "yes"}, {"dry_run", "yes"}}) ==
          R"({"count":{"recipients":3,"tasks":2,"queues":1}})");
    CHECK(f.sender.given.empty());
}

TEST_CASE("suppressions are addresses and domains, one per line, and are ended by them") {
    Fixture f;
    REQUIRE(f.call("suppress", {{"addresses",
                                 "Ann@EXAMPLE.org\n@b\xc3\xbc"
                                 "cher.test\n\n"},
                                {"tenant", "acme"}}));
    REQUIRE(f.sender.given.size() == 2);
    CHECK(f.sender.given[0].which == MailSelector{.tenant = "acme", .recipient = "ann@example.org"});
    CHECK(f.sender.given[1].which == MailSelector{.domain = "xn--bcher-kva.test", .tenant = "acme"});
    CHECK_THAT(f.error_of("unsuppress", {{"addresses", "ann@example.org"}}),
               Contains("not suppressed for all tenants"));
    REQUIRE(f.call("unsuppress", {{"addresses", "ann@example.org"}, {"tenant", "acme"}}));
    CHECK(f.sender.withdrawn == std::vector{OrderId{1}});
    CHECK_THAT(f.error_of("suppress", {{"addresses", "not an address"}}), Contains("'not an address'"));
    CHECK_THAT(f.error_of("suppress", {{"addresses", " "}}), Contains("name an address"));
}

TEST_CASE("orders are withdrawn by number") {
    Fixture f;
    REQUIRE(f.call("withdraw", {{"orders", "3 17"}}));
    CHECK(f.sender.withdrawn == std::vector{OrderId{3}, OrderId{17}});
    CHECK_THAT(f.error_of("withdraw", {{"orders", "3 x"}}), Contains("'x' is no order"));
    CHECK_THAT(f.error_of("orders", {{"action", "explode"}}), Contains("pause, suppress, delete, bounce or move"));
}

TEST_CASE("an order without a selection touches nothing") {
    Fixture f;
    const std::string command =
        GENERATE(as<std::string>(), "pause", "resume", "retry", "delete", "bounce", "move", "list");
    CHECK_THAT(f.error_of(command), Contains("say which mail"));
    CHECK_THAT(f.error_of(command, {{"everything", "maybe"}}), Contains("say which mail"));
    CHECK_THAT(f.error_of(command, {{"queue", "google"}}), Contains("SITE/VMTA"));
    CHECK_THAT(f.error_of(command, {{"message", "x"}}), Contains("message id"));
    CHECK_THAT(f.error_of(command, {{"quuee", "a/b"}}), Contains("does not take 'quuee'"));
}

TEST_CASE("a trace is begun, and read until it is over") {
    Fixture f;
    CHECK(*f.call("trace", {{"queue", "google/*"}, {"sessions", "3"}, {"content", "yes"}}) == R"({"trace":9})");
    CHECK(f.sender.traced.sessions == 3);
    CHECK(f.sender.traced.with_content);
    const std::string part = *f.call("trace-read", {{"trace", "9"}});
    CHECK_THAT(part, Contains(R"("over":true)") && Contains(R"("direction":"sent","text":"EHLO \"me\"")"));
    CHECK_THAT(f.error_of("trace-read", {{"trace", "x"}}), Contains("its number"));
}

TEST_CASE("a listing is bounded and says when there is more") {
    Fixture f;
    f.sender.tasks.resize(3);
    for (QueuedTask& task : f.sender.tasks) task.message = std::make_shared<const Message>();
    const auto answer = f.call("list", {{"everything", "yes"}, {"limit", "2"}});
    REQUIRE(answer);
    CHECK(f.sender.limit == 3);
    CHECK_THAT(*answer, Contains("\"more\":true"));
    CHECK_THAT(f.error_of("list", {{"everything", "yes"}, {"limit", "0"}}), Contains("limit must be 1"));
    CHECK_THAT(f.error_of("list", {{"everything", "yes"}, {"limit", "1x"}}), Contains("limit must be 1"));
}

TEST_CASE("a refused reload and an unknown command come back as they are") {
    Fixture f;
    CHECK(f.error_of("reload") == "a.yaml:1:1: x: wrong");
    CHECK_THAT(f.error_of("explode"), Contains("'explode'"));
}

TEST_CASE("where a domain's mail goes, and the providers that are known") {
    Fixture f;
    f.resolver.set_mx("customer.test", {"10 aspmx.l.google.com 8.8.8.8"});
    CHECK_THAT(*f.call("resolve", {{"domain", "a@customer.test"}}), Contains(R"("site":"google")"));
    CHECK_THAT(f.error_of("resolve", {{"domain", "-"}}), Contains("-"));
    CHECK_THAT(*f.call("providers"), Contains(R"({"name":"google","what":"*.google.com","origin":)"));
    CHECK_THAT(*f.call("providers"), Contains(R"({"name":"yahoo","what":"*.yahoodns.net"})"));
}
