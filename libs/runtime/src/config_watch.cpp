#include "postfleet/runtime/config_watch.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <vector>

namespace postfleet::runtime {
namespace {

namespace fs = std::filesystem;

std::string facts_of(const fs::path& file) {
    struct ::stat facts {};
    if (::stat(file.c_str(), &facts) != 0) return file.string() + "?\n";
    return file.string() + ' ' + std::to_string(facts.st_ino) + ' ' + std::to_string(facts.st_size) + ' ' +
           std::to_string(facts.st_mtim.tv_sec) + '.' + std::to_string(facts.st_mtim.tv_nsec) + '\n';
}

}  // namespace

ConfigWatch::ConfigWatch(std::string path) : path_(std::move(path)) { accept(); }

bool ConfigWatch::is_changed() {
    std::string now = fingerprint();
    const bool at_rest = now == last_look_;
    last_look_ = std::move(now);
    if (!at_rest || last_look_ == known_) return false;
    known_ = last_look_;
    return true;
}

void ConfigWatch::accept() { known_ = last_look_ = fingerprint(); }

std::string ConfigWatch::fingerprint() const {
    std::error_code failed;
    std::vector<std::string> facts;
    if (!fs::is_directory(path_, failed)) return facts_of(path_);
    for (const fs::directory_entry& entry : fs::directory_iterator(path_, failed)) {
        const std::string extension = entry.path().extension().string();
        const bool hidden = entry.path().filename().string().starts_with('.');
        if (!hidden && (extension == ".yaml" || extension == ".yml")) facts.push_back(facts_of(entry.path()));
    }
    std::sort(facts.begin(), facts.end());
    std::string all;
    for (const std::string& fact : facts) all += fact;
    return all;
}

}  // namespace postfleet::runtime
