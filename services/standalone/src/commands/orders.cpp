// pause, resume, retry, bounce, move, delete, suppress, unsuppress, withdraw: orders about mail (docs/ORDERS.md).

#include <boost/json.hpp>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <memory>
#include <thread>

#include "postfleet/control/json_view.hpp"
#include "../cli/terminal.hpp"
#include "commands.hpp"
#include "postfleet/standalone/views.hpp"
#include "selection.hpp"

namespace postfleet::standalone {
namespace {

constexpr auto kPollEvery = std::chrono::milliseconds(200);
constexpr Duration kCountTimeout = std::chrono::minutes(10);  // mail that has to be read
constexpr std::size_t kAddressesAtOnce = 500;                 // in one request

struct Options {
    Selection selection;
    std::string why, lasts, text;
    bool dry_run = false, no_wait = false;
};

void show(Context& context, const Result<std::string>& answer, const Result<std::string>& text) {
    if (!answer) return context.fail(answer.error());
    if (context.json) return print(*answer + "\n");
    return text ? print(*text) : context.fail(text.error());
}

// Until the order is finished; shows on a terminal how far it is.
Result<std::string> follow(const Context& context, const std::string& number) {
    const bool is_watched = !context.json && ::isatty(STDERR_FILENO) != 0;
    for (bool first = true;; first = false) {
        const Result<std::string> answer = context.call("orders", {{"orders", number}});
        if (!answer) return answer;
        const Result<OrderProgress> progress = order_progress(*answer);
        if (!progress) return progress.error();
        if (progress->is_over) {
            if (is_watched && !first) std::fputs("\r\x1b[K", stderr);
            return answer;
        }
        if (is_watched) {
            std::fprintf(stderr, "\r\x1b[K%s", progress->text.c_str());
            std::fflush(stderr);
        }
        std::this_thread::sleep_for(kPollEvery);
    }
}

void give(Context& context, const std::string& command, const Options& options) {
    runtime::ControlArguments arguments = options.selection.given();
    if (!options.why.empty()) arguments["why"] = options.why;
    if (!options.lasts.empty()) arguments["for"] = options.lasts;
    if (!options.text.empty()) arguments["text"] = options.text;
    if (options.dry_run) arguments["dry_run"] = "yes";
    Result<std::string> answer = context.call(command, arguments, kCountTimeout);
    if (!answer) return context.fail(answer.error());
    if (options.dry_run) return show(context, answer, view_count(*answer, "It would be about"));
    const Result<std::string> number = number_of_order(*answer);
    if (!number) return context.fail(number.error());
    const bool is_one_time = command != "pause" && options.lasts.empty();
    if (is_one_time && !options.no_wait) {
        answer = follow(context, *number);
        return show(context, answer, answer ? view_finished(*answer) : answer);
    }
    show(context, answer, view_given(*answer));
}

void retry(Context& context, const Options& options) {
    runtime::ControlArguments arguments = options.selection.given();
    if (options.dry_run) arguments["dry_run"] = "yes";
    const Result<std::string> answer = context.call("retry", arguments, kCountTimeout);
    show(context, answer,
         answer ? view_count(*answer, options.dry_run ? "It would be about" : "Goes now, as far as limits let it:")
                : answer);
}

// "resume 12": that order; "resume google/tx-1": the pauses of whatever is in there.
void resume(Context& context, const Selection& selection) {
    const runtime::ControlArguments arguments = selection.given();
    const auto queue = arguments.find("queue");
    const bool is_number = queue != arguments.end() &&
                           queue->second.find_first_not_of("0123456789") == std::string::npos && arguments.size() == 1;
    const Result<std::string> answer =
        is_number ? context.call("withdraw", {{"orders", queue->second}}) : context.call("resume", arguments);
    show(context, answer, answer ? view_withdrawn(*answer) : answer);
}

// --- suppressions --------------------------------------------------------------------------------------

struct Addresses {
    std::vector<std::string> named;
    std::string file, tenant, why, lasts;
};

Result<std::vector<std::string>> read_addresses(const Addresses& options) {
    std::vector<std::string> all = options.named;
    if (options.file.empty()) return all;
    auto listed = read_list(options.file);
    if (!listed) return listed.error();
    all.insert(all.end(), std::move_iterator(listed->begin()), std::move_iterator(listed->end()));
    return all;
}

void suppress(Context& context, const std::string& command, const Addresses& options) {
    const auto addresses = read_addresses(options);
    if (!addresses) return context.fail(addresses.error());
    std::size_t done = 0;
    do {
        runtime::ControlArguments arguments;
        std::string& text = arguments["addresses"];
        const std::size_t end = std::min(done + kAddressesAtOnce, addresses->size());
        for (std::size_t i = done; i < end; ++i) text += (*addresses)[i] + "\n";
        if (!options.tenant.empty()) arguments["tenant"] = options.tenant;
        if (!options.why.empty()) arguments["why"] = options.why;
        if (!options.lasts.empty()) arguments["for"] = options.lasts;
        const Result<std::string> answer = context.call(command, arguments);
        if (!answer) {
            std::string text_so_far = answer.error().text;
            if (done > 0) text_so_far += " (the first " + std::to_string(done) + " are done)";
            return context.fail({answer.error().kind, text_so_far});
        }
        done = end;
        if (context.json) print(*answer + "\n");
        if (!context.json && addresses->size() == 1) {
            const auto text_of_one = command == "suppress" ? view_given(*answer) : view_withdrawn(*answer);
            return text_of_one ? print(*text_of_one) : context.fail(text_of_one.error());
        }
    } while (done < addresses->size());
    if (!context.json) {
        print((command == "suppress" ? "Suppressed " : "No longer suppressed: ") + std::to_string(done) +
              " addresses and domains.\n");
    }
}

// --- the command line ----------------------------------------------------------------------------------

struct OrderCommand {
    const char* name;
    const char* about;
    const char* all;
    const char* text_option;  // null: none
    const char* text_help;
};

constexpr OrderCommand kOrders[] = {
    {"pause", "Hold mail, what comes later too, until `resume`; survives a restart", "All mail, also what is to come",
     nullptr, nullptr},
    {"delete", "Remove queued mail without a bounce; each recipient gets a cancelled event", "All mail", nullptr,
     nullptr},
    {"bounce", "Return queued mail to its senders, as if the destination had refused it", "All mail", "--reply",
     "What it is refused with (550 5.7.1 Returned by the operator)"},
    {"move", "Have queued mail go out by another virtual MTA or pool", "All mail", "--to", "Virtual MTA or pool"},
};

void add_order(CLI::App& app, Context& context, const OrderCommand& each) {
    auto options = std::make_shared<Options>();
    CLI::App* command = app.add_subcommand(each.name, each.about);
    add_selection(*command, options->selection, Reach::Mail, each.all);
    const std::string name = each.name;
    if (name == "delete") command->alias("cancel");
    if (each.text_option != nullptr) {
        CLI::Option* text = command->add_option(each.text_option, options->text, each.text_help);
        text->type_name(name == "move" ? "NAME" : "REPLY");
        if (name == "move") {
            text->required();
        } else {
            options->text = "550 5.7.1 Returned by the operator";
        }
    }
    add_why(*command, options->why, "Why; shown with the order, the queue and in events");
    command
        ->add_option("--for", options->lasts,
                     name == "pause" ? "Ends by itself after that" : "Holds for what comes in this time, too")
        ->type_name("TIME");
    command->add_flag("--dry-run", options->dry_run, "Only say how much mail it would be about");
    if (name != "pause") command->add_flag("--no-wait", options->no_wait, "Do not wait until it is finished");
    add_connection_options(*command, context);
    command->group("Orders")->callback([&context, options, name] { give(context, name, *options); });
}

void add_suppression(CLI::App& app, Context& context, const char* name, const char* about) {
    auto options = std::make_shared<Addresses>();
    CLI::App* command = app.add_subcommand(name, about);
    command->add_option("ADDRESS", options->named, "someone@example.com, or a whole domain: example.com")
        ->type_name("");
    command->add_option("--file", options->file, "One on each line; - for standard input")->type_name("FILE");
    command->add_option("--tenant", options->tenant, "Only mail of this tenant")->type_name("NAME");
    const bool is_given = std::string_view(name) == "suppress";
    if (is_given) {
        add_why(*command, options->why, "Why; shown with the order and in events");
        command->add_option("--for", options->lasts, "Ends by itself after that")->type_name("TIME");
    }
    add_connection_options(*command, context);
    const std::string control = name;
    command->group("Orders")->callback([&context, options, control] { suppress(context, control, *options); });
}

void add_withdraw(CLI::App& app, Context& context) {
    auto numbers = std::make_shared<std::vector<std::string>>();
    CLI::App* command =
        app.add_subcommand("withdraw", "End orders before their time, by their numbers; what they did stays done");
    command->add_option("ORDER", *numbers, "As `list orders` numbers them")->type_name("")->required();
    add_connection_options(*command, context);
    command->group("Orders")->callback([&context, numbers] {
        std::string all;
        for (const std::string& number : *numbers) all += (all.empty() ? "" : " ") + number;
        const Result<std::string> answer = context.call("withdraw", {{"orders", all}});
        show(context, answer, answer ? view_withdrawn(*answer) : answer);
    });
}

}  // namespace

void register_order_commands(CLI::App& app, Context& context) {
    for (const OrderCommand& each : kOrders) add_order(app, context, each);
    auto resumed = std::make_shared<Selection>();
    CLI::App* command = app.add_subcommand("resume",
                                           "Let paused mail go again: a pause by its number, or all pauses of "
                                           "what is selected");
    add_selection(*command, *resumed, Reach::Mail, "Every pause");
    add_connection_options(*command, context);
    command->group("Orders")->callback([&context, resumed] { resume(context, *resumed); });

    auto retried = std::make_shared<Options>();
    command = app.add_subcommand("retry", "Make waiting mail due now");
    add_selection(*command, retried->selection, Reach::Mail, "All mail");
    command->add_flag("--dry-run", retried->dry_run, "Only say how much mail it would be about");
    add_connection_options(*command, context);
    command->group("Orders")->callback([&context, retried] { retry(context, *retried); });

    add_suppression(app, context, "suppress", "Send nothing to an address or domain any more; survives a restart");
    add_suppression(app, context, "unsuppress", "Send to an address or domain again");
    add_withdraw(app, context);
}

}  // namespace postfleet::standalone
