#include "spool_directory.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "files.hpp"

namespace postfleet::spool {

namespace {

namespace fs = std::filesystem;

constexpr const char* kMarker = "postfleet-spool";
constexpr unsigned kDirectoryVersion = 1;

std::string hex_of(const SpoolId& id) {
    constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    for (auto octet : id) {
        text.push_back(kDigits[octet >> 4]);
        text.push_back(kDigits[octet & 15]);
    }
    return text;
}

bool parse_hex(std::string_view text, SpoolId& id) {
    if (text.size() != 2 * id.size()) return false;
    for (std::size_t i = 0; i < id.size(); i++) {
        auto pair = text.substr(2 * i, 2);
        auto [end, error] = std::from_chars(pair.data(), pair.data() + 2, id[i], 16);
        if (error != std::errc{} || end != pair.data() + 2) return false;
    }
    return true;
}

SpoolId random_id() {
    std::random_device random;
    SpoolId id;
    for (auto& octet : id) octet = static_cast<std::uint8_t>(random());
    return id;
}

}  // namespace

SpoolDirectory::~SpoolDirectory() {
    if (lock_ >= 0) ::close(lock_);
}

Result<std::unique_ptr<SpoolDirectory>> SpoolDirectory::open(const std::string& path) {
    std::unique_ptr<SpoolDirectory> directory(new SpoolDirectory(path));
    std::error_code error;
    fs::create_directories(path, error);
    if (error) return system_error("create the spool directory", path, error.value());
    bool has_marker = fs::exists(path + "/" + kMarker, error);
    if (error) return system_error("look into", path, error.value());
    if (!has_marker) {
        for (auto& entry : fs::directory_iterator(path, error)) {
            auto name = entry.path().filename().string();
            // What remains of a first start that was cut short.
            if (name == "LOCK" || name == std::string(kMarker) + ".new" || name == "lost+found") continue;
            return Error{ErrorKind::InvalidArgument, path + " is not a Postfleet spool (it has " + name + " but no " +
                                                         kMarker + "): give data_dir another directory, or empty it"};
        }
        if (error) return system_error("list", path, error.value());
    }
    if (auto locked = directory->lock(); !locked) return locked.error();
    auto marked = has_marker ? directory->read_marker() : directory->write_marker();
    if (!marked) return marked.error();
    for (auto& made : {directory->log(), directory->index()}) {
        fs::create_directories(made, error);
        if (error) return system_error("create", made, error.value());
    }
    if (auto synced = directory->sync_names(); !synced) return synced.error();
    return directory;
}

// A name survives a power loss only when the directory that it stands in was synced: ours, and those above it, which
// may have been made a moment ago. Beyond the file system, and where we may not look, none of them was made for us.
Status SpoolDirectory::sync_names() const {
    std::error_code error;
    struct ::stat ours {};
    fs::path directory = fs::canonical(path_, error);
    if (error || ::stat(directory.c_str(), &ours) != 0) return system_error("look at", path_, errno);
    for (;;) {
        if (auto synced = real_files().sync_directory(directory.string()); !synced) {
            return synced.error().kind == ErrorKind::PermissionDenied ? Status() : synced;
        }
        struct ::stat above {};
        if (directory == directory.root_path() || ::stat(directory.parent_path().c_str(), &above) != 0) return {};
        if (above.st_dev != ours.st_dev) return {};
        directory = directory.parent_path();
    }
}

Status SpoolDirectory::lock() {
    auto path = path_ + "/LOCK";
    lock_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (lock_ < 0) return system_error("write to the spool: cannot open", path, errno);
    if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) return system_error("lock", path, errno);
        char holder[32] = {};
        auto size = ::pread(lock_, holder, sizeof holder - 1, 0);
        std::string process(holder, size > 0 ? static_cast<std::size_t>(size) : 0);
        while (!process.empty() && process.back() == '\n') process.pop_back();
        return Error{ErrorKind::AlreadyExists, "spool " + path_ + " is in use by process " +
                                                   (process.empty() ? "(unknown)" : process) +
                                                   ": stop that one, or give this one another data_dir"};
    }
    auto process = std::to_string(::getpid()) + "\n";
    if (::ftruncate(lock_, 0) != 0 || ::pwrite(lock_, process.data(), process.size(), 0) < 0) {
        return system_error("write", path, errno);
    }
    return {};
}

Status SpoolDirectory::read_marker() {
    auto path = path_ + "/" + kMarker;
    std::ifstream file(path);
    if (!file) return system_error("read", path, errno);
    std::string magic, id_word, id;
    unsigned version = 0;
    file >> magic >> version >> id_word >> id;
    if (!file || magic != kMarker || id_word != "id" || !parse_hex(id, id_)) {
        return Error{ErrorKind::Corruption, path + " is damaged: restore it; its lines are \"" + kMarker +
                                                " 1\" and \"id\" with the 32 digits that " + log() + " names"};
    }
    if (version > kDirectoryVersion) {
        return Error{ErrorKind::InvalidArgument, "spool " + path_ + " has format " + std::to_string(version) +
                                                     ", and this Postfleet knows up to " +
                                                     std::to_string(kDirectoryVersion) + ": start the newer Postfleet"};
    }
    id_text_ = id;
    return {};
}

Status SpoolDirectory::write_marker() {
    id_ = random_id();
    id_text_ = hex_of(id_);
    auto path = path_ + "/" + kMarker, draft = path + ".new";
    auto text = std::string(kMarker) + " " + std::to_string(kDirectoryVersion) + "\nid " + id_text_ + "\n";
    auto file = real_files().create(draft, text.size());
    if (!file) return file.error();
    iovec part{text.data(), text.size()};
    if (auto written = (*file)->write(0, {&part, 1}); !written) return written;
    if (auto synced = (*file)->sync(); !synced) return synced;
    if (auto renamed = real_files().rename(draft, path); !renamed) return renamed;
    return real_files().sync_directory(path_);
}

}  // namespace postfleet::spool
