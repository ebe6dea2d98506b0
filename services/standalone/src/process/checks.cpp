#include "checks.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>
#include <string>

namespace postfleet::standalone {
namespace {

namespace fs = std::filesystem;

std::string place(const config::Config& config, const std::string& key, const Origin& otherwise = {}) {
    const auto found = config.origins.find(key);
    const Origin& origin = found != config.origins.end() ? found->second : otherwise;
    return origin.file.empty() ? key : origin.to_string() + ": " + key;
}

// What may be there before the first start: our own files, what mkfs makes, hidden files.
bool may_be_ours(const config::Config& config, const std::string& name) {
    if (name == "lost+found" || name.starts_with('.')) return true;
    std::set<std::string> ours{fs::path(config.control_socket).filename(), fs::path(config.log.path).filename()};
    for (const config::Report& report : config.reports) ours.insert(fs::path(report.path).filename());
    for (const auto& [pickup_name, pickup] : config.pickups) {
        ours.insert(fs::path(pickup.directory).filename());
        ours.insert(fs::path(pickup.bad_directory).filename());
    }
    for (const std::string& own : ours) {
        if (!own.empty() && name.starts_with(own)) return true;  // with what rotation adds
    }
    return false;
}

}  // namespace

Error describe_problems(const std::string& config_path, const std::vector<config::Problem>& problems) {
    if (problems.size() == 1) {
        const config::Problem& only = problems.front();
        const bool has_place = only.origin.line > 0;
        return {ErrorKind::InvalidArgument, has_place ? config_path + ": " + only.to_string() : only.to_string()};
    }
    std::string text = "the configuration in " + config_path + " has " + std::to_string(problems.size()) + " problems:";
    for (const config::Problem& problem : problems) text += "\n  " + problem.to_string();
    return {ErrorKind::InvalidArgument, text};
}

std::string spool_directory(const config::Config& config) { return (fs::path(config.data_dir) / "spool").string(); }

Status prepare_data_directory(const config::Config& config) {
    const std::string where = place(config, "data_dir");
    const fs::path directory = config.data_dir;
    std::error_code failed;
    if (fs::exists(directory, failed) && !fs::is_directory(directory, failed)) {
        return Error{ErrorKind::InvalidArgument, where + ": " + config.data_dir + " is not a directory"};
    }
    fs::create_directories(directory, failed);
    if (failed) {
        return Error{ErrorKind::PermissionDenied, where + ": cannot make the directory " + config.data_dir + ": " +
                                                      failed.message() + "; make it, or name another one"};
    }
    if (::access(config.data_dir.c_str(), R_OK | W_OK | X_OK) != 0) {
        return Error{ErrorKind::PermissionDenied,
                     where + ": cannot write into " + config.data_dir + ": " + std::strerror(errno) +
                         "; give it to the user that Postfleet runs as (chown), or name another one"};
    }
    if (fs::exists(spool_directory(config), failed)) return {};
    for (const fs::directory_entry& entry : fs::directory_iterator(directory, failed)) {
        const std::string name = entry.path().filename();
        if (may_be_ours(config, name)) continue;
        return Error{ErrorKind::InvalidArgument, where + ": " + config.data_dir + " holds other files ('" + name +
                                                     "') and no spool of Postfleet; name an empty or a new directory"};
    }
    return {};
}

}  // namespace postfleet::standalone
