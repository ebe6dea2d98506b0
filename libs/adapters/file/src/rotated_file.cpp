#include "postfleet/file/rotated_file.hpp"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <optional>
#include <vector>

namespace postfleet {
namespace {

namespace fs = std::filesystem;

constexpr auto kRotationRetry = std::chrono::minutes(1);
constexpr int kMaxNumber = 10'000;
constexpr std::uint64_t kNotSynced = 16ull << 20;  // more than is ever written between two flushes

std::string stamp(WallTime now, const char* form) {
    const std::time_t seconds =
        std::chrono::system_clock::to_time_t(std::chrono::time_point_cast<std::chrono::system_clock::duration>(now));
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    std::array<char, 32> text{};
    const std::size_t length = std::strftime(text.data(), text.size(), form, &parts);
    return {text.data(), length};
}

// "20261122-101112", "20261122-101112-3": only what rotation has named is ever removed.
bool is_stamp(std::string_view text) {
    constexpr std::size_t kLength = 15;
    if (text.size() < kLength || text[8] != '-') return false;
    if (text.size() > kLength && (text[kLength] != '-' || text.size() == kLength + 1)) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (i != 8 && i != kLength && (text[i] < '0' || text[i] > '9')) return false;
    }
    return true;
}

// "2026-11-22-0003"
bool is_dated(std::string_view text) {
    constexpr std::string_view kForm = "0000-00-00-0000";
    if (text.size() != kForm.size()) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (kForm[i] == '-' ? text[i] != '-' : text[i] < '0' || text[i] > '9') return false;
    }
    return true;
}

// When the file was made, so that its age survives a restart; nothing on file systems that do not tell.
std::optional<WallTime> birth_time(int descriptor) {
    struct ::statx facts {};
    if (::statx(descriptor, "", AT_EMPTY_PATH, STATX_BTIME, &facts) != 0) return std::nullopt;
    if ((facts.stx_mask & STATX_BTIME) == 0) return std::nullopt;
    return WallTime(std::chrono::seconds(facts.stx_btime.tv_sec));
}

std::uint64_t size_of(int descriptor) {
    struct ::stat facts {};
    return ::fstat(descriptor, &facts) == 0 ? static_cast<std::uint64_t>(facts.st_size) : 0;
}

}  // namespace

RotatedFile::RotatedFile(RotatedFileOptions options, Log log)
    : options_(std::move(options)),
      folder_(fs::path(options_.path).has_parent_path() ? fs::path(options_.path).parent_path().string() : "."),
      base_name_(fs::path(options_.path).filename().string()),
      log_(log) {}

RotatedFile::~RotatedFile() { close_file(); }

Result<std::unique_ptr<RotatedFile>> RotatedFile::open(RotatedFileOptions options, Log log) {
    if (fs::path(options.path).filename().empty()) {
        return Error{ErrorKind::InvalidArgument, "'" + options.path + "' is a folder; give the name of a file in it"};
    }
    std::unique_ptr<RotatedFile> file(new RotatedFile(std::move(options), log));
    for (const std::string& folder : {file->folder_, file->options_.move_to}) {
        std::error_code failed;
        if (!folder.empty()) fs::create_directories(folder, failed);
        if (failed)
            return Error{ErrorKind::PermissionDenied, "cannot make the folder " + folder + ": " + failed.message()};
    }
    if (Status opened = file->open_file(); !opened) return opened.error();
    return file;
}

