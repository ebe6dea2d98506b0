// `postfleet resolve DOMAIN`: where its mail goes and why; by the running process, or by the files of --config.
#include "../cli/terminal.hpp"
#include "postfleet/control/explain_domain.hpp"
#include "postfleet/control/immediate_executor.hpp"
#include "../process/checks.hpp"
#include "commands.hpp"
#include "postfleet/base/metrics.hpp"
#include "postfleet/config_files/load.hpp"
#include "postfleet/curl/client.hpp"
#include "postfleet/dns/unbound_resolver.hpp"
#include "postfleet/standalone/views.hpp"

namespace postfleet::standalone {

using control::DomainQuestion;
using control::explain_domain;
using control::ImmediateExecutor;
namespace {

Result<std::string> resolve_by_files(const Context& context, const DomainQuestion& question) {
    const config::LoadResult loaded = config_files::load_path(context.config);
    if (!loaded.config) return describe_problems(context.config, loaded.problems);
    const config::Dns& dns = loaded.config->dns;
    Metrics metrics;
    ImmediateExecutor executor;
    curl::Client http;
    auto resolver = dns::UnboundResolver::create({.servers = dns.servers,
                                                  .timeout = dns.timeout,
                                                  .max_outstanding = dns.max_outstanding,
                                                  .trust_anchor_file = dns.trust_anchor_file},
                                                 metrics);
    if (!resolver) return Error{resolver.error().kind, "dns: " + resolver.error().text};
    return explain_domain(question, *loaded.config, {**resolver, executor, &http});
}

Result<std::string> ask(const Context& context, const DomainQuestion& question) {
    Result<std::string> answer =
        context.call("resolve", {{"domain", question.domain}, {"virtual_mta", question.virtual_mta}});
    if (answer || answer.error().kind != ErrorKind::Unavailable || context.config.empty()) return answer;
    if (!context.json) {
        std::fprintf(stderr, "postfleet: no server runs by %s; this is what its files and DNS say\n",
                     context.config.c_str());
    }
    return resolve_by_files(context, question);
}

void resolve(Context& context, const DomainQuestion& question) {
    const Result<std::string> answer = ask(context, question);
    if (!answer) return context.fail(answer.error());
    if (context.json) return print(*answer + "\n");
    const Result<std::string> text = view_resolution(*answer, output_style());
    return text ? print(*text) : context.fail(text.error());
}

}  // namespace

void register_resolve_command(CLI::App& app, Context& context) {
    // shared_ptr because CLI11 keeps the callbacks as long as the App.
    auto question = std::make_shared<DomainQuestion>();
    CLI::App* command = app.add_subcommand("resolve", "Where mail for a domain goes, and why");
    command->group("Look");
    add_connection_options(*command, context);
    command->add_option("DOMAIN", question->domain, "A domain, or an address in it")->required()->type_name("");
    command->add_option("--virtual-mta", question->virtual_mta, "Show the settings of this virtual MTA's queue")
        ->type_name("NAME");
    command->callback([&context, question] { resolve(context, *question); });
}

}  // namespace postfleet::standalone
