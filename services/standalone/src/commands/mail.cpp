#include "../cli/terminal.hpp"
#include "commands.hpp"
#include "postfleet/standalone/views.hpp"
#include "selection.hpp"

namespace postfleet::standalone {
namespace {

struct Listing {
    Selection selection;
    std::string limit, action;
};

void list_orders(Context& context, const Listing& listing) {
    runtime::ControlArguments arguments;
    if (!listing.limit.empty()) arguments["limit"] = listing.limit;
    if (!listing.action.empty()) arguments["action"] = listing.action;
    const Result<std::string> answer = context.call("orders", arguments);
    if (!answer) return context.fail(answer.error());
    if (context.json) return print(*answer + "\n");
    const Result<std::string> text = view_orders(*answer, output_style(), wall_clock_now());
    return text ? print(*text) : context.fail(text.error());
}

void list(Context& context, const Listing& listing) {
    runtime::ControlArguments arguments = listing.selection.given();
    if (arguments["queue"] == "orders") return list_orders(context, listing);
    if (arguments["queue"].empty()) arguments.erase("queue");
    if (!listing.action.empty()) {
        return context.fail({ErrorKind::InvalidArgument, "--action belongs to `postfleet list orders`"});
    }
    // Looking at everything needs no permission; only orders do.
    if (arguments.empty()) arguments["everything"] = "yes";
    if (!listing.limit.empty()) arguments["limit"] = listing.limit;
    const Result<std::string> answer = context.call("list", arguments);
    if (!answer) return context.fail(answer.error());
    if (context.json) return print(*answer + "\n");
    const Result<std::string> text = view_tasks(*answer, output_style(), wall_clock_now());
    return text ? print(*text) : context.fail(text.error());
}

void set_mode(Context& context, const Selection& selection, const std::string& mode, const std::string& why) {
    runtime::ControlArguments arguments = selection.given();
    arguments["mode"] = mode;
    if (!why.empty()) arguments["why"] = why;
    const Result<std::string> answer = context.call("set-mode", arguments);
    if (!answer) return context.fail(answer.error());
    if (context.json) return print(*answer + "\n");
    const Result<std::string> text = view_affected(*answer, "Set to " + mode + ":");
    return text ? print(*text) : context.fail(text.error());
}

void add_set_mode(CLI::App& app, Context& context) {
    struct Options {
        Selection selection;
        std::string mode, why;
    };
    auto options = std::make_shared<Options>();
    CLI::App* command = app.add_subcommand(
        "set-mode", "Put queues into backoff (their careful rules), or back to normal; survives a restart");
    add_selection(*command, options->selection, Reach::Queues, "Every queue");
    command->add_option("MODE", options->mode, "backoff or normal")
        ->type_name("")
        ->required()
        ->check(CLI::IsMember({"backoff", "normal"}));
    add_why(*command, options->why, "Why; shown with the queue and in events");
    add_connection_options(*command, context);
    command->group("Orders")->callback(
        [&context, options] { set_mode(context, options->selection, options->mode, options->why); });
}

}  // namespace

void register_mail_commands(CLI::App& app, Context& context) {
    // shared_ptr because CLI11 keeps the callbacks as long as the App.
    auto listing = std::make_shared<Listing>();
    CLI::App* look = app.add_subcommand(
        "list",
        "The mail in the queues, recipient by recipient; `list orders`: the orders in force, and those of late");
    add_selection(*look, listing->selection, Reach::Mail, nullptr);
    look->add_option("--limit", listing->limit, "At most N tasks or orders (100)")->type_name("N");
    look->add_option("--action", listing->action, "Only orders of this kind: pause, suppress, delete, bounce, move")
        ->type_name("KIND");
    add_connection_options(*look, context);
    look->group("Look")->callback([&context, listing] { list(context, *listing); });
    register_order_commands(app, context);
    add_set_mode(app, context);
}

}  // namespace postfleet::standalone
