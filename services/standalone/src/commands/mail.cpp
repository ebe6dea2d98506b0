#include "../cli/terminal.hpp"
#include "commands.hpp"
#include "postfleet/standalone/views.hpp"

namespace postfleet::standalone {
namespace {

struct Selection {
    runtime::ControlArguments arguments;
    bool everything = false;
    std::string limit, why;
};

// The arguments are filled by CLI11 one by one; empty ones are not sent.
runtime::ControlArguments given(const Selection& selection) {
    runtime::ControlArguments all;
    for (const auto& [name, value] : selection.arguments) {
        if (!value.empty()) all.emplace(name, value);
    }
    if (selection.everything) all.emplace("everything", "yes");
    if (!selection.limit.empty()) all.emplace("limit", selection.limit);
    if (!selection.why.empty()) all.emplace("why", selection.why);
    return all;
}

// What a command can tell apart: whole queues, single mails by their index, or by their stored recipients too.
enum class Reach { Queues, Mail, Recipients };

void add_selection(CLI::App& command, Selection& selection, Reach reach) {
    const auto add = [&](const char* option, const char* name, const char* help, const char* type) {
        command.add_option(option, selection.arguments[name], help)->type_name(type)->group("Which mail");
    };
    add("QUEUE", "queue", "SITE/VMTA as `show queues` names it; each side may be *", "");
    add("--vmta", "virtual_mta", "Mail of this virtual MTA", "NAME");
    add("--site", "site", "Mail to this site", "NAME");
    if (reach == Reach::Queues) return;
    add("--domain", "domain", "Mail to recipients at this domain", "NAME");
    add("--tenant", "tenant", "Mail of this tenant", "NAME");
    add("--job", "job", "Mail of this job", "NAME");
    add("--message", "message", "One message", "ID");
    if (reach == Reach::Recipients) add("--recipient", "recipient", "Mail to this address", "ADDRESS");
}

void order(Context& context, const Selection& selection, const std::string& command, const std::string& verb) {
    const Result<std::string> answer = context.call(command, given(selection));
    if (!answer) return context.fail(answer.error());
    if (context.json) return print(*answer + "\n");
    const Result<std::string> text = view_affected(*answer, verb);
    return text ? print(*text) : context.fail(text.error());
}

void list(Context& context, Selection selection) {
    // Looking at everything needs no permission; only orders do.
    runtime::ControlArguments arguments = given(selection);
    if (arguments.empty() || (arguments.size() == 1 && arguments.contains("limit"))) arguments["everything"] = "yes";
    const Result<std::string> answer = context.call("list", arguments);
    if (!answer) return context.fail(answer.error());
    if (context.json) return print(*answer + "\n");
    const Result<std::string> text = view_tasks(*answer, output_style(), wall_clock_now());
    return text ? print(*text) : context.fail(text.error());
}

struct Order {
    const char* name;
    const char* about;
    const char* verb;
    const char* all;
    Reach reach;
    bool takes_reason;
};

constexpr Order kOrders[] = {
    {"pause", "Stop delivery of queues, future ones too, until `resume`; survives a restart", "Paused",
     "Every queue, also those to come", Reach::Queues, true},
    {"resume", "Let paused queues deliver again", "Resumed", "Every queue", Reach::Queues, false},
    {"retry", "Make waiting mail due now", "Made due:", "All mail", Reach::Mail, false},
    {"delete", "Remove mail without a bounce; each recipient gets a cancelled event", "Deleted", "All mail",
     Reach::Mail, true},
};

void add_set_mode(CLI::App& app, Context& context) {
    auto selection = std::make_shared<Selection>();
    CLI::App* command = app.add_subcommand(
        "set-mode", "Put queues into backoff (their careful rules), or back to normal; survives a restart");
    add_selection(*command, *selection, Reach::Queues);
    command->add_option("MODE", selection->arguments["mode"], "backoff or normal")
        ->type_name("")
        ->required()
        ->check(CLI::IsMember({"backoff", "normal"}));
    command->add_flag("--all", selection->everything, "Every queue")->group("Which mail");
    command->add_option("--reason", selection->why, "Why; shown with the queue and in events")->type_name("TEXT");
    add_connection_options(*command, context);
    command->group("Orders")->callback([&context, selection] {
        order(context, *selection, "set-mode", "Set to " + selection->arguments["mode"] + ":");
    });
}

}  // namespace

void register_mail_commands(CLI::App& app, Context& context) {
    // shared_ptr because CLI11 keeps the callbacks as long as the App.
    auto listed = std::make_shared<Selection>();
    CLI::App* look = app.add_subcommand("list", "The mail in the queues, recipient by recipient");
    add_selection(*look, *listed, Reach::Recipients);
    look->add_option("--limit", listed->limit, "At most N tasks (100)")->type_name("N");
    add_connection_options(*look, context);
    look->group("Look")->callback([&context, listed] { list(context, *listed); });

    for (const Order& each : kOrders) {
        auto selection = std::make_shared<Selection>();
        CLI::App* command = app.add_subcommand(each.name, each.about);
        add_selection(*command, *selection, each.reach);
        command->add_flag("--all", selection->everything, each.all)->group("Which mail");
        if (each.takes_reason) {
            command->add_option("--reason", selection->why, "Why; shown with the queue and in events")
                ->type_name("TEXT");
        }
        add_connection_options(*command, context);
        command->group("Orders")->callback(
            [&context, selection, &each] { order(context, *selection, each.name, each.verb); });
    }
    add_set_mode(app, context);
}

}  // namespace postfleet::standalone
