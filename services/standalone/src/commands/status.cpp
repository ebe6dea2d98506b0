#include "../cli/terminal.hpp"
#include "commands.hpp"
#include "postfleet/base/json.hpp"
#include "postfleet/runtime/build_info.hpp"
#include "postfleet/standalone/views.hpp"

namespace postfleet::standalone {
namespace {

void show_status(Context& context) {
    const Result<std::string> answer = context.call("status");
    if (!answer) return context.fail(answer.error());
    if (context.json) return print(*answer + "\n");
    const Result<std::string> text = view_status(*answer, output_style());
    return text ? print(*text) : context.fail(text.error());
}

void reload(Context& context) {
    const Result<std::string> answer = context.call("reload", {}, std::chrono::minutes(2));
    if (!answer) return context.fail(answer.error());
    if (context.json) return print(*answer + "\n");
    const Result<std::string> text = view_reload(*answer);
    return text ? print(*text) : context.fail(text.error());
}

}  // namespace

void register_status_commands(CLI::App& app, Context& context) {
    CLI::App* status = app.add_subcommand("status", "What the running server does, on one page");
    add_connection_options(*status, context);
    status->group("Look")->callback([&context] { show_status(context); });

    CLI::App* again = app.add_subcommand("reload", "Read the configuration again; on any error the old one stays");
    add_connection_options(*again, context);
    again->group("Configuration")->callback([&context] { reload(context); });
}

void register_version_command(CLI::App& app, Context& context) {
    CLI::App* version = app.add_subcommand("version", "Which Postfleet this is");
    version->add_flag("--json", context.json, "Write JSON for programs instead of text for people");
    version->group("Look")->callback([&context] {
        const runtime::BuildInfo& build = runtime::build_info();
        if (!context.json) return print(build.to_string() + "\n");
        std::string text;
        JsonWriter json(text);
        json.begin_object().member("version", build.version).member("commit", build.commit);
        json.member("build_type", build.build_type).member("compiler", build.compiler).end_object();
        print(text + "\n");
    });
}

}  // namespace postfleet::standalone
