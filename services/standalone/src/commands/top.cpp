#include <algorithm>

#include "../cli/terminal.hpp"
#include "commands.hpp"
#include "postfleet/standalone/views.hpp"

namespace postfleet::standalone {
namespace {

struct TopOptions {
    bool once = false;
    double every = 1;
    std::string sort = "queued";
};

Result<std::string> frame(const Context& context, const TopOptions& options, const Style& style, unsigned height) {
    const Result<std::string> status = context.call("status");
    if (!status) return status.error();
    const Result<std::string> queues = context.call("queues", {{"sort", options.sort}, {"limit", "200"}});
    if (!queues) return queues.error();
    if (context.json) return "{\"status\":" + *status + ",\"queues\":" + *queues + "}\n";
    return view_top(*status, *queues, style, height, wall_clock_now());
}

void show_once(Context& context, const TopOptions& options) {
    const Result<std::string> shown = frame(context, options, output_style(), 60);
    return shown ? print(*shown) : context.fail(shown.error());
}

// What has gone wrong, after the terminal is in order again; nothing when the user left.
Result<void> show_live(const Context& context, TopOptions& options) {
    FullScreen screen;
    for (;;) {
        const Style style = output_style();
        const unsigned height = terminal_height();
        const Result<std::string> shown = frame(context, options, style, height);
        if (!shown) return shown.error();
        screen.show(*shown + paint("q quit   m most mail   r rate   c connections   n name", Tone::Faint, style));
        const std::optional<char> key = screen.wait_for_key(static_cast<int>(options.every * 1000));
        if (!key) continue;
        switch (*key) {
            case 'q': return {};
            case 'm': options.sort = "queued"; break;
            case 'r': options.sort = "rate"; break;
            case 'c': options.sort = "connections"; break;
            case 'n': options.sort = "name"; break;
            default: break;
        }
    }
}

}  // namespace

void register_top_command(CLI::App& app, Context& context) {
    // shared_ptr because CLI11 keeps the callbacks as long as the App.
    auto options = std::make_shared<TopOptions>();
    CLI::App* top = app.add_subcommand("top", "What the server does, live; q ends it");
    top->add_flag("--once", options->once, "One picture, then stop");
    top->add_option("--every", options->every, "Seconds between pictures (1)")
        ->check(CLI::Range(0.1, 3600.0))
        ->type_name("SECONDS");
    top->add_option("--sort", options->sort, "queued, rate, connections or name")
        ->check(CLI::IsMember({"name", "queued", "rate", "connections"}))
        ->type_name("KEY");
    add_connection_options(*top, context);
    top->group("Look")->callback([&context, options] {
        // Found once: it may take reading the configuration.
        if (!context.asked_cluster()) {
            const Result<std::string> socket = context.find_socket();
            if (!socket) return context.fail(socket.error());
            context.socket = *socket;
        }
        // Into a file or a pipe there is nothing to redraw.
        if (options->once || context.json || output_style().width == 0) return show_once(context, *options);
        if (const Status shown = show_live(context, *options); !shown) context.fail(shown.error());
    });
}

}  // namespace postfleet::standalone
