// The command groups of `postfleet`: each registers its sub-commands; a command sets Context::exit_code.
#pragma once

#include "../cli/context.hpp"

namespace postfleet::standalone {

void register_config_commands(CLI::App& app, Context& context);
void register_status_commands(CLI::App& app, Context& context);  // status, reload
void register_show_commands(CLI::App& app, Context& context);
void register_mail_commands(CLI::App& app, Context& context);     // list, set-mode, and the orders
void register_order_commands(CLI::App& app, Context& context);    // pause, resume, retry, delete …
void register_source_commands(CLI::App& app, Context& context);   // disable source, enable source
void register_cluster_commands(CLI::App& app, Context& context);  // takeover, release, show senders
// `show message`, and `trace ID`.
void show_message(Context& context, const std::string& message);
void register_suppressions_command(CLI::App& app, Context& context);
void register_trace_command(CLI::App& app, Context& context);
void register_classify_command(CLI::App& app, Context& context);
void register_resolve_command(CLI::App& app, Context& context);
void register_top_command(CLI::App& app, Context& context);
void register_dkim_commands(CLI::App& app, Context& context);  // dkim key, dkim check
void register_hash_password_command(CLI::App& app, Context& context);
void register_version_command(CLI::App& app, Context& context);

}  // namespace postfleet::standalone
