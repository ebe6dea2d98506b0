#include "pickup_directory.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "postfleet/base/text.hpp"

namespace postfleet::ingest {
namespace {

constexpr const char* kPrivateName = ".postfleet";
constexpr std::size_t kIdLength = 36;
// NAME_MAX, less what `.reason` and an id in front may add.
constexpr std::size_t kMaxKeptName = 200;

Error system_error(const std::string& what) {
    const int number = errno;
    const ErrorKind kind = number == EACCES || number == EPERM ? ErrorKind::PermissionDenied
                           : number == ENOENT                  ? ErrorKind::NotFound
                           : number == EEXIST                  ? ErrorKind::AlreadyExists
                           : number == ENOSPC || number == EDQUOT || number == EMFILE || number == ENFILE
                               ? ErrorKind::ResourceExhausted
                               : ErrorKind::Unavailable;
    return {kind, what + ": " + std::strerror(number)};
}

net::UniqueFd open_directory(int at, const char* name, int extra = 0) {
    return net::UniqueFd(::openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | extra));
}

Status write_all(int fd, std::string_view text, const std::string& name) {
    while (!text.empty()) {
        const ssize_t written = ::write(fd, text.data(), text.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return system_error("cannot write " + name);
        text.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
}

WallTime time_of(const struct timespec& time) {
    return from_unix_microseconds(std::int64_t{time.tv_sec} * 1'000'000 + time.tv_nsec / 1'000);
}

const char* kind_of(mode_t mode) {
    if (S_ISLNK(mode)) return "a symbolic link";
    if (S_ISFIFO(mode)) return "a FIFO";
    if (S_ISSOCK(mode)) return "a socket";
    if (S_ISDIR(mode)) return "a directory";
    return "a device";
}

}  // namespace

Result<std::unique_ptr<PickupDirectory>> PickupDirectory::open(const Settings& settings) {
    std::unique_ptr<PickupDirectory> made(new PickupDirectory(settings));
    if (Status opened = made->open_all(); !opened) return opened.error();
    return made;
}

Status PickupDirectory::open_all() {
    const std::string& path = settings_.directory;
    directory_ = open_directory(AT_FDCWD, path.c_str());
    if (!directory_) {
        return Error{ErrorKind::InvalidArgument, "directory: " + path + ": " + std::strerror(errno) +
                                                     "; make it, so that only who may send mail can write there"};
    }
    struct stat facts {};
    if (::fstat(directory_.get(), &facts) != 0) return system_error("directory: " + path);
    if ((facts.st_mode & S_IWOTH) != 0) {
        return Error{ErrorKind::InvalidArgument,
                     "directory: " + path + " is writable by everybody, who could all send mail; chmod o-w it"};
    }
    if (::faccessat(directory_.get(), ".", R_OK | W_OK | X_OK, AT_EACCESS) != 0) {
        return Error{ErrorKind::PermissionDenied,
                     "directory: cannot take files out of " + path + ": " + std::strerror(errno)};
    }
    const std::string& bad = settings_.bad_directory;
    if (::mkdir(bad.c_str(), 0750) != 0 && errno != EEXIST) return system_error("bad_directory: cannot make " + bad);
    bad_ = open_directory(AT_FDCWD, bad.c_str());
    if (!bad_) return system_error("bad_directory: " + bad);
    if (::faccessat(bad_.get(), ".", W_OK | X_OK, AT_EACCESS) != 0) {
        return system_error("bad_directory: cannot put files into " + bad);
    }
    struct stat bad_facts {};
    if (::fstat(bad_.get(), &bad_facts) != 0) return system_error("bad_directory: " + bad);
    if (bad_facts.st_dev != facts.st_dev) {
        return Error{ErrorKind::InvalidArgument, "bad_directory: " + bad + " must be on the file system of " + path};
    }
    return open_private();
}

Status PickupDirectory::open_private() {
    const std::string name = settings_.directory + "/" + kPrivateName;
    if (::mkdirat(directory_.get(), kPrivateName, 0700) != 0 && errno != EEXIST) {
        return system_error("directory: cannot make " + name);
    }
    private_ = open_directory(directory_.get(), kPrivateName, O_NOFOLLOW);
    if (!private_) return system_error("directory: " + name);
    struct stat facts {};
    if (::fstat(private_.get(), &facts) != 0) return system_error("directory: " + name);
    if (facts.st_uid != ::geteuid() || (facts.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return Error{ErrorKind::InvalidArgument,
                     "directory: " + name + " is not private to the user that Postfleet runs as (mode 0700)"};
    }
    if (::flock(private_.get(), LOCK_EX | LOCK_NB) != 0) {
        return Error{ErrorKind::AlreadyExists, "directory: another process takes the files of " + settings_.directory};
    }
    return {};
}

std::optional<std::string> PickupDirectory::next_name() {
    if (listing_ == nullptr) {
        // A descriptor of its own: closedir() closes it.
        const int fd = ::openat(directory_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) return std::nullopt;
        listing_.reset(::fdopendir(fd));
        if (listing_ == nullptr) {
            ::close(fd);
            return std::nullopt;
        }
    }
    while (const dirent* entry = ::readdir(listing_.get())) {
        if (entry->d_name[0] == '.' || entry->d_type == DT_DIR) continue;
        return std::string(entry->d_name);
    }
    listing_.reset();
    return std::nullopt;
}

std::vector<Claim> PickupDirectory::leftovers(std::size_t limit) const {
    std::vector<Claim> claims;
    const int fd = ::openat(private_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return claims;
    const Listing listing(::fdopendir(fd));
    if (listing == nullptr) {
        ::close(fd);
        return claims;
    }
    while (const dirent* entry = ::readdir(listing.get())) {
        const std::string name = entry->d_name;
        if (name.size() <= kIdLength + 1 || name[kIdLength] != '.') continue;
        const auto id = MessageId::parse(std::string_view(name).substr(0, kIdLength));
        if (!id) continue;
        claims.push_back({*id, name, name.substr(kIdLength + 1)});
        if (claims.size() == limit) break;
    }
    return claims;
}

std::optional<WallTime> PickupDirectory::changed_at(const std::string& name) const {
    struct stat facts {};
    if (::fstatat(directory_.get(), name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) != 0) return std::nullopt;
    if (S_ISDIR(facts.st_mode)) return std::nullopt;
    return std::max(time_of(facts.st_mtim), time_of(facts.st_ctim));
}

Result<std::optional<Claim>> PickupDirectory::claim(const std::string& name, const MessageId& id) const {
    Claim claim{.id = id, .name = {}, .original = name.substr(0, kMaxKeptName)};
    claim.name = id.to_string() + "." + claim.original;
    if (::renameat2(directory_.get(), name.c_str(), private_.get(), claim.name.c_str(), RENAME_NOREPLACE) == 0) {
        return std::optional<Claim>(std::move(claim));
    }
    if (errno == ENOENT) return std::optional<Claim>();
    return system_error("cannot take " + printable(name));
}

Result<PickupDirectory::OpenFile> PickupDirectory::open_claimed(const Claim& claim) const {
    OpenFile file;
    const char* name = claim.name.c_str();
    if (::fstatat(private_.get(), name, &file.facts, AT_SYMLINK_NOFOLLOW) != 0) {
        return system_error("cannot look at " + printable(claim.original));
    }
    const auto refuse = [](std::string why) { return Error{ErrorKind::PermissionDenied, std::move(why)}; };
    if (!S_ISREG(file.facts.st_mode))
        return refuse(std::string("it is ") + kind_of(file.facts.st_mode) + ", not a file");
    if (file.facts.st_nlink != 1)
        return refuse("it has more than one name (hard links), and could be changed by another");
    file.fd = net::UniqueFd(::openat(private_.get(), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file.fd) {
        if (errno == EACCES) return refuse("it cannot be read: permission denied; make it readable for Postfleet");
        return system_error("cannot open " + printable(claim.original));
    }
    if (::fstat(file.fd.get(), &file.facts) != 0) return system_error("cannot look at " + printable(claim.original));
    return file;
}

Status PickupDirectory::remove(const Claim& claim) const {
    if (::unlinkat(private_.get(), claim.name.c_str(), 0) == 0 || errno == ENOENT) return {};
    return system_error("cannot remove " + printable(claim.original));
}

Result<std::string> PickupDirectory::reject(const Claim& claim, const std::string& why) const {
    const std::string text = "Postfleet did not send the file beside this note. It was found as \"" +
                             printable(claim.original) + "\" in " + settings_.directory + ".\n\nWhy: " + why +
                             "\n\nCorrect the file and move it into " + settings_.directory +
                             " again, or delete it. This note is of no further use then.\n";
    auto rejected = reject_as(claim, claim.original, text);
    // Another bad file has the name: the message id makes it unique.
    if (!rejected && rejected.error().kind == ErrorKind::AlreadyExists) rejected = reject_as(claim, claim.name, text);
    return rejected;
}

// The reason comes first: a bad file is never there without it.
Result<std::string> PickupDirectory::reject_as(const Claim& claim, const std::string& name,
                                               const std::string& text) const {
    const std::string note = name + ".reason";
    struct stat there {};
    if (::fstatat(bad_.get(), name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0) {
        return Error{ErrorKind::AlreadyExists, printable(name)};
    }
    constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    const net::UniqueFd file(::openat(bad_.get(), note.c_str(), kFlags, 0640));
    if (!file) return system_error("cannot make " + printable(note));
    Status written = write_all(file.get(), text, printable(note));
    if (written && ::fsync(file.get()) != 0) written = system_error("cannot sync " + printable(note));
    if (written && ::renameat2(private_.get(), claim.name.c_str(), bad_.get(), name.c_str(), RENAME_NOREPLACE) != 0) {
        written = system_error("cannot move " + printable(claim.original) + " into " + settings_.bad_directory);
    }
    if (!written) {
        ::unlinkat(bad_.get(), note.c_str(), 0);
        return written.error();
    }
    ::fsync(bad_.get());
    return name;
}

Status PickupDirectory::sync() const {
    if (::fsync(private_.get()) != 0 || ::fsync(directory_.get()) != 0) {
        return system_error("cannot sync " + settings_.directory);
    }
    return {};
}

}  // namespace postfleet::ingest
