#include "kept.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "postfleet/base/id.hpp"

namespace postfleet::rpc {

namespace {

// "postfleet kept 1 <32 hexadecimal digits of a hash>\n", then the octets.
constexpr std::string_view kHead = "postfleet kept 1 ";
constexpr std::size_t kHeadOctets = kHead.size() + 32 + 1;

Error failure(const std::string& path, const char* what) {
    return {ErrorKind::Unavailable, path + ": cannot be " + what + ": " + std::strerror(errno)};
}

bool write_all(int file, std::string_view octets) {
    while (!octets.empty()) {
        const ssize_t written = ::write(file, octets.data(), octets.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        octets.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
}

Status sync_directory(const std::string& path) {
    const int directory = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return failure(path, "opened");
    const bool synced = ::fsync(directory) == 0;
    ::close(directory);
    return synced ? Status() : failure(path, "synced");
}

}  // namespace

std::string kept_head(std::string_view content) {
    return std::string(kHead) + hash_event_id(content).to_string() + "\n";
}

std::optional<std::string> content_of_kept(std::string_view octets) {
    if (octets.size() < kHeadOctets) return std::nullopt;
    const std::string_view content = octets.substr(kHeadOctets);
    if (octets.substr(0, kHeadOctets) != kept_head(content)) return std::nullopt;
    return std::string(content);
}

Result<std::string> KeptFile::read() const {
    std::error_code failed;
    if (!std::filesystem::exists(path_, failed)) return Error{ErrorKind::NotFound, path_ + " is not there"};
    std::ifstream file(path_, std::ios::binary);
    std::ostringstream all;
    all << file.rdbuf();
    if (!file) return failure(path_, "read");
    if (auto content = content_of_kept(std::move(all).str())) return *std::move(content);
    return Error{ErrorKind::Corruption, path_ + " is not what was written"};
}

Status KeptFile::write(std::string_view octets) const {
    const std::string next = path_ + ".new";
    const int file = ::open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0) return failure(next, "made");
    const bool written = write_all(file, kept_head(octets)) && write_all(file, octets) && ::fsync(file) == 0;
    const int error = errno;
    ::close(file);
    errno = error;
    if (!written) return failure(next, "written");
    if (::rename(next.c_str(), path_.c_str()) != 0) return failure(path_, "replaced");
    return sync_directory(std::filesystem::path(path_).parent_path().string());
}

}  // namespace postfleet::rpc