Status RotatedFile::open_file() {
    close_file();
    descriptor_ = ::open(options_.path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (descriptor_ < 0) return failure("open", errno);
    struct ::stat facts {};
    if (::fstat(descriptor_, &facts) != 0 || !S_ISREG(facts.st_mode)) {
        close_file();
        return Error{ErrorKind::InvalidArgument, options_.path + " is not an ordinary file"};
    }
    made_at_ = options_.clock();
    if (facts.st_size > 0) made_at_ = std::min(made_at_, birth_time(descriptor_).value_or(made_at_));
    set_aside_ = false;
    folder_changed_ = true;
    if (Status cut = cut_partial_line(); !cut) return cut;
    return start_with_header();
}

// What a file holds under another header, say with columns that were configured before, stays a file of its own.
Status RotatedFile::start_with_header() {
    if (options_.header.empty()) return {};
    const std::string line = options_.header + '\n';
    std::string found(line.size(), '\0');
    const ::ssize_t got = ::pread(descriptor_, found.data(), found.size(), 0);
    if (got < 0) return failure("read", errno);
    if (got == 0) return append(line);
    if (found == line) return {};
    if (Status synced = sync_file(); !synced) return synced;
    return rotate(options_.clock());
}

// Where zeros begin in the last part of the file, or its size. After a power loss, what was not synced may read so.
Result<std::uint64_t> RotatedFile::begin_of_zeros(std::uint64_t size) const {
    std::array<char, 64 * 1024> block;
    for (std::uint64_t at = size > kNotSynced ? size - kNotSynced : 0; at < size;) {
        const ::ssize_t got = ::pread(descriptor_, block.data(), block.size(), static_cast<::off_t>(at));
        if (got < 0) return failure("read", errno);
        if (got == 0) break;
        const std::string_view seen(block.data(), static_cast<std::size_t>(got));
        if (const std::size_t zero = seen.find('\0'); zero != std::string_view::npos) return at + zero;
        at += seen.size();
    }
    return size;
}

// A crash can leave half a line, and a power loss holes. None of that was flushed, so its records come again: cut it off.
Status RotatedFile::cut_partial_line() {
    const std::uint64_t size = size_of(descriptor_);
    std::array<char, 64 * 1024> block;
    const Result<std::uint64_t> whole = begin_of_zeros(size);
    if (!whole) return whole.error();
    std::uint64_t end = *whole;
    while (end > 0) {
        const std::uint64_t start = end > block.size() ? end - block.size() : 0;
        const ::ssize_t got = ::pread(descriptor_, block.data(), end - start, static_cast<::off_t>(start));
        if (got < 0) return failure("read", errno);
        const std::string_view seen(block.data(), static_cast<std::size_t>(got));
        const std::size_t newline = seen.rfind('\n');
        if (newline != std::string_view::npos) {
            end = start + newline + 1;
            break;
        }
        end = start;
    }
    if (end == size) return {};
    log_.line(LogLevel::Warning, "report-file-partial-line-cut")
        .field("path", options_.path)
        .field("octets", size - end);
    return ::ftruncate(descriptor_, static_cast<::off_t>(end)) == 0 ? Status() : Status(failure("truncate", errno));
}

Status RotatedFile::write(std::span<const ReportRecord> records) {
    buffer_.clear();
    for (const ReportRecord& record : records) buffer_.append(record.text).push_back('\n');
    if (buffer_.empty()) return {};
    if (Status ready = ready_for(buffer_.size()); !ready) return ready;
    return append(buffer_);
}

// Sees to it that the file is there, is the one with the name, and has room under its limits.
Status RotatedFile::ready_for(std::uint64_t octets) {
    if (descriptor_ < 0) return open_file();
    const WallTime now = options_.clock();
    if (set_aside_) return rotate(now);
    if (is_moved_away()) {
        if (Status synced = sync_file(); !synced) return synced;
        return open_file();
    }
    const std::uint64_t size = size_of(descriptor_);
    const bool due = size > 0 && (size + octets > options_.rotate_size || now - made_at_ >= options_.rotate_after);
    if (!due || (rotation_failed_at_ && now - *rotation_failed_at_ < kRotationRetry)) return {};
    if (Status synced = sync_file(); !synced) return synced;
    const Status rotated = rotate(now);
    if (rotated) return {};
    if (descriptor_ < 0) return rotated;
    rotation_failed_at_ = now;
    log_.line(LogLevel::Warning, "report-file-not-rotated")
        .field("path", options_.path)
        .field("error", rotated.error().text);
    return {};
}

Status RotatedFile::rotate(WallTime now) {
    const Result<std::string> aside = rename_aside(now);
    if (!aside) return aside.error();
    rotation_failed_at_.reset();
    if (Status opened = open_file(); !opened) return opened;
    log_.line(LogLevel::Info, "report-file-rotated").field("path", options_.path).field("to", *aside);
    if (Status synced = sync_folder(); !synced) return synced;
    remove_old();
    return {};
}

// The n-th choice of a name for the file that is put aside now.
std::string RotatedFile::rotated_name(WallTime now, int n) const {
    const fs::path folder = options_.move_to.empty() ? fs::path(folder_) : fs::path(options_.move_to);
    if (options_.names == RotatedNames::Dated) {
        const fs::path base(base_name_);
        std::array<char, 8> number{};
        std::snprintf(number.data(), number.size(), "-%04d", n);
        return folder /
               (base.stem().string() + "-" + stamp(now, "%Y-%m-%d") + number.data() + base.extension().string());
    }
    const std::string name = base_name_ + "." + stamp(now, "%Y%m%d-%H%M%S");
    return folder / (n == 0 ? name : name + "-" + std::to_string(n));
}

// Numbers only grow: a name that remove_old() has freed would sort as the oldest.
int RotatedFile::first_number(const std::string& target) const {
    if (target == last_target_) return last_number_ + 1;
    if (options_.names == RotatedNames::Stamped) return 0;
    // After a restart, or on a new day: behind what is there.
    const fs::path first(target);
    const std::string stem = first.stem().string();
    const std::string day = stem.substr(0, stem.size() - 4);
    int next = 0;
    std::error_code failed;
    for (const fs::directory_entry& entry : fs::directory_iterator(first.parent_path(), failed)) {
        const std::string name = entry.path().stem().string();
        if (entry.path().extension() != first.extension() || name.size() != stem.size() || !name.starts_with(day))
            continue;
        const std::string number = name.substr(day.size());
        if (number.find_first_not_of("0123456789") == std::string::npos) next = std::max(next, std::stoi(number) + 1);
    }
    return next;
}

Result<std::string> RotatedFile::rename_aside(WallTime now) {
    const std::string target = rotated_name(now, 0);
    for (int n = first_number(target); n < kMaxNumber; ++n) {
        const std::string name = rotated_name(now, n);
        last_target_ = target;
        last_number_ = n;
        if (::renameat2(AT_FDCWD, options_.path.c_str(), AT_FDCWD, name.c_str(), RENAME_NOREPLACE) == 0) return name;
        if (errno == EEXIST) continue;
        // Some network file systems do not know RENAME_NOREPLACE; nobody else makes such names, so look first.
        if (errno == EINVAL && ::access(name.c_str(), F_OK) != 0 &&
            ::rename(options_.path.c_str(), name.c_str()) == 0) {
            return name;
        }
        // Moved away this very moment: the name is free, which is what counts.
        if (errno == ENOENT && ::access(options_.path.c_str(), F_OK) != 0) return name;
        if (errno != EINVAL) return failure("rotate", errno);
    }
    return Error{ErrorKind::ResourceExhausted, options_.path + ": no free name to rotate to at " + target};
}

void RotatedFile::remove_old() {
    if (!options_.move_to.empty()) return;  // they are the reader's now
    const bool dated = options_.names == RotatedNames::Dated;
    const fs::path base(base_name_);
    const std::string prefix = dated ? base.stem().string() + "-" : base_name_ + ".";
    const std::string suffix = dated ? base.extension().string() : "";
    std::vector<std::string> rotated;
    std::error_code failed;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder_, failed)) {
        const std::string name = entry.path().filename().string();
        if (name.size() < prefix.size() + suffix.size() || !name.starts_with(prefix) || !name.ends_with(suffix))
            continue;
        const std::string_view middle =
            std::string_view(name).substr(prefix.size(), name.size() - prefix.size() - suffix.size());
        if (dated ? is_dated(middle) : is_stamp(middle)) rotated.push_back(name);
    }
    if (rotated.size() <= options_.keep) return;
    // Both forms sort by time; a suffix of the same second by its number, which is longer when it is greater.
    std::sort(rotated.begin(), rotated.end(), [&](const std::string& a, const std::string& b) {
        const std::size_t stamp_end = prefix.size() + 15;
        const int order = a.compare(0, stamp_end, b, 0, stamp_end);
        if (order != 0) return order < 0;
        return a.size() != b.size() ? a.size() < b.size() : a < b;
    });
    for (std::size_t i = 0; i + options_.keep < rotated.size(); ++i) fs::remove(fs::path(folder_) / rotated[i], failed);
}

