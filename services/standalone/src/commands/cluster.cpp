#include <boost/json.hpp>

#include "postfleet/control/json_view.hpp"
#include "../cli/terminal.hpp"
#include "commands.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/standalone/table.hpp"

namespace postfleet::standalone {

using control::JsonView;
using control::parse_answer;
namespace {

struct Options {
    std::string sender, spool, epoch;
};

Result<std::string> view_senders(const std::string& answer, const Style& style) {
    const Result<boost::json::value> document = parse_answer(answer);
    if (!document) return document.error();
    using Align = Table::Align;
    Table table({{"SENDER", Align::Left, 100, true},
                 {"EPOCH", Align::Right, 50},
                 {"SPOOL", Align::Left, 90, true},
                 {"AT", Align::Left, 80, true},
                 {"SINCE", Align::Left, 70},
                 {"REFUSED LAST", Align::Left, 60, true}});
    for (const boost::json::value& value : JsonView(*document).array("senders")) {
        const JsonView sender(value);
        const JsonView waiting = sender.object("waiting");
        const bool is_free = sender.text("spool").empty();
        const std::string refused =
            waiting.text("spool").empty() ? "" : waiting.text("spool") + " at " + waiting.text("holder");
        table.add_row(
            {{printable(sender.text("sender"))},
             {std::to_string(sender.count("epoch"))},
             {is_free ? (sender.count("epoch") == 0 ? "(never started)" : "(free)") : printable(sender.text("spool"))},
             {printable(sender.text("holder"))},
             {sender.text("since")},
             {printable(refused), Tone::Warning}});
    }
    return table.rows() == 0 ? std::string("No sender has claimed a name.\n") : table.render(style);
}

void show_senders(Context& context) {
    const Result<std::string> answer = context.call("senders");
    if (!answer) return context.fail(answer.error());
    if (context.json) return print(*answer + "\n");
    const Result<std::string> text = view_senders(*answer, output_style());
    return text ? print(*text) : context.fail(text.error());
}

void take_over(Context& context, const Options& options) {
    runtime::ControlArguments arguments{{"sender", options.sender}};
    if (!options.spool.empty()) arguments["spool"] = options.spool;
    const Result<std::string> answer = context.call("takeover", arguments);
    if (!answer) return context.fail(answer.error());
    if (context.json) return print(*answer + "\n");
    const Result<boost::json::value> grant = parse_answer(*answer);
    if (!grant) return context.fail(grant.error());
    const JsonView view(*grant);
    print(printable(options.sender) + " belongs to the spool " + printable(view.text("spool")) + " now (epoch " +
          std::to_string(view.count("epoch")) + "). Its former owner stops delivering when it asks next.\n");
}

void release(Context& context, const Options& options) {
    const Result<std::string> answer = context.call("release", {{"sender", options.sender}, {"epoch", options.epoch}});
    if (!answer) return context.fail(answer.error());
    print(context.json ? *answer + "\n" : printable(options.sender) + " is free.\n");
}

}  // namespace

void register_cluster_commands(CLI::App& app, Context& context) {
    // shared_ptr because CLI11 keeps the callbacks as long as the App.
    auto options = std::make_shared<Options>();
    CLI::App* takeover = app.add_subcommand("takeover", "Give a sender's name to another spool (at a router)");
    takeover->group("Cluster");
    takeover->add_option("SENDER", options->sender, "The sender's name")->required()->type_name("");
    takeover->add_option("--spool", options->spool, "The spool that gets it; without it: the one that was refused last")
        ->type_name("ID");
    add_connection_options(*takeover, context);
    takeover->callback([&context, options] { take_over(context, *options); });

    CLI::App* free = app.add_subcommand("release", "Make a sender's name free (at a router)");
    free->group("Cluster");
    free->add_option("SENDER", options->sender, "The sender's name")->required()->type_name("");
    free->add_option("--epoch", options->epoch, "Of the grant, as `postfleet show senders` has it")
        ->required()
        ->type_name("N");
    add_connection_options(*free, context);
    free->callback([&context, options] { release(context, *options); });

    CLI::App* senders =
        app.get_subcommand("show")->add_subcommand("senders", "Whose each sender's name is (at a router)");
    add_connection_options(*senders, context);
    senders->callback([&context] { show_senders(context); });
}

}  // namespace postfleet::standalone
