#include "postfleet/config_files/listener_tls.hpp"

namespace postfleet::config_files {
namespace {

// Which of the keys an error is about: its text names the file.
std::string key_of(const config::Listener& listener, const std::string& text) {
    const auto names = [&text](const std::string& file) { return text.find(file) != std::string::npos; };
    if (names(listener.certificate)) return "certificate";
    if (names(listener.private_key)) return "private_key";
    if (!listener.client_ca.empty() && names(listener.client_ca)) return "client_ca";
    return "certificate";
}

}  // namespace

tls::ServerSettings tls_settings_of(const config::Listener& listener) {
    tls::ServerSettings settings;
    settings.certificate_file = listener.certificate;
    settings.private_key_file = listener.private_key;
    settings.client_ca_file = listener.client_ca;
    if (!listener.client_ca.empty()) settings.client_certificates = tls::ClientCertificates::Request;
    return settings;
}

std::variant<std::unique_ptr<tls::ServerContext>, config::Problem> load_listener_tls(const config::Config& config,
                                                                                     const config::Listener& listener) {
    auto context = tls::ServerContext::load(tls_settings_of(listener));
    if (context) return std::move(*context);
    config::Problem problem;
    problem.key = "listeners." + listener.name + "." + key_of(listener, context.error().text);
    problem.text = context.error().text;
    const auto origin = config.origins.find(problem.key);
    problem.origin = origin == config.origins.end() ? listener.origin : origin->second;
    return problem;
}

}  // namespace postfleet::config_files