Status RotatedFile::append(const std::string& octets) {
    const std::uint64_t before = size_of(descriptor_);
    std::size_t done = 0;
    while (done < octets.size()) {
        const ::ssize_t n = ::write(descriptor_, octets.data() + done, octets.size() - done);
        if (n > 0) {
            done += static_cast<std::size_t>(n);
            continue;
        }
        if (n < 0 && errno == EINTR) continue;
        const int error = n < 0 ? errno : ENOSPC;
        // Take back the part that went in, so that readers see whole lines. If even that fails, opening the
        // file again cuts it.
        if (done > 0 && ::ftruncate(descriptor_, static_cast<::off_t>(before)) != 0) close_file();
        return failure("write", error);
    }
    return {};
}

Status RotatedFile::flush() {
    if (descriptor_ < 0) return Error{ErrorKind::Unavailable, options_.path + " is not open"};
    if (set_aside_) return Error{ErrorKind::Unavailable, options_.path + ": an earlier sync failed"};
    if (Status synced = sync_file(); !synced) return synced;
    return folder_changed_ ? sync_folder() : Status();
}

Status RotatedFile::sync_file() {
    if (::fdatasync(descriptor_) == 0) return {};
    // The kernel has dropped the pages it could not write: a second sync would succeed and prove nothing.
    const int error = errno;
    set_aside_ = true;
    return failure("sync", error);
}

Status RotatedFile::sync_folder() {
    const int folder = ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return failure("sync the folder of", errno);
    const bool synced = ::fsync(folder) == 0 || errno == EINVAL;  // EINVAL: this file system has no such thing
    const int error = errno;
    ::close(folder);
    if (!synced) return failure("sync the folder of", error);
    folder_changed_ = false;
    return {};
}

bool RotatedFile::is_moved_away() const {
    struct ::stat named {};
    struct ::stat open {};
    if (::stat(options_.path.c_str(), &named) != 0) return errno == ENOENT;
    return ::fstat(descriptor_, &open) == 0 && (named.st_ino != open.st_ino || named.st_dev != open.st_dev);
}

void RotatedFile::close_file() {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
}

Error RotatedFile::failure(const char* doing, int error) const {
    const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
    return Error{full ? ErrorKind::ResourceExhausted : ErrorKind::Unavailable,
                 std::string("cannot ") + doing + " " + options_.path + ": " + std::strerror(error)};
}

}  // namespace postfleet
