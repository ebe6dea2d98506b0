#include "../cli/terminal.hpp"
#include "postfleet/control/render.hpp"
#include "commands.hpp"
#include "postfleet/config_files/load.hpp"
#include "postfleet/standalone/views.hpp"

namespace postfleet::standalone {

using control::explain_queue;
using control::render_providers;
using control::render_settings;
namespace {

struct QueueOptions {
    std::string match, sort, limit;
    bool paused = false, backoff = false, connected = false, errors = false, held = false;

    runtime::ControlArguments arguments() const {
        runtime::ControlArguments all{{"match", match}, {"sort", sort}};
        if (!limit.empty()) all["limit"] = limit;
        if (paused) all["only"] = "paused";
        if (backoff) all["only"] = "backoff";
        if (connected) all["only"] = "connected";
        if (errors) all["only"] = "errors";
        if (held) all["only"] = "held";
        return all;
    }
};

void show_queues(Context& context, const QueueOptions& options) {
    const Result<std::string> answer = context.call("queues", options.arguments());
    if (!answer) return context.fail(answer.error());
    if (context.json) return print(*answer + "\n");
    const Result<std::string> text = view_queues(*answer, output_style(), wall_clock_now());
    return text ? print(*text) : context.fail(text.error());
}

void show_virtual_mtas(Context& context) {
    const Result<std::string> answer = context.call("vmtas");
    if (!answer) return context.fail(answer.error());
    if (context.json) return print(*answer + "\n");
    const Result<std::string> text = view_virtual_mtas(*answer, output_style());
    return text ? print(*text) : context.fail(text.error());
}

// These, too, come from the files when nothing runs by them.
Result<std::string> providers_of(const Context& context) {
    Result<std::string> answer = context.call("providers");
    if (answer || answer.error().kind != ErrorKind::Unavailable || context.config.empty()) return answer;
    const config::LoadResult loaded = config_files::load_path(context.config);
    return loaded.config ? render_providers(*loaded.config) : std::move(answer);
}

void show_providers(Context& context) {
    const Result<std::string> answer = providers_of(context);
    if (!answer) return context.fail(answer.error());
    if (context.json) return print(*answer + "\n");
    const Result<std::string> text = view_providers(*answer, output_style());
    return text ? print(*text) : context.fail(text.error());
}

void show_intake(Context& context, const std::string& limit) {
    runtime::ControlArguments arguments;
    if (!limit.empty()) arguments["limit"] = limit;
    const Result<std::string> answer = context.call("intake", arguments);
    if (!answer) return context.fail(answer.error());
    if (context.json) return print(*answer + "\n");
    const Result<std::string> text = view_intake(*answer, output_style());
    return text ? print(*text) : context.fail(text.error());
}

void show_limits(Context& context) {
    const Result<std::string> answer = context.call("limits");
    if (!answer) return context.fail(answer.error());
    if (context.json) return print(*answer + "\n");
    const Result<std::string> text = view_limits(*answer, output_style());
    return text ? print(*text) : context.fail(text.error());
}

// From the files when a configuration was named and nothing runs by it: good for trying rules out.
Result<std::string> settings_of(const Context& context, const std::string& queue) {
    Result<std::string> answer = context.call("settings", {{"queue", queue}});
    if (answer || answer.error().kind != ErrorKind::Unavailable || context.config.empty()) return answer;
    const config::LoadResult loaded = config_files::load_path(context.config);
    if (!loaded.config) return answer;
    const auto keys = explain_queue(*loaded.config, queue);
    if (!keys) return keys.error();
    std::fprintf(stderr, "postfleet: no server runs by %s; this is what its files say\n", context.config.c_str());
    return render_settings(queue, *keys);
}

void show_settings(Context& context, const std::string& queue) {
    const Result<std::string> answer = settings_of(context, queue);
    if (!answer) return context.fail(answer.error());
    if (context.json) return print(*answer + "\n");
    const Result<std::string> text = view_settings(*answer, output_style());
    return text ? print(*text) : context.fail(text.error());
}

// It may read report files for as long as HistorySources::kPatience.
constexpr Duration kHistoryTimeout = std::chrono::minutes(1);

void add_queue_options(CLI::App& command, QueueOptions& options) {
    command.add_option("QUEUE", options.match, "SITE or SITE/VMTA, with * for anything")->type_name("");
    command.add_option("--limit", options.limit, "Show at most N queues")->type_name("N");
    command.add_flag("--paused", options.paused, "Only paused queues");
    command.add_flag("--backoff", options.backoff, "Only queues in backoff");
    command.add_flag("--connected", options.connected, "Only queues with an open connection");
    command.add_flag("--errors", options.errors, "Only queues whose last attempt failed");
    command.add_flag("--held", options.held, "Only queues that send nothing, for whatever reason");
}

}  // namespace

void show_message(Context& context, const std::string& message) {
    const Result<std::string> answer = context.call("history", {{"message", message}}, kHistoryTimeout);
    if (!answer) return context.fail(answer.error());
    if (context.json) return print(*answer + "\n");
    const Result<std::string> text = view_message(*answer, output_style(), wall_clock_now());
    return text ? print(*text) : context.fail(text.error());
}

void register_show_commands(CLI::App& app, Context& context) {
    CLI::App* show =
        app.add_subcommand("show", "Queues, messages, virtual MTAs, limits and settings of the running server");
    show->group("Look")->require_subcommand(1);

    // shared_ptr because CLI11 keeps the callbacks, and with them what they refer to, as long as the App.
    auto queues = std::make_shared<QueueOptions>();
    CLI::App* list = show->add_subcommand("queues", "Every queue, by name");
    add_connection_options(*list, context);
    add_queue_options(*list, *queues);
    list->add_option("--sort", queues->sort, "name, queued, rate or connections")
        ->check(CLI::IsMember({"name", "queued", "rate", "connections"}))
        ->type_name("KEY");
    list->callback([&context, queues] { show_queues(context, *queues); });

    auto largest = std::make_shared<QueueOptions>();
    largest->sort = "queued";
    largest->limit = "20";
    CLI::App* top = show->add_subcommand("topqueues", "The queues with the most mail");
    add_connection_options(*top, context);
    add_queue_options(*top, *largest);
    top->callback([&context, largest] { show_queues(context, *largest); });

    CLI::App* virtual_mtas = show->add_subcommand("vmtas", "Virtual MTAs: addresses, names, what they do");
    add_connection_options(*virtual_mtas, context);
    virtual_mtas->callback([&context] { show_virtual_mtas(context); });

    CLI::App* providers = show->add_subcommand("providers", "Named groups of sites: yours, and the shipped ones");
    add_connection_options(*providers, context);
    providers->callback([&context] { show_providers(context); });

    auto id = std::make_shared<std::string>();
    CLI::App* message = show->add_subcommand(
        "message", "All that is known of one message: where it waits, how it ended, every attempt");
    add_connection_options(*message, context);
    message->add_option("ID", *id, "As the log, events and `postfleet list` name it")->type_name("")->required();
    message->callback([&context, id] { show_message(context, *id); });

    auto limit = std::make_shared<std::string>();
    CLI::App* intake = show->add_subcommand("intake", "Mail for us: bounces, complaints, unsubscribe requests");
    add_connection_options(*intake, context);
    intake->add_option("--limit", *limit, "Show at most N mails of each kind")->type_name("N");
    intake->callback([&context, limit] { show_intake(context, *limit); });

    CLI::App* limits = show->add_subcommand(
        "limits",
        "Limits over several queues: of virtual MTAs, providers, addresses, in total, and who waits for them");
    add_connection_options(*limits, context);
    limits->callback([&context] { show_limits(context); });

    auto queue = std::make_shared<std::string>();
    CLI::App* settings = show->add_subcommand("settings", "What shapes a queue, and where each value comes from");
    add_connection_options(*settings, context);
    settings->add_option("QUEUE", *queue, "SITE/VMTA, for example google/tx-1")->required()->type_name("");
    settings->callback([&context, queue] { show_settings(context, *queue); });
}

}  // namespace postfleet::standalone
