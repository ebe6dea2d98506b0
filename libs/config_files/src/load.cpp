#include "postfleet/config_files/load.hpp"

#include <fmt/format.h>
#include <netdb.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <utility>

#include "postfleet/base/id.hpp"
#include "postfleet/config_files/delivery_tls.hpp"
#include "postfleet/config_files/listener_tls.hpp"
#include "postfleet/config_files/passwords.hpp"
#include "postfleet/mail/address.hpp"
#include "postfleet/yaml/documents.hpp"

namespace postfleet::config_files {

namespace {

// Of a configuration that goes over the wire.
constexpr std::size_t kMostOctets = 32 << 20;

config::Environment environment_of_process(std::string directory) {
    config::Environment environment;
    environment.variable = [](std::string_view name) -> std::optional<std::string> {
        const char* value = std::getenv(std::string(name).c_str());
        return value == nullptr ? std::nullopt : std::optional<std::string>(value);
    };
    environment.hostname = machine_name();
    environment.directory = std::move(directory);
    return environment;
}

void check_readable(const std::string& file, const std::string& key, config::LoadResult& result) {
    if (file.empty() || ::access(file.c_str(), R_OK) == 0) return;
    const int error = errno;
    const auto origin = result.config->origins.find(key);
    result.problems.push_back({origin == result.config->origins.end() ? Origin{} : origin->second, key,
                               fmt::format("cannot read {}: {}", file, std::strerror(error))});
}

void check_listeners(config::LoadResult& result) {
    for (const auto& [name, listener] : result.config->listeners) {
        if (listener.tls == config::ListenerTls::None) continue;
        const auto loaded = load_listener_tls(*result.config, listener);
        if (const auto* problem = std::get_if<config::Problem>(&loaded)) result.problems.push_back(*problem);
    }
    for (const auto& [name, listener] : result.config->grpc_listeners) {
        if (auto problem = check_grpc_tls(*result.config, listener)) result.problems.push_back(*std::move(problem));
    }
}

// What the documents say, whatever the files that they name are like.
config::LoadResult load_documents(yaml::Documents&& read, const std::string& directory) {
    auto environment = environment_of_process(directory);
    environment.incomplete = !read.problems.empty();
    auto result = config::load_config(read.documents, environment);
    for (auto& problem : read.problems) result.problems.push_back({problem.origin, "", std::move(problem.text)});
    if (!result.problems.empty()) result.config = nullptr;
    return result;
}

config::LoadResult load(yaml::Documents&& read, const std::string& directory) {
    auto result = load_documents(std::move(read), directory);
    if (result.config) check_readable(result.config->dns.trust_anchor_file, "dns.trust_anchor_file", result);
    if (result.config) check_listeners(result);
    if (result.config) check_delivery_tls(*result.config, result.problems);
    if (result.config) load_passwords(*result.config, result.problems);
    if (result.config) load_secrets(*result.config, result.problems);
    if (!result.problems.empty()) result.config = nullptr;
    return result;
}

}  // namespace

config::LoadResult load_path(const std::string& path) {
    std::error_code error;
    auto absolute = std::filesystem::absolute(path, error).lexically_normal();
    const bool is_directory = std::filesystem::is_directory(absolute, error);
    return load(yaml::read_documents(path), (is_directory ? absolute : absolute.parent_path()).string());
}

config::LoadResult load_text(const std::string& text, const std::string& file_name, const std::string& directory) {
    return load(yaml::parse_text(text, file_name), directory);
}

Result<ConfigurationFiles> read_files(const std::string& path) {
    const auto names = yaml::list_documents(path);
    if (!names) return Error{names.error().kind, path + " " + names.error().text};
    ConfigurationFiles files;
    std::size_t octets = 0;
    for (const std::string& name : *names) {
        std::ifstream in(name, std::ios::binary);
        std::ostringstream content;
        content << in.rdbuf();
        if (!in) return Error{ErrorKind::Unavailable, fmt::format("cannot read {}: {}", name, std::strerror(errno))};
        octets += content.view().size();
        if (octets > kMostOctets) {
            return Error{ErrorKind::InvalidArgument, fmt::format("{} has more than {} MiB", path, kMostOctets >> 20)};
        }
        files[std::filesystem::path(name).filename().string()] = std::move(content).str();
    }
    return files;
}

std::string version_of(const ConfigurationFiles& files) {
    std::string all;
    for (const auto& [name, content] : files) {
        all += fmt::format("{} {} {} ", name.size(), content.size(), name);
        all += content;
    }
    return hash_event_id(all).to_string();
}

config::LoadResult load_files(const ConfigurationFiles& files, const std::string& directory) {
    yaml::Documents all;
    for (const auto& [name, content] : files) {
        yaml::Documents part = yaml::parse_text(content, name);
        std::move(part.documents.begin(), part.documents.end(), std::back_inserter(all.documents));
        std::move(part.problems.begin(), part.problems.end(), std::back_inserter(all.problems));
    }
    return load_documents(std::move(all), directory);
}

std::string to_string(const std::vector<config::Problem>& problems) {
    std::string out;
    for (const auto& problem : problems) out += problem.to_string() + "\n";
    return out;
}

std::string machine_name() {
    char name[256] = {};
    if (::gethostname(name, sizeof name - 1) != 0) return "localhost";
    addrinfo hints{};
    hints.ai_flags = AI_CANONNAME;
    addrinfo* found = nullptr;
    std::string out = name;
    if (::getaddrinfo(name, nullptr, &hints, &found) == 0) {
        const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
        if (found->ai_canonname != nullptr && std::strchr(found->ai_canonname, '.') != nullptr)
            out = found->ai_canonname;
    }
    const auto domain = normalize_domain(out);
    return domain ? *domain : "localhost";
}

}  // namespace postfleet::config_files
