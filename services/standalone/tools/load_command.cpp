// `postfleet load` on the command line.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <charconv>
#include <memory>

#include "load.hpp"
#include "postfleet/base/text.hpp"
#include "tool_commands.hpp"

namespace postfleet::tools {

namespace {

struct LoadArguments {
    LoadOptions options;
    std::string target, sink, duration, rate, retry_after = "1s", patience = "30s", wait = "30s", sizes = "10KiB";
    std::vector<std::string> sources;
    std::string tls = "none";
    bool no_pipelining = false;
};

void add_amount(CLI::App& command, LoadArguments& arguments) {
    LoadOptions& options = arguments.options;
    command.add_option("target", arguments.target, "address:port of the server; may be left out with --sink")
        ->type_name("ADDRESS:PORT");
    command.add_option("--messages,-n", options.messages, "how many; 0: as many as fit into --duration")
        ->capture_default_str()
        ->type_name("N");
    command.add_option("--duration,-d", arguments.duration, "how long at most, e.g. 30s")->type_name("TIME");
    command
        .add_option("--rate", arguments.rate,
                    "messages per second, evenly paced (500 or 500/s, 100/m); default: as fast as it goes")
        ->type_name("RATE");
    command.add_option("--sessions,-s", options.sessions, "concurrent connections")
        ->check(CLI::Range(1u, 100'000u))
        ->capture_default_str()
        ->type_name("N");
    command.add_option("--threads,-t", options.threads, "event loops")
        ->check(CLI::Range(1, 256))
        ->capture_default_str()
        ->type_name("N");
    command.add_option("--per-connection,-c", options.messages_per_connection, "messages per connection; 0: all")
        ->capture_default_str()
        ->type_name("N");
    command
        .add_option("--tls", arguments.tls,
                    "how the connection is encrypted; the server's certificate is not looked at")
        ->check(CLI::IsMember({"none", "starttls", "implicit"}))
        ->capture_default_str()
        ->type_name("HOW");
    command.add_flag("--no-pipelining", arguments.no_pipelining, "one command at a time");
    command.add_option("--source", arguments.sources, "own address to connect from, several are used in turn")
        ->type_name("ADDRESS");
    command.add_option("--retry", options.retries, "times to send again after 4xx or a lost connection")
        ->capture_default_str()
        ->type_name("N");
    command.add_option("--retry-after", arguments.retry_after, "pause before that")
        ->capture_default_str()
        ->type_name("TIME");
    command.add_option("--patience", arguments.patience, "give up after so long without any reply")
        ->capture_default_str()
        ->type_name("TIME");
}

void add_messages(CLI::App& command, LoadArguments& arguments) {
    LoadOptions& options = arguments.options;
    command
        .add_option("--size", arguments.sizes, "octets per message, or a mixture with weights: 2KiB:7,10KiB:2,1MiB:1")
        ->capture_default_str()
        ->type_name("SIZES");
    command.add_option("--recipients", options.recipients, "per message")
        ->check(CLI::Range(1u, 10'000u))
        ->capture_default_str()
        ->type_name("N");
    command.add_option("--from", options.from, "reverse-path; %d counts")->capture_default_str()->type_name("TEMPLATE");
    command.add_option("--to", options.to, "recipients; %d counts")->capture_default_str()->type_name("TEMPLATE");
    command.add_option("--users", options.users, "different numbers in --to's local part")
        ->capture_default_str()
        ->type_name("N");
    command.add_option("--domains", options.domains, "different numbers in --to's domain")
        ->capture_default_str()
        ->type_name("N");
    command.add_option("--from-users", options.from_users, "different numbers in --from's local part")
        ->capture_default_str()
        ->type_name("N");
    command.add_option("--from-domains", options.from_domains, "different numbers in --from's domain")
        ->capture_default_str()
        ->type_name("N");
    command.add_flag("--spread-recipients", options.spread_recipients,
                     "the recipients of a message are in different domains");
    command.add_option("--header,-H", options.headers, "header line to add, e.g. 'X-Job: spring'; several allowed")
        ->type_name("LINE");
    command.add_option("--helo", options.helo, "name in EHLO and Message-ID")->capture_default_str()->type_name("NAME");
    command.add_option("--run-id", options.run_id, "first part of X-Load-Id; default: from the clock")->type_name("ID");
}

void add_checking(CLI::App& command, LoadArguments& arguments) {
    LoadOptions& options = arguments.options;
    command.add_option("--sink", arguments.sink, "run a sink on this address:port and match every message end to end")
        ->type_name("ADDRESS:PORT");
    command.add_option("--sink-threads", options.sink_threads, "event loops of that sink")
        ->check(CLI::Range(1, 256))
        ->capture_default_str()
        ->type_name("N");
    command.add_option("--sink-rule", options.sink_rules, "rules of that sink, as for `postfleet sink --rule`")
        ->type_name("RULE");
    command.add_option("--wait", arguments.wait, "how long to wait for the next arrival once all is sent")
        ->capture_default_str()
        ->type_name("TIME");
    command.add_flag("--progress", options.progress, "the progress bar even if standard error is no terminal");
    command.add_flag("--json", options.json, "the report as JSON");
}

Result<std::vector<SizeShare>> parse_sizes(std::string_view text) {
    std::vector<SizeShare> sizes;
    for (const std::string_view part : split(text, ',')) {
        const std::size_t colon = part.find(':');
        SizeShare share;
        const Result<std::uint64_t> octets = parse_size(trim(part.substr(0, colon)));
        if (!octets) return octets.error();
        if (*octets > (1u << 30)) return Error{ErrorKind::InvalidArgument, "at most 1GiB"};
        share.octets = static_cast<std::uint32_t>(*octets);
        if (colon != std::string_view::npos) {
            const std::string_view weight = part.substr(colon + 1);
            const auto [end, error] = std::from_chars(weight.data(), weight.data() + weight.size(), share.weight);
            if (error != std::errc() || end != weight.data() + weight.size() || share.weight == 0) {
                return Error{ErrorKind::InvalidArgument, fmt::format("{}: the weight is a number above 0", part)};
            }
        }
        sizes.push_back(share);
    }
    return sizes;
}

// "500", "500/s", "100/m", "3600/h", in messages per second.
Result<double> parse_rate(std::string_view text) {
    const std::size_t slash = text.find('/');
    double rate = 0;
    const std::string_view number = text.substr(0, slash);
    const std::string_view unit = slash == std::string_view::npos ? "s" : text.substr(slash + 1);
    const double period = unit == "s" ? 1 : unit == "m" ? 60 : unit == "h" ? 3600 : 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), rate);
    if (error != std::errc() || end != number.data() + number.size() || rate <= 0 || period == 0) {
        return Error{ErrorKind::InvalidArgument, fmt::format("{}: a rate is like 500, 500/s, 100/m or 3600/h", text)};
    }
    return rate / period;
}

// Puts a parsed option in its place, or says which one is wrong.
template <class T, class Into>
bool take(const char* option, const Result<T>& parsed, Into& into) {
    if (parsed) {
        into = *parsed;
        return true;
    }
    fmt::print(stderr, "postfleet load: {}: {}\n", option, parsed.error().text);
    return false;
}

int run(LoadArguments& arguments) {
    LoadOptions& options = arguments.options;
    options.pipelining = !arguments.no_pipelining;
    if (arguments.tls != "none") options.tls = arguments.tls == "starttls" ? LoadTls::Starttls : LoadTls::Implicit;
    bool is_right =
        take("--size", parse_sizes(arguments.sizes), options.sizes) &&
        take("--retry-after", parse_duration(arguments.retry_after), options.retry_after) &&
        take("--patience", parse_duration(arguments.patience), options.patience) &&
        take("--wait", parse_duration(arguments.wait), options.wait) &&
        (arguments.duration.empty() || take("--duration", parse_duration(arguments.duration), options.duration)) &&
        (arguments.rate.empty() || take("--rate", parse_rate(arguments.rate), options.rate)) &&
        (arguments.sink.empty() || take("--sink", Endpoint::parse(arguments.sink), options.sink)) &&
        (arguments.target.empty() || take("target", Endpoint::parse(arguments.target), options.target));
    for (const std::string& text : arguments.sources) {
        IpAddress address;
        is_right = is_right && take("--source", IpAddress::parse(text), address);
        options.sources.push_back(address);
    }
    if (!is_right) return 2;
    if (arguments.target.empty() && arguments.sink.empty()) {
        fmt::print(stderr, "postfleet load: say where to send to, e.g. postfleet load 127.0.0.1:2525\n");
        return 2;
    }
    return run_load(options);
}

}  // namespace

void register_load_command(CLI::App& app, int& exit_code) {
    CLI::App* command = app.add_subcommand("load", "An SMTP source that counts and checks what it sends");
    // Lives as long as the App, whose callback holds it.
    auto arguments = std::make_shared<LoadArguments>();
    add_amount(*command, *arguments);
    add_messages(*command, *arguments);
    add_checking(*command, *arguments);
    command->callback([arguments, &exit_code] { exit_code = run(*arguments); });
}

}  // namespace postfleet::tools
