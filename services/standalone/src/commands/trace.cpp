// postfleet trace QUEUE: one live dialogue with a mail server, line by line; postfleet trace ID: the way of a message.

#include <boost/json.hpp>
#include <cstdio>
#include <thread>

#include "postfleet/control/json_view.hpp"
#include "../cli/terminal.hpp"
#include "commands.hpp"
#include "postfleet/base/id.hpp"
#include "postfleet/standalone/views.hpp"

namespace postfleet::standalone {

using control::JsonView;
using control::parse_answer;
namespace {

constexpr auto kPollEvery = std::chrono::milliseconds(100);

struct Options {
    std::string queue;
    std::uint32_t sessions = 1;
    bool content = false;
};

void trace(Context& context, const Options& options) {
    runtime::ControlArguments arguments{{"queue", options.queue}, {"sessions", std::to_string(options.sessions)}};
    if (options.content) arguments["content"] = "yes";
    const Result<std::string> begun = context.call("trace", arguments);
    if (!begun) return context.fail(begun.error());
    const Result<boost::json::value> document = parse_answer(*begun);
    if (!document) return context.fail(document.error());
    const std::string number = std::to_string(JsonView(*document).count("trace"));
    std::fprintf(stderr, "Waiting for the next dialogue of %s; Ctrl-C ends it.\n", options.queue.c_str());
    for (;;) {
        const Result<std::string> answer = context.call("trace-read", {{"trace", number}});
        if (!answer) return context.fail(answer.error());
        const Result<boost::json::value> part = parse_answer(*answer);
        if (!part) return context.fail(part.error());
        const JsonView view(*part);
        if (context.json) {
            for (const boost::json::value& line : view.array("lines")) print(boost::json::serialize(line) + "\n");
        } else {
            const Result<std::string> text = view_trace(*answer, output_style());
            if (!text) return context.fail(text.error());
            print(*text);
        }
        if (view.flag("over")) return;
        std::this_thread::sleep_for(kPollEvery);
    }
}

}  // namespace

void register_trace_command(CLI::App& app, Context& context) {
    auto options = std::make_shared<Options>();
    CLI::App* command =
        app.add_subcommand("trace",
                           "The next dialogue of a queue with a mail server, live (passwords are masked); or "
                           "the way of one message, as `show message`");
    command
        ->add_option("QUEUE|ID", options->queue,
                     "SITE/VMTA as `show queues` names it, each side may have *; or a message's id")
        ->type_name("")
        ->required();
    command->add_option("--sessions", options->sessions, "End after so many connections (1)")
        ->type_name("N")
        ->check(CLI::Range(1, 1000));
    command->add_flag("--content", options->content, "Show the messages, too, not only their size");
    add_connection_options(*command, context);
    command->group("Look")->callback([&context, options] {
        if (MessageId::parse(options->queue)) return show_message(context, options->queue);
        trace(context, *options);
    });
}

}  // namespace postfleet::standalone
