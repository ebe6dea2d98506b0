#include "postfleet/config_files/delivery_tls.hpp"

#include <algorithm>
#include <string>

#include "postfleet/tls/client.hpp"

namespace postfleet::config_files {
namespace {

TlsRules rules_of(const config::ShapingKeys& keys) {
    TlsRules rules;
    if (keys.tls_ca_file) rules.ca_file = keys.tls_ca_file->text;
    if (keys.tls_certificate) rules.certificate_file = keys.tls_certificate->text;
    if (keys.tls_private_key) rules.private_key_file = keys.tls_private_key->text;
    if (keys.tls_ciphers) rules.tls12_ciphers = keys.tls_ciphers->text;
    if (keys.tls_min_version == config::TlsMinVersion::Tls13) rules.lowest_version = TlsVersion::Tls13;
    return rules;
}

// Which of the keys an error is about: its text names the file, or says ciphers.
std::string key_of(const TlsRules& rules, const std::string& text) {
    const auto names = [&text](const std::string& file) {
        return !file.empty() && text.find(file) != std::string::npos;
    };
    if (names(rules.certificate_file) && !text.starts_with("private key")) return "tls_certificate";
    if (names(rules.private_key_file)) return "tls_private_key";
    if (names(rules.ca_file)) return "tls_ca_file";
    return names(rules.certificate_file) ? "tls_certificate" : "tls_ciphers";
}

void check_https_client(const config::Config& config, std::vector<config::Problem>& problems) {
    if (config.https_client.ca_file.empty()) return;
    const auto context = tls::ClientContext::load(tls::settings_of({.ca_file = config.https_client.ca_file}));
    if (context) return;
    config::Problem problem;
    problem.key = "https_client.ca_file";
    problem.text = context.error().text;
    const auto origin = config.origins.find(problem.key);
    if (origin != config.origins.end()) problem.origin = origin->second;
    problems.push_back(std::move(problem));
}

}  // namespace

std::vector<TlsRules> delivery_tls_rules(const config::Config& config) {
    std::vector<TlsRules> all{TlsRules{}};
    for (const config::ShapingRule& rule : config.shaping) {
        const TlsRules rules = rules_of(rule.keys);
        if (std::find(all.begin(), all.end(), rules) == all.end()) all.push_back(rules);
    }
    return all;
}

void check_delivery_tls(const config::Config& config, std::vector<config::Problem>& problems) {
    check_https_client(config, problems);
    for (std::size_t i = 0; i < config.shaping.size(); ++i) {
        const TlsRules rules = rules_of(config.shaping[i].keys);
        if (rules == TlsRules{}) continue;
        const auto context = tls::ClientContext::load(tls::settings_of(rules));
        if (context) continue;
        config::Problem problem;
        problem.key = "shaping[" + std::to_string(i) + "]." + key_of(rules, context.error().text);
        problem.text = context.error().text;
        const auto origin = config.origins.find(problem.key);
        problem.origin = origin == config.origins.end() ? config.shaping[i].origin : origin->second;
        problems.push_back(std::move(problem));
    }
}

}  // namespace postfleet::config_files
