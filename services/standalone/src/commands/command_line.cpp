#include "postfleet/standalone/command_line.hpp"

#include "commands.hpp"
#include "postfleet/runtime/build_info.hpp"

namespace postfleet::standalone {
namespace {

constexpr const char* kAbout =
    "Postfleet: an e-mail delivery server for people who send a lot of mail.\n"
    "\n"
    "  postfleet config check DIR            is this configuration right?\n"
    "  postfleet standalone --config DIR     run the server\n"
    "  postfleet status | top                what is it doing?\n"
    "  postfleet show queues                 what is waiting, and why?\n";

constexpr const char* kFooter =
    "`postfleet COMMAND --help` explains a command. The commands that talk to a running server find it by\n"
    "--socket or --config (or POSTFLEET_SOCKET, POSTFLEET_CONFIG), else by /etc/postfleet.\n"
    "In a cluster --router (or POSTFLEET_ROUTER) asks all senders at once.\n"
    "Exit codes: 0 done, 1 failed, 2 wrong command line.";

// Where the reader of an error message finds help: the innermost command that was named.
std::string help_of(const CLI::App& app) {
    const CLI::App* innermost = &app;
    std::string path = app.get_name();
    while (!innermost->get_subcommands().empty()) {
        innermost = innermost->get_subcommands().front();
        path += " " + innermost->get_name();
    }
    return path + " --help";
}

}  // namespace

int run_command_line(int argc, char** argv, const MoreCommands& more) {
    CLI::App app(kAbout, "postfleet");
    app.require_subcommand(1);
    app.set_version_flag("--version", runtime::build_info().to_string());
    app.get_formatter()->column_width(28);
    Context context;
    if (more.first) more.first(app, context.exit_code);
    register_status_commands(app, context);
    register_top_command(app, context);
    register_show_commands(app, context);
    register_resolve_command(app, context);
    register_mail_commands(app, context);
    register_trace_command(app, context);
    register_source_commands(app, context);
    register_cluster_commands(app, context);
    register_suppressions_command(app, context);
    register_config_commands(app, context);
    register_classify_command(app, context);
    register_dkim_commands(app, context);
    register_hash_password_command(app, context);
    register_version_command(app, context);
    if (more.last) more.last(app, context.exit_code);
    for (CLI::App* command : app.get_subcommands({})) {
        if (command->get_group() == "Subcommands") command->group("Test tools");
    }
    app.footer(kFooter);  // last: sub-commands copy what is there when they are added
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
        const bool is_before = argc > 2 && argv[1][0] == '-' && !app.get_subcommands().empty();
        std::fprintf(stderr, "postfleet: %s%s; see `%s`\n", is_before ? "options stand behind the command: " : "",
                     error.what(), help_of(app).c_str());
        return 2;
    }
    return context.exit_code;
}

}  // namespace postfleet::standalone
