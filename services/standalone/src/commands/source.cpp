#include "../cli/terminal.hpp"
#include "commands.hpp"
#include "postfleet/standalone/views.hpp"

namespace postfleet::standalone {
namespace {

struct Options {
    std::string source, virtual_mta, site, duration, why;

    runtime::ControlArguments arguments() const {
        runtime::ControlArguments all{{"source", source}};
        if (!virtual_mta.empty()) all["virtual_mta"] = virtual_mta;
        if (!site.empty()) all["site"] = site;
        if (!duration.empty()) all["for"] = duration;
        if (!why.empty()) all["why"] = why;
        return all;
    }
};

void order(Context& context, const Options& options, const std::string& command, const std::string& verb) {
    const Result<std::string> answer = context.call(command, options.arguments());
    if (!answer) return context.fail(answer.error());
    if (context.json) return print(*answer + "\n");
    const Result<std::string> text = view_affected(*answer, verb + " " + options.source + " of");
    return text ? print(*text) : context.fail(text.error());
}

void add_selection(CLI::App& command, Options& options) {
    command.add_option("ADDRESS", options.source, "The source address")->required()->type_name("");
    command.add_option("--vmta", options.virtual_mta, "Of this virtual MTA only")->type_name("NAME");
    command.add_option("--site", options.site, "At this site only")->type_name("NAME");
}

}  // namespace

void register_source_commands(CLI::App& app, Context& context) {
    // shared_ptr because CLI11 keeps the callbacks as long as the App.
    auto disabled = std::make_shared<Options>();
    CLI::App* disable = app.add_subcommand("disable", "Stop using a source address");
    disable->group("Orders")->require_subcommand(1);
    CLI::App* disable_source = disable->add_subcommand(
        "source", "No mail leaves from this address any more; survives a restart. Mail without another one waits");
    add_selection(*disable_source, *disabled);
    disable_source->add_option("--for", disabled->duration, "Enable it again after this long, such as 2h")
        ->type_name("TIME");
    add_why(*disable_source, disabled->why, "Why; shown by `show vmtas` and in events");
    add_connection_options(*disable_source, context);
    disable_source->callback([&context, disabled] { order(context, *disabled, "disable-source", "Disabled"); });

    auto enabled = std::make_shared<Options>();
    CLI::App* enable = app.add_subcommand("enable", "Use a source address again");
    enable->group("Orders")->require_subcommand(1);
    CLI::App* enable_source = enable->add_subcommand("source", "Whoever disabled it, an operator or a reply pattern");
    add_selection(*enable_source, *enabled);
    add_connection_options(*enable_source, context);
    enable_source->callback([&context, enabled] { order(context, *enabled, "enable-source", "Enabled"); });
}

}  // namespace postfleet::standalone
