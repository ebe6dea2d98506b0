// Operators' commands: from the command line to processes of the cluster, which the routers name.
#include <catch2/catch.hpp>

#include <atomic>
#include <thread>

#include "postfleet/net/loop_group.hpp"
#include "postfleet/rpc/command_client.hpp"
#include "postfleet/rpc/command_server.hpp"
#include "postfleet/rpc/router_link.hpp"
#include "postfleet/rpc/router_server.hpp"
#include "postfleet/sqlite/state_store.hpp"
#include "postfleet/support/await.hpp"
#include "postfleet/support/temporary_directory.hpp"

using namespace postfleet;
using namespace postfleet::rpc;

namespace {

std::unique_ptr<CommandServer> serve(CommandService service, CommandHandler handler) {
    return CommandServer::start(
               {.address = "127.0.0.1:0", .tls = {}, .service = service, .handler = std::move(handler), .log = {}})
        .value();
}

std::string address_of(int port) { return "127.0.0.1:" + std::to_string(port); }

}  // namespace

TEST_CASE("a command reaches each process with its arguments and who gave it, and each answers for itself") {
    const auto sender = serve(CommandService::SenderControl, [](const OperatorCommand& command) -> Result<std::string> {
        if (command.command != "queues") return Error{ErrorKind::NotFound, "no such thing"};
        return "\"" + command.arguments.at("match") + " for " + command.who + "\"";
    });
    const auto feedback =
        serve(CommandService::FeedbackQuery, [](const OperatorCommand&) -> Result<std::string> { return std::string("[7]"); });
    const std::vector<Member> members{{"sender", "s0", address_of(sender->port())},
                                      {"feedback", "f0", address_of(feedback->port())}};
    const auto answers = run_commands(members, {"queues", {{"match", "google"}}, "root"}, {}, support::kPatience);
    REQUIRE(answers.size() == 2);
    CHECK(answers[0].value() == "\"google for root\"");
    CHECK(answers[1].value() == "[7]");
    const auto refused = run_commands({members[0]}, {"nonsense", {}, ""}, {}, support::kPatience);
    CHECK(refused[0].error().kind == ErrorKind::NotFound);
    CHECK(refused[0].error().text == "no such thing");
}

TEST_CASE("a process that is away holds up nobody else's answer") {
    const auto sender =
        serve(CommandService::SenderControl, [](const OperatorCommand&) -> Result<std::string> { return std::string("1"); });
    const int gone = [] {
        const auto ended =
            serve(CommandService::SenderControl, [](const OperatorCommand&) -> Result<std::string> { return std::string("1"); });
        return ended->port();
    }();
    const auto answers =
        run_commands({{"sender", "s0", address_of(gone)}, {"sender", "s1", address_of(sender->port())}},
                     {"status", {}, ""}, {}, support::kPatience);
    CHECK(answers[0].error().kind == ErrorKind::Unavailable);
    CHECK(answers[1].value() == "1");
}

TEST_CASE("an answer that does not come is given up at the deadline") {
    std::atomic<bool> go_on{false};
    const auto sender = serve(CommandService::SenderControl, [&](const OperatorCommand&) -> Result<std::string> {
        while (!go_on) std::this_thread::sleep_for(std::chrono::milliseconds(5));
        return std::string("1");
    });
    const auto answers = run_commands({{"sender", "s0", address_of(sender->port())}}, {"status", {}, ""}, {},
                                      std::chrono::milliseconds(200));
    CHECK(answers[0].error().kind == ErrorKind::DeadlineExceeded);
    go_on = true;
}

TEST_CASE("a command with too many arguments is refused [SEC-22]") {
    const auto sender =
        serve(CommandService::SenderControl, [](const OperatorCommand&) -> Result<std::string> { return std::string("1"); });
    OperatorCommand command{.command = "status", .arguments = {}, .who = ""};
    for (int i = 0; i < 100; ++i) command.arguments["a" + std::to_string(i)] = "b";
    const auto answers = run_commands({{"sender", "s0", address_of(sender->port())}}, command, {}, support::kPatience);
    CHECK(answers[0].error().kind == ErrorKind::InvalidArgument);
}

TEST_CASE("a process that has announced itself is known to every router that it has") {
    support::TemporaryDirectory directory;
    Metrics metrics;
    auto loops = net::LoopGroup::create(1).value();
    loops->start();
    auto store = sqlite::open_state_store(directory.file("state.db")).value();
    const auto router = [&] {
        return RouterServer::start({.address = "127.0.0.1:0",
                                    .tls = {},
                                    .store = *store,
                                    .executor = (*loops)[0],
                                    .metrics = metrics,
                                    .log = {}})
            .value();
    };
    const auto first = router(), second = router();
    const std::vector<std::string> routers{address_of(first->port()), address_of(second->port())};
    auto link = RouterLink::open({.addresses = routers,
                                  .tls = {},
                                  .service = "sender",
                                  .name = "s0",
                                  .directory = directory.file("link"),
                                  .executor = (*loops)[0],
                                  .metrics = metrics,
                                  .log = {}})
                    .value();
    link->announce("mta1.test:7401");
    for (const std::string& one : routers) {
        const SteadyTime until = steady_clock_now() + support::kPatience;
        std::vector<Member> known;
        while (known.empty() && steady_clock_now() < until) {
            const auto view = view_cluster({one}, {}, support::kPatience);
            REQUIRE(view);
            known = view->members;
        }
        CHECK(known == std::vector<Member>{{"sender", "s0", "mta1.test:7401"}});
    }
    // One router that is away does not matter.
    CHECK(view_cluster({address_of(1), routers[1]}, {}, support::kPatience)->members.size() == 1);
}
