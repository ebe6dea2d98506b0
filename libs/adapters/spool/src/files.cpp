#include "files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

namespace postfleet::spool {

namespace {

class PosixFile final : public File {
public:
    PosixFile(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}
    ~PosixFile() override { ::close(descriptor_); }

    Status write(std::uint64_t offset, std::span<iovec> parts) override {
        while (!parts.empty()) {
            auto count = static_cast<int>(std::min<std::size_t>(parts.size(), IOV_MAX));
            auto written = ::pwritev(descriptor_, parts.data(), count, static_cast<off_t>(offset));
            if (written < 0 && errno == EINTR) continue;
            if (written < 0) return system_error("write", path_, errno);
            if (written == 0) return system_error("write", path_, EIO);
            offset += static_cast<std::uint64_t>(written);
            parts = skip(parts, static_cast<std::size_t>(written));
        }
        return {};
    }

    Status sync() override {
        if (::fdatasync(descriptor_) != 0) return system_error("sync", path_, errno);
        return {};
    }

    Status read(std::uint64_t offset, char* to, std::size_t size) override {
        while (size > 0) {
            auto got = ::pread(descriptor_, to, size, static_cast<off_t>(offset));
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) return system_error("read", path_, errno);
            if (got == 0) return Error{ErrorKind::Corruption, path_ + " ends early"};
            offset += static_cast<std::uint64_t>(got);
            to += got;
            size -= static_cast<std::size_t>(got);
        }
        return {};
    }

private:
    static std::span<iovec> skip(std::span<iovec> parts, std::size_t octets) {
        while (!parts.empty() && octets >= parts.front().iov_len) {
            octets -= parts.front().iov_len;
            parts = parts.subspan(1);
        }
        if (octets > 0) {
            parts.front().iov_base = static_cast<char*>(parts.front().iov_base) + octets;
            parts.front().iov_len -= octets;
        }
        return parts;
    }

    int descriptor_;
    std::string path_;
};

class PosixFiles final : public Files {
public:
    Result<std::unique_ptr<File>> open(const std::string& path) override {
        auto descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
        if (descriptor < 0) return system_error("open", path, errno);
        return std::unique_ptr<File>(std::make_unique<PosixFile>(descriptor, path));
    }

    Result<std::unique_ptr<File>> create(const std::string& path, std::uint64_t size) override {
        auto descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (descriptor < 0) return system_error("create", path, errno);
        auto file = std::make_unique<PosixFile>(descriptor, path);
        if (auto filled = fill(descriptor, *file, path, size); !filled) return filled.error();
        if (::fsync(descriptor) != 0) return system_error("sync", path, errno);
        return std::unique_ptr<File>(std::move(file));
    }

    Status rename(const std::string& from, const std::string& to) override {
        if (::rename(from.c_str(), to.c_str()) != 0) return system_error("rename", from, errno);
        return {};
    }

    Status remove(const std::string& path) override {
        if (::unlink(path.c_str()) != 0 && errno != ENOENT) return system_error("remove", path, errno);
        return {};
    }

    Status sync_directory(const std::string& path) override {
        auto descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (descriptor < 0) return system_error("open", path, errno);
        auto failed = ::fsync(descriptor) != 0 ? errno : 0;
        ::close(descriptor);
        if (failed != 0) return system_error("sync", path, failed);
        return {};
    }

    Result<std::vector<std::string>> list(const std::string& directory) override {
        auto* stream = ::opendir(directory.c_str());
        if (stream == nullptr) return system_error("list", directory, errno);
        std::vector<std::string> names;
        while (const auto* entry = ::readdir(stream)) {
            std::string name = entry->d_name;
            if (name != "." && name != "..") names.push_back(std::move(name));
        }
        ::closedir(stream);
        std::ranges::sort(names);
        return names;
    }

    Result<std::uint64_t> free_octets(const std::string& path) override {
        struct statvfs facts {};
        if (::statvfs(path.c_str(), &facts) != 0) return system_error("look at", path, errno);
        return std::uint64_t{facts.f_bavail} * facts.f_frsize;
    }

private:
    // Reserving blocks costs next to nothing, and writing to them for the first time a little more than later;
    // filling the file with zeros would cost as much as all that is ever written to it.
    static Status fill(int descriptor, File& file, const std::string& path, std::uint64_t size) {
        int failed = 0;
        do {
            failed = ::fallocate(descriptor, 0, 0, static_cast<off_t>(size)) != 0 ? errno : 0;
        } while (failed == EINTR);
        if (failed == 0) return {};
        if (failed != EOPNOTSUPP && failed != ENOSYS) return system_error("create", path, failed);
        std::string zeros(std::min<std::uint64_t>(size, 1 << 20), '\0');
        for (std::uint64_t at = 0; at < size;) {
            iovec part{zeros.data(), static_cast<std::size_t>(std::min<std::uint64_t>(zeros.size(), size - at))};
            auto octets = part.iov_len;
            if (auto written = file.write(at, {&part, 1}); !written) return written;
            at += octets;
        }
        return {};
    }
};

ErrorKind kind_of(int number) {
    switch (number) {
        case ENOSPC:
        case EDQUOT:
        case EMFILE:
        case ENFILE:
        case ENOMEM: return ErrorKind::ResourceExhausted;
        case ENOENT: return ErrorKind::NotFound;
        case EACCES:
        case EPERM:
        case EROFS: return ErrorKind::PermissionDenied;
        default: return ErrorKind::Unavailable;
    }
}

}  // namespace

Files& real_files() {
    static PosixFiles files;
    return files;
}

Error system_error(const char* verb, const std::string& path, int number) {
    return {kind_of(number), std::string("cannot ") + verb + " " + path + ": " + std::strerror(number)};
}

}  // namespace postfleet::spool
