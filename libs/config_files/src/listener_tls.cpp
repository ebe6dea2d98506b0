#include "postfleet/config_files/listener_tls.hpp"

namespace postfleet::config_files {
namespace {

// Which of the keys an error is about: its text names the file.
template <class Listener>
std::string key_of(const Listener& listener, const std::string& text) {
    const auto names = [&text](const std::string& file) { return text.find(file) != std::string::npos; };
    if (names(listener.certificate)) return "certificate";
    if (names(listener.private_key)) return "private_key";
    if (!listener.client_ca.empty() && names(listener.client_ca)) return "client_ca";
    return "certificate";
}

template <class Listener>
tls::ServerSettings settings_of(const Listener& listener) {
    tls::ServerSettings settings;
    settings.certificate_file = listener.certificate;
    settings.private_key_file = listener.private_key;
    settings.client_ca_file = listener.client_ca;
    if (!listener.client_ca.empty()) settings.client_certificates = tls::ClientCertificates::Request;
    return settings;
}

// `section`: "listeners".
template <class Listener>
config::Problem problem_of(const config::Config& config, const std::string& section, const Listener& listener,
                           const Error& error) {
    config::Problem problem;
    problem.key = section + "." + listener.name + "." + key_of(listener, error.text);
    problem.text = error.text;
    const auto origin = config.origins.find(problem.key);
    problem.origin = origin == config.origins.end() ? listener.origin : origin->second;
    return problem;
}

}  // namespace

tls::ServerSettings tls_settings_of(const config::Listener& listener) { return settings_of(listener); }

std::variant<std::unique_ptr<tls::ServerContext>, config::Problem> load_listener_tls(const config::Config& config,
                                                                                     const config::Listener& listener) {
    auto context = tls::ServerContext::load(tls_settings_of(listener));
    if (context) return std::move(*context);
    return problem_of(config, "listeners", listener, context.error());
}

std::optional<config::Problem> check_grpc_tls(const config::Config& config, const config::GrpcListener& listener) {
    if (listener.certificate.empty()) return std::nullopt;
    const auto context = tls::ServerContext::load(settings_of(listener));
    if (context) return std::nullopt;
    return problem_of(config, "grpc_listeners", listener, context.error());
}

}  // namespace postfleet::config_files
