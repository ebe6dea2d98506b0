// `postfleet sink` on the command line.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <memory>

#include "postfleet/base/text.hpp"
#include "provider_replies.hpp"
#include "sink.hpp"
#include "tool_commands.hpp"

namespace postfleet::tools {

namespace {

struct SinkArguments {
    SinkOptions options;
    std::vector<std::string> listen{"127.0.0.1:2526"};
    std::string max_size = "64MiB";
    bool no_pipelining = false, no_eight_bit = false, no_enhanced_status = false, no_named = false;
    bool list_replies = false;
};

void add_listening(CLI::App& command, SinkArguments& arguments) {
    SinkOptions& options = arguments.options;
    command
        .add_option("--listen,-l", arguments.listen,
                    "address:port to listen on, several allowed; port 0 takes a free one")
        ->capture_default_str()
        ->type_name("ADDRESS:PORT");
    command.add_option("--threads,-t", options.threads, "event loops")
        ->check(CLI::Range(1, 256))
        ->capture_default_str()
        ->type_name("N");
    command.add_option("--hostname", options.hostname, "name in the greeting")
        ->capture_default_str()
        ->type_name("NAME");
    command.add_flag("--no-pipelining", arguments.no_pipelining, "do not offer PIPELINING, and count who uses it");
    command.add_flag("--chunking", options.chunking, "offer CHUNKING, and take BDAT");
    command.add_flag("--no-8bitmime", arguments.no_eight_bit, "do not offer 8BITMIME");
    command.add_flag("--no-enhanced-status", arguments.no_enhanced_status, "replies without enhanced status codes");
    command.add_option("--max-size", arguments.max_size, "SIZE limit; 0 offers none")
        ->capture_default_str()
        ->type_name("SIZE");
    command.add_option("--max-connections", options.max_connections, "more get 421")->type_name("N");
    command.add_option("--max-recipients", options.max_recipients, "per transaction; more get 452")
        ->capture_default_str()
        ->type_name("N");
}

void add_behaviour(CLI::App& command, SinkArguments& arguments) {
    SinkOptions& options = arguments.options;
    command
        .add_option("--rule,-r", options.rules,
                    "e.g. 'rcpt to=*@full.test reply=\"452 4.2.2 full\"', 'end-of-data p=0.1 delay=2s', "
                    "'connect source=127.0.0.2 first=3 reset', 'mail reply=yahoo-tss04'; several allowed")
        ->type_name("RULE");
    command
        .add_option("--provider", options.provider,
                    "gmail, yahoo or microsoft: limits for each source address, and their replies beyond them")
        ->type_name("NAME");
    command
        .add_option("--limit", options.limits,
                    "of the provider, instead of its own: connections=5, messages=20 (on a connection), rate=100/s, "
                    "window=10s (in which the rate counts); several allowed")
        ->type_name("LIMIT");
    command.add_option("--rules", options.rules_file, "file with one rule per line")->type_name("FILE");
    command.add_flag("--no-named-recipients", arguments.no_named,
                     "bounce@, defer-2@, slow@, drop@, gmail-rate@ … are accepted like any other");
    command.add_flag("--list-replies", arguments.list_replies, "print the provider replies by name, and exit");
    command.add_option("--seed", options.seed, "of p= and garbage")->capture_default_str()->type_name("N");
    command.add_option("--quit-after,-n", options.quit_after, "end after this many messages")->type_name("N");
}

void add_evidence(CLI::App& command, SinkArguments& arguments) {
    SinkOptions& options = arguments.options;
    command.add_option("--store", options.store_dir, "write each message to DIR/<n>.eml, with DIR/envelopes.jsonl")
        ->type_name("DIR");
    command.add_option("--store-file", options.store_file, "write all messages to FILE, one JSON object per line")
        ->excludes("--store")
        ->type_name("FILE");
    command
        .add_option("--record", options.record_file,
                    "write every connect, close, MAIL, RCPT, DATA and final reply with microseconds, as JSON lines")
        ->type_name("FILE");
    command.add_option("--count-file", options.count_file, "keep the number of accepted messages in FILE, synced")
        ->type_name("FILE");
    command
        .add_option("--id-header", options.id_header,
                    "count unique and duplicate messages by this header (X-Load-Id of postfleet load)")
        ->type_name("NAME");
    command.add_flag("--print", options.print, "a line per message");
    command.add_flag("--progress", options.progress, "a line per second on standard error");
    command.add_flag("--json", options.json, "the summary as JSON");
}

int run(SinkArguments& arguments) {
    if (arguments.list_replies) {
        for (const ProviderReply& reply : provider_replies()) {
            fmt::print("{} (at {})\n", reply.name, to_string(reply.phase));
            for (const std::string_view line : split(reply.lines, '\n')) fmt::print("    {}\n", line);
        }
        return 0;
    }
    SinkOptions& options = arguments.options;
    options.pipelining = !arguments.no_pipelining;
    options.eight_bit = !arguments.no_eight_bit;
    options.enhanced_status = !arguments.no_enhanced_status;
    options.named_recipients = !arguments.no_named;
    const Result<std::uint64_t> size = parse_size(arguments.max_size);
    if (!size) {
        fmt::print(stderr, "postfleet sink: --max-size: {}\n", size.error().text);
        return 2;
    }
    options.max_message_size = *size;
    for (const std::string& text : arguments.listen) {
        const Result<Endpoint> address = Endpoint::parse(text);
        if (!address) {
            fmt::print(stderr, "postfleet sink: --listen {}: {}\n", text, address.error().text);
            return 2;
        }
        options.listen.push_back(*address);
    }
    return run_sink(options);
}

}  // namespace

void register_sink_command(CLI::App& app, int& exit_code) {
    CLI::App* command =
        app.add_subcommand("sink", "A fast test MX: counts, stores, delays, refuses and breaks as told");
    // Lives as long as the App, whose callback holds it.
    auto arguments = std::make_shared<SinkArguments>();
    add_listening(*command, *arguments);
    add_behaviour(*command, *arguments);
    add_evidence(*command, *arguments);
    command->callback([arguments, &exit_code] { exit_code = run(*arguments); });
}

}  // namespace postfleet::tools
