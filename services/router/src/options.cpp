#include "options.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "postfleet/runtime/build_info.hpp"

namespace postfleet::router {

namespace {

constexpr const char* kAbout =
    "postfleet-router: the control plane of a Postfleet cluster.\n"
    "\n"
    "It alone reads the configuration directory; it checks what changed there and gives it to the other services. It "
    "keeps\n"
    "orders, idempotency keys, suppressions, and which spool each sender's name belongs to. Several routers may share "
    "a\n"
    "PostgreSQL database; one alone needs none.\n";

constexpr const char* kFooter =
    "SIGHUP, `postfleet reload` and a changed file activate the configuration, if it is right; SIGTERM stops the "
    "router.\n"
    "`postfleet takeover`, `postfleet show senders` … find it by --socket (or POSTFLEET_SOCKET).";

}  // namespace

bool parse_options(int argc, char** argv, Options& options, int& exit_code) {
    CLI::App app(kAbout, "postfleet-router");
    app.set_version_flag("--version", runtime::build_info().to_string());
    app.get_formatter()->column_width(34);
    app.footer(kFooter);
    const auto add = [&](const char* name, std::string& value, const char* what, const char* variable,
                         const char* type) {
        app.add_option(name, value, what)->envname(variable)->type_name(type)->capture_default_str();
    };
    add("--config", options.config, "Configuration directory, or one file", "POSTFLEET_CONFIG", "DIR");
    add("--data-dir", options.data_dir, "For the state in SQLite and the control socket", "POSTFLEET_DATA_DIR", "DIR");
    add("--state", options.state,
        "PostgreSQL that routers share: postgresql://user@host/database; without it: SQLite in the data directory",
        "POSTFLEET_STATE", "URL");
    add("--listen", options.listen, "Where the other services call (gRPC)", "POSTFLEET_LISTEN", "ADDR:PORT");
    add("--http", options.http, "/metrics, /healthz/live, /healthz/ready", "POSTFLEET_HTTP", "ADDR:PORT");
    add("--tls-ca", options.tls.ca, "CA of the cluster's certificates", "POSTFLEET_TLS_CA", "FILE");
    add("--tls-certificate", options.tls.certificate, "This service's certificate", "POSTFLEET_TLS_CERTIFICATE",
        "FILE");
    add("--tls-key", options.tls.private_key, "Its private key", "POSTFLEET_TLS_KEY", "FILE");
    app.add_flag("--unsafe-plaintext", options.tls.unsafe_plaintext,
                 "Without certificates, also on other addresses than loopback's: for a network that nobody else is on")
        ->envname("POSTFLEET_UNSAFE_PLAINTEXT");
    add("--socket", options.socket, "Control socket (DATA-DIR/control.sock)", "POSTFLEET_SOCKET", "PATH");
    add("--log", options.log, "Log file; without it: standard error", "POSTFLEET_LOG", "FILE");
    bool is_verbose = false;
    app.add_flag("--debug", is_verbose, "Log more")->envname("POSTFLEET_DEBUG");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0) {
            exit_code = app.exit(error);  // --help, --version
            return false;
        }
        std::fprintf(stderr, "postfleet-router: %s; see `postfleet-router --help`\n", error.what());
        exit_code = 2;
        return false;
    }
    if (is_verbose) options.log_level = LogLevel::Debug;
    if (options.socket.empty()) options.socket = options.data_dir + "/control.sock";
    return true;
}

}  // namespace postfleet::router
