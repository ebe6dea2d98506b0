#include "postfleet/cluster_member/options.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "postfleet/base/text.hpp"
#include "postfleet/config_files/load.hpp"
#include "postfleet/runtime/build_info.hpp"

namespace postfleet::cluster_member {

namespace {

struct Texts {
    std::string routers = "127.0.0.1:7400", broker = "amqp://127.0.0.1", http;
};

Status take(const Texts& texts, MemberOptions& options) {
    options.routers.clear();
    std::string all;
    for (const auto address : split(texts.routers, ',')) {
        const auto trimmed = trim(address);
        if (trimmed.empty()) continue;
        options.routers.emplace_back(trimmed);
        all.append(all.empty() ? "" : ",").append(trimmed);
    }
    if (options.routers.empty()) return Error{ErrorKind::InvalidArgument, "--router: there is no address"};
    auto url = BrokerUrl::parse(texts.broker);
    if (!url) return Error{url.error().kind, "--broker: " + url.error().text};
    options.broker.url = *std::move(url);
    const auto http = Endpoint::parse(texts.http);
    if (!http) return Error{http.error().kind, "--http: " + http.error().text};
    options.http = *http;
    if (options.name.empty()) options.name = config_files::machine_name();
    return rpc::check_tls_files(options.tls, all);
}

}  // namespace

bool parse_member_options(int argc, char** argv, const MemberProgram& program, MemberOptions& options, int& exit_code) {
    CLI::App app(program.about, program.name);
    app.set_version_flag("--version", runtime::build_info().to_string());
    app.get_formatter()->column_width(36);
    app.footer(program.footer);
    Texts texts{.http = program.http};
    options.data_dir = program.data_dir;
    const auto add = [&](const char* name, std::string& value, const std::string& what, const char* variable,
                         const char* type) {
        app.add_option(name, value, what)->envname(variable)->type_name(type)->capture_default_str();
    };
    add("--router", texts.routers, "Routers, which have the configuration", "POSTFLEET_ROUTER", "ADDR:PORT,…");
    add("--broker", texts.broker, "RabbitMQ: amqp:// or amqps://user:password@host:port,host:port/vhost",
        "POSTFLEET_BROKER", "URL");
    add("--broker-password-file", options.broker.password_file, "Its password; read at every connection",
        "POSTFLEET_BROKER_PASSWORD_FILE", "FILE");
    add("--broker-ca", options.broker.ca_file, "CA of the broker's certificate; without it: the system's",
        "POSTFLEET_BROKER_CA", "FILE");
    add("--broker-certificate", options.broker.certificate, "Our certificate for the broker",
        "POSTFLEET_BROKER_CERTIFICATE", "FILE");
    add("--broker-key", options.broker.private_key, "Its private key", "POSTFLEET_BROKER_KEY", "FILE");
    add("--name", options.name, program.process_name_help, "POSTFLEET_NAME", "NAME");
    add("--data-dir", options.data_dir, "For what this process keeps", "POSTFLEET_DATA_DIR", "DIR");
    add("--files", options.files, "Where files are that the configuration names by relative paths", "POSTFLEET_FILES",
        "DIR");
    add("--http", texts.http, "/metrics, /healthz/live, /healthz/ready", "POSTFLEET_HTTP", "ADDR:PORT");
    if (!program.control.empty()) {
        options.control = program.control;
        add("--control", options.control, "Where operators' commands are answered (gRPC); port 0: any",
            "POSTFLEET_CONTROL", "ADDR:PORT");
        add("--advertise", options.advertise,
            "The same as `postfleet --router` reaches it; without it: --control, or this machine's name for 0.0.0.0",
            "POSTFLEET_ADVERTISE", "HOST:PORT");
    }
    add("--tls-ca", options.tls.ca, "CA of the cluster's certificates", "POSTFLEET_TLS_CA", "FILE");
    add("--tls-certificate", options.tls.certificate, "This service's certificate", "POSTFLEET_TLS_CERTIFICATE",
        "FILE");
    add("--tls-key", options.tls.private_key, "Its private key", "POSTFLEET_TLS_KEY", "FILE");
    app.add_flag("--unsafe-plaintext", options.tls.unsafe_plaintext,
                 "Without certificates, also to routers that are not on this machine: for a network that nobody else "
                 "is on")
        ->envname("POSTFLEET_UNSAFE_PLAINTEXT");
    add("--log", options.log, "Log file; without it: standard error", "POSTFLEET_LOG", "FILE");
    bool is_verbose = false;
    app.add_flag("--debug", is_verbose, "Log more")->envname("POSTFLEET_DEBUG");
    const auto refuse = [&](const char* why) {
        std::fprintf(stderr, "%s: %s; see `%s --help`\n", program.name.c_str(), why, program.name.c_str());
        exit_code = 2;
        return false;
    };
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() != 0) return refuse(error.what());
        exit_code = app.exit(error);  // --help, --version
        return false;
    }
    if (is_verbose) options.log_level = LogLevel::Debug;
    if (const auto taken = take(texts, options); !taken) return refuse(taken.error().text.c_str());
    return true;
}

}  // namespace postfleet::cluster_member
