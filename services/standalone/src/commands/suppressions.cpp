// suppressions add, remove, list, import: the suppression lists that a router keeps (docs/CONTROL_PLANE.md).
#include <memory>

#include <boost/json.hpp>

#include "postfleet/control/json_view.hpp"
#include "../cli/terminal.hpp"
#include "commands.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/standalone/table.hpp"

namespace postfleet::standalone {

using control::JsonView;
using control::parse_answer;

namespace {

constexpr std::size_t kMostAtOnce = 500;           // lines of one request
constexpr std::size_t kMostOctetsAtOnce = 48'000;  // of these lines; a request has room for 64 KiB
constexpr std::size_t kPage = 1'000;

struct Options {
    std::vector<std::string> addresses;
    std::string file, tenant, why, lasts;
    std::size_t limit = 100;
};

void list(Context& context, const Options& options) {
    using Align = Table::Align;
    Table table({{"SUPPRESSED", Align::Left, 100, true},
                 {"TENANT", Align::Left, 80, true},
                 {"REASON", Align::Left, 90, true},
                 {"BY", Align::Left, 70, true},
                 {"SINCE", Align::Left, 60},
                 {"UNTIL", Align::Left, 50}});
    std::string tenant = options.tenant, after;
    std::size_t shown = 0;
    bool more = true;
    while (more && shown < options.limit) {
        const std::size_t page = std::min(kPage, options.limit - shown);
        const Result<std::string> answer =
            context.call("suppressions", {{"tenant", tenant}, {"after", after}, {"limit", std::to_string(page)}});
        if (!answer) return context.fail(answer.error());
        const Result<boost::json::value> document = parse_answer(*answer);
        if (!document) return context.fail(document.error());
        const auto& found = JsonView(*document).array("suppressions");
        more = found.size() == page;
        for (const boost::json::value& value : found) {
            const JsonView one(value);
            tenant = one.text("tenant");
            after = one.text("target");
            if (!options.tenant.empty() && tenant != options.tenant) {  // pages go in the order of tenants
                more = false;
                break;
            }
            ++shown;
            if (context.json) {
                print(boost::json::serialize(value) + "\n");
                continue;
            }
            table.add_row({{printable(after)},
                           {tenant.empty() ? "(all)" : printable(tenant)},
                           {printable(one.text("reason"))},
                           {printable(one.text("source"))},
                           {one.text("added_at")},
                           {one.text("expires_at")}});
        }
    }
    if (context.json) return;
    if (shown == 0) return print("Nobody is suppressed.\n");
    print(table.render(output_style()));
    if (more) print("There may be more; --limit N shows them.\n");
}

// "ann@example.com", or with a reason of its own: "ann@example.com,unsubscribed".
std::string line_of(std::string_view text) {
    const std::size_t comma = text.find(',');
    std::string line(trim(text.substr(0, comma)));
    if (comma != std::string_view::npos) line += "\t" + std::string(trim(text.substr(comma + 1)));
    return line;
}

Result<std::vector<std::string>> read_lines(const Options& options) {
    std::vector<std::string> all = options.addresses;
    if (options.file.empty()) return all;
    const auto listed = read_list(options.file);
    if (!listed) return listed.error();
    for (const std::string& line : *listed) all.push_back(line_of(line));
    return all;
}

void change(Context& context, const std::string& command, const Options& options) {
    const auto lines = read_lines(options);
    if (!lines) return context.fail(lines.error());
    if (lines->empty()) return context.fail({ErrorKind::InvalidArgument, "name an address or a domain"});
    for (std::size_t done = 0; done < lines->size();) {
        runtime::ControlArguments arguments;
        std::string& text = arguments["addresses"];
        std::size_t end = done;
        while (end < lines->size() && end - done < kMostAtOnce && text.size() < kMostOctetsAtOnce) {
            text += (*lines)[end++] + "\n";
        }
        if (!options.tenant.empty()) arguments["tenant"] = options.tenant;
        if (!options.why.empty()) arguments["why"] = options.why;
        if (!options.lasts.empty()) arguments["for"] = options.lasts;
        const Result<std::string> answer = context.call(command, arguments);
        if (!answer) {
            std::string what = answer.error().text;
            if (done > 0) what += " (the first " + std::to_string(done) + " are done)";
            return context.fail({answer.error().kind, what});
        }
        done = end;
    }
    if (context.json) return print("{\"suppressions\":" + std::to_string(lines->size()) + "}\n");
    print((command == "suppressions-add" ? "Suppressed " : "No longer suppressed: ") + std::to_string(lines->size()) +
          (lines->size() == 1 ? " address or domain.\n" : " addresses and domains.\n"));
}

CLI::App* add_change(CLI::App& group, Context& context, const char* name, const char* about,
                     const std::shared_ptr<Options>& options) {
    CLI::App* command = group.add_subcommand(name, about);
    command->add_option("--tenant", options->tenant, "Only mail of this tenant; without it: all mail")
        ->type_name("NAME");
    add_connection_options(*command, context);
    return command;
}

void add_additions(CLI::App& command, const std::shared_ptr<Options>& options) {
    add_why(command, options->why, "Why; shown in the list and in events");
    command.add_option("--for", options->lasts, "Ends by itself after that")->type_name("TIME");
}

}  // namespace

void register_suppressions_command(CLI::App& app, Context& context) {
    // shared_ptr because CLI11 keeps the callbacks as long as the App.
    auto options = std::make_shared<Options>();
    CLI::App* group = app.add_subcommand("suppressions", "Who gets no mail from any sender of a cluster (at a router)")
                          ->require_subcommand(1);
    group->group("Cluster");
    const char* const kAddress = "someone@example.com, or a whole domain: example.com";

    CLI::App* add = add_change(*group, context, "add", "Send nothing to these any more", options);
    add->add_option("ADDRESS", options->addresses, kAddress)->required()->type_name("");
    add_additions(*add, options);
    add->callback([&context, options] { change(context, "suppressions-add", *options); });

    CLI::App* import = add_change(*group, context, "import", "The same for a file of them", options);
    import->add_option("FILE", options->file, "One on each line, or ADDRESS,REASON; - for standard input")
        ->required()
        ->type_name("");
    add_additions(*import, options);
    import->callback([&context, options] { change(context, "suppressions-add", *options);
});

CLI::App* remove = add_change(*group, context, "remove", "Send to these again", options);
remove->add_option("ADDRESS", options->addresses, kAddress)->type_name("");
remove->add_option("--file", options->file, "One on each line; - for standard input")->type_name("FILE");
remove->callback([&context, options] { change(context, "suppressions-remove", *options); });

CLI::App* show = add_change(*group, context, "list", "Who is on the lists, by tenant and address", options);
show->add_option("--limit", options->limit, "At most so many")->type_name("N")->capture_default_str();
show->callback([&context, options] { list(context, *options); });
}  // namespace postfleet::standalone

}  // namespace postfleet::standalone
