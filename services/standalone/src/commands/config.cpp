#include "../cli/terminal.hpp"
#include "../process/checks.hpp"
#include "commands.hpp"
#include "postfleet/base/json.hpp"
#include "postfleet/config/reference.hpp"
#include "postfleet/config/render.hpp"
#include "postfleet/config_files/load.hpp"

namespace postfleet::standalone {
namespace {

std::string render_problems(const config::LoadResult& loaded) {
    std::string text;
    JsonWriter json(text);
    json.begin_object().member("valid", loaded.config != nullptr);
    if (loaded.config) json.member("version", loaded.config->version);
    json.key("problems").begin_array();
    for (const config::Problem& problem : loaded.problems) {
        json.begin_object().member("file", problem.origin.file).member("line", problem.origin.line);
        json.member("column", problem.origin.column).member("key", problem.key).member("text", problem.text);
        json.end_object();
    }
    json.end_array().end_object();
    return text + "\n";
}

std::string counted(std::size_t count, const char* what) {
    return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

void check(Context& context, const std::string& directory) {
    const config::LoadResult loaded = config_files::load_path(directory);
    if (!loaded.config) context.exit_code = 1;
    if (context.json) return print(render_problems(loaded));
    if (loaded.config) {
        const config::Config& config = *loaded.config;
        return print(
            "The configuration in " + directory + " is valid: " + counted(config.listeners.size(), "listener") + ", " +
            counted(config.virtual_mtas.size(), "virtual MTA") + ", " + counted(config.pools.size(), "pool") + ", " +
            counted(config.bindings.size(), "binding") + ", " + counted(config.shaping.size(), "shaping rule") + ".\n");
    }
    const Style style = output_style();
    std::string text;
    for (const config::Problem& problem : loaded.problems) text += problem.to_string() + "\n";
    print(text +
          paint("The configuration in " + directory + " has " + counted(loaded.problems.size(), "problem") + ".",
                Tone::Bad, style) +
          "\n");
}

void show(Context& context, const std::string& directory) {
    const config::LoadResult loaded = config_files::load_path(directory);
    if (loaded.config) return print(config::render(*loaded.config));
    context.fail(describe_problems(directory, loaded.problems));
}

}  // namespace

void register_config_commands(CLI::App& app, Context& context) {
    CLI::App* config = app.add_subcommand("config", "Check and show configurations; no server is needed");
    config->group("Configuration")->require_subcommand(1);

    // shared_ptr because CLI11 keeps the callbacks as long as the App.
    auto directory = std::make_shared<std::string>(kDefaultConfig);
    const auto add_directory = [&directory](CLI::App& command) {
        command.add_option("DIR", *directory, "Configuration directory, or one file (/etc/postfleet)")->type_name("");
    };
    CLI::App* checked = config->add_subcommand("check", "Is it right? Every problem with file, line and column");
    add_directory(*checked);
    checked->add_flag("--json", context.json, "Write JSON for programs instead of text for people");
    checked->callback([&context, directory] { check(context, *directory); });

    CLI::App* shown = config->add_subcommand("show", "All values in force as YAML, with where each comes from");
    add_directory(*shown);
    shown->callback([&context, directory] { show(context, *directory); });

    config->add_subcommand("reference", "Every key with its meaning, as Markdown")->callback([] {
        print(config::reference_page());
    });
    config->add_subcommand("schema", "The JSON Schema of the files, for editors")->callback([] {
        print(config::json_schema());
    });
}

}  // namespace postfleet::standalone
