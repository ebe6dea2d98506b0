#include <array>
#include <cstdio>
#include <iostream>
#include <memory>

#include "../cli/terminal.hpp"
#include "commands.hpp"
#include "postfleet/base/json.hpp"
#include "postfleet/bounce/classifier.hpp"
#include "postfleet/config_files/load.hpp"
#include "postfleet/smtp/reply_parser.hpp"

namespace postfleet::standalone {
namespace {

constexpr const char* kAbout =
    "What does a refusal mean? Reads replies on standard input, one per line (\"550 5.1.1 no such user\"), and\n"
    "tells the bounce category and type of each, and which pattern decided.";
constexpr const char* kExample =
    "Example:\n"
    "  echo '550 5.7.1 blocked using zen.spamhaus.org' | postfleet classify\n"
    "With --config, the patterns of its `bounce_categories` come first.";

constexpr std::array kPhases{SmtpPhase::Connect, SmtpPhase::Greeting, SmtpPhase::Ehlo, SmtpPhase::StartTls,
                             SmtpPhase::Auth,    SmtpPhase::Mail,     SmtpPhase::Rcpt, SmtpPhase::Data,
                             SmtpPhase::Body,    SmtpPhase::EndOfData};

struct Options {
    std::string phase = to_string(SmtpPhase::Rcpt);
    bool list = false;
};

Result<bounce::Classifier> make_classifier(const std::string& directory) {
    std::vector<bounce::CategoryPattern> own;
    if (!directory.empty()) {
        const config::LoadResult loaded = config_files::load_path(directory);
        if (!loaded.config) return Error{ErrorKind::InvalidArgument, config_files::to_string(loaded.problems)};
        for (const auto& rule : loaded.config->bounce_categories)
            own.push_back({rule.reply, rule.category, rule.origin});
    }
    return bounce::Classifier::compile(std::move(own));
}

// A reply of several lines stands here as one: "550-5.1.1 no" counts as "550 5.1.1 no".
Result<Reply> parse_line(std::string line) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.size() > 3 && line[3] == '-') line[3] = ' ';
    line += "\r\n";
    smtp::ReplyParser parser;
    std::string_view input = line;
    if (parser.parse(input) == smtp::ReplyParser::Status::Complete) return parser.to_reply();
    return Error{ErrorKind::InvalidArgument, "is not a reply: a code from 200 to 599 and a text"};
}

std::string decided_by(const bounce::Classifier::Finding& finding, const Reply& reply) {
    if (finding.pattern != nullptr)
        return finding.pattern->origin.file + ":" + std::to_string(finding.pattern->origin.line);
    return reply.enhanced ? "enhanced status " + reply.enhanced.to_string() : "code and phase";
}

void tell(Context& context, Table& table, const bounce::Classifier::Finding& finding, const Reply& reply) {
    const std::string type = bounce::type_of(finding.category);
    const std::string by = decided_by(finding, reply);
    if (context.json) {
        std::string text;
        JsonWriter json(text);
        json.begin_object().member("reply", reply.to_string()).member("category", to_string(finding.category));
        json.member("type", type).member("decided_by", by);
        if (finding.pattern != nullptr) json.member("pattern", finding.pattern->reply);
        json.end_object();
        return print(text + "\n");
    }
    const Tone tone = type == "hard" ? Tone::Bad : type == "block" ? Tone::Warning : Tone::Plain;
    table.add_row({{to_string(finding.category), tone}, {type}, {by, Tone::Faint}, {reply.to_string()}});
}

void classify(Context& context, const Options& options) {
    const auto classifier = make_classifier(context.config);
    if (!classifier) return context.fail(classifier.error());
    if (options.list) {
        for (const auto& pattern : classifier->patterns()) {
            print(pattern.origin.file + ":" + std::to_string(pattern.origin.line) + "  " + to_string(pattern.category) +
                  "  " + pattern.reply + "\n");
        }
        return;
    }
    SmtpPhase phase = SmtpPhase::Rcpt;
    for (const SmtpPhase known : kPhases) {
        if (options.phase == to_string(known)) phase = known;
    }
    Table table(
        {{"CATEGORY"}, {"TYPE"}, {"DECIDED BY", Table::Align::Left, 5}, {"REPLY", Table::Align::Left, 10, true}});
    std::string line;
    for (std::size_t number = 1; std::getline(std::cin, line); ++number) {
        if (line.empty()) continue;
        const auto reply = parse_line(line);
        if (reply) {
            tell(context, table, classifier->find(*reply, phase), *reply);
        } else {
            context.fail({ErrorKind::InvalidArgument, "line " + std::to_string(number) + " " + reply.error().text});
        }
    }
    if (!context.json && table.rows() > 0) print(table.render(output_style()));
}

}  // namespace

void register_classify_command(CLI::App& app, Context& context) {
    CLI::App* command = app.add_subcommand("classify", kAbout);
    command->group("Configuration")->footer(kExample);
    auto options = std::make_shared<Options>();  // CLI11 keeps the callback as long as the App
    std::vector<std::string> phases;
    for (const SmtpPhase phase : kPhases) phases.emplace_back(to_string(phase));
    command->add_option("--config", context.config, "Configuration directory, or one file")->type_name("DIR");
    command->add_option("--phase", options->phase, "Where in the dialogue it was said (rcpt)")
        ->type_name("PHASE")
        ->check(CLI::IsMember(phases));
    command->add_flag("--list", options->list, "Show the patterns instead, in the order in which they are tried");
    command->add_flag("--json", context.json, "One JSON object per line instead of text for people");
    command->callback([&context, options] { classify(context, *options); });
}

}  // namespace postfleet::standalone
