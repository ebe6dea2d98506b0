#include "faulty_files.hpp"

#include <rocksdb/env.h>

#include <cerrno>
#include <fstream>
#include <utility>

namespace postfleet::spool::test {

namespace fs = std::filesystem;

bool Disk::take(std::atomic<int>& left) {
    auto now = left.load();
    while (now > 0) {
        if (left.compare_exchange_weak(now, now - 1)) return true;
    }
    return false;
}

void Disk::hold() {
    std::lock_guard lock(mutex);
    held = true;
}

void Disk::release() {
    std::lock_guard lock(mutex);
    held = false;
    released.notify_all();
}

void Disk::wait_while_held() {
    std::unique_lock lock(mutex);
    if (!held) return;
    waiting++;
    released.wait(lock, [&] { return !held; });
    waiting--;
}

void Disk::photograph(const fs::path& from, const fs::path& to, std::uint64_t seed) {
    std::lock_guard lock(mutex);
    std::mt19937_64 random(seed);
    // RocksDB may take away a file while its directory is being read.
    std::error_code ignored;
    for (auto at = fs::recursive_directory_iterator(from, ignored); at != fs::end(at); at.increment(ignored)) {
        auto target = to / fs::relative(at->path(), from);
        if (at->is_directory(ignored)) {
            fs::create_directories(target);
        } else {
            fs::create_directories(target.parent_path());
            fs::copy_file(at->path(), target, fs::copy_options::overwrite_existing, ignored);
        }
    }
    // Newest first, so that the oldest content wins where writes overlap.
    for (auto lost = unsynced.rbegin(); lost != unsynced.rend(); ++lost) {
        auto target = to / fs::relative(lost->path, from);
        std::fstream file(target, std::ios::in | std::ios::out | std::ios::binary);
        for (std::size_t at = 0; at < lost->before.size(); at += 4096) {
            if (random() % 3 == 0) continue;  // this block made it
            file.seekp(static_cast<std::streamoff>(lost->offset + at));
            file.write(lost->before.data() + at,
                       static_cast<std::streamsize>(std::min<std::size_t>(4096, lost->before.size() - at)));
        }
    }
    for (auto& [path, size] : synced_size) {
        auto target = to / fs::relative(path, from);
        if (!fs::exists(target)) continue;
        auto all = fs::file_size(target);
        if (all > size) fs::resize_file(target, size + random() % (all - size + 1));
    }
}

namespace {

class FaultyFile final : public File {
public:
    FaultyFile(Disk& disk, std::string path, std::unique_ptr<File> file)
        : disk_(disk), path_(std::move(path)), file_(std::move(file)) {}

    Status write(std::uint64_t offset, std::span<iovec> parts) override {
        bool full = Disk::take(disk_.full_writes), broken = Disk::take(disk_.failing_writes);
        if ((full || broken) && !disk_.failed_writes_arrive) return failure(full);
        std::lock_guard lock(disk_.mutex);
        std::size_t size = 0;
        for (auto& part : parts) size += part.iov_len;
        std::string before(size, '\0');
        (void)file_->read(offset, before.data(), size).has_value();
        disk_.unsynced.push_back({disk_.writes++, path_, offset, std::move(before)});
        auto written = file_->write(offset, parts);
        if (full || broken) return failure(full);
        return written;
    }
    Status sync() override {
        // It is for what was written before it began.
        const auto writes = [&] {
            std::lock_guard lock(disk_.mutex);
            return disk_.writes;
        }();
        disk_.wait_while_held();
        // No lock while the disk works: a photograph may be taken in the middle of it.
        if (Disk::take(disk_.failing_syncs)) return system_error("sync", path_, EIO);
        disk_.syncs++;
        auto synced = file_->sync();
        std::lock_guard lock(disk_.mutex);
        std::erase_if(disk_.unsynced, [&](auto& lost) { return lost.path == path_ && lost.number < writes; });
        return synced;
    }
    Status read(std::uint64_t offset, char* to, std::size_t size) override { return file_->read(offset, to, size); }

private:
    Error failure(bool full) const { return system_error("write", path_, full ? ENOSPC : EIO); }
    Disk& disk_;
    std::string path_;
    std::unique_ptr<File> file_;
};

class FaultyIndexFile final : public rocksdb::FSWritableFileOwnerWrapper {
public:
    FaultyIndexFile(Disk& disk, std::string path, std::unique_ptr<rocksdb::FSWritableFile> file)
        : FSWritableFileOwnerWrapper(std::move(file)), disk_(disk), path_(std::move(path)) {
        std::lock_guard lock(disk_.mutex);
        disk_.synced_size[path_] = 0;
    }
    rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* debug) override {
        if (Disk::take(disk_.failing_index_writes)) return rocksdb::IOStatus::IOError("the test's disk");
        std::lock_guard lock(disk_.mutex);
        return FSWritableFileOwnerWrapper::Append(data, options, debug);
    }
    rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                             const rocksdb::DataVerificationInfo&, rocksdb::IODebugContext* debug) override {
        return Append(data, options, debug);
    }
    rocksdb::IOStatus Sync(const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug) override {
        auto status = FSWritableFileOwnerWrapper::Sync(options, debug);
        remember(options, debug);
        return status;
    }
    rocksdb::IOStatus Fsync(const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug) override {
        auto status = FSWritableFileOwnerWrapper::Fsync(options, debug);
        remember(options, debug);
        return status;
    }

private:
    void remember(const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug) {
        std::lock_guard lock(disk_.mutex);
        disk_.synced_size[path_] = GetFileSize(options, debug);
    }
    Disk& disk_;
    std::string path_;
};

class FaultyIndexFiles final : public rocksdb::FileSystemWrapper {
public:
    explicit FaultyIndexFiles(Disk& disk) : FileSystemWrapper(rocksdb::FileSystem::Default()), disk_(disk) {}
    const char* Name() const override { return "postfleet.FaultyIndexFiles"; }
    rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSWritableFile>* result,
                                      rocksdb::IODebugContext* debug) override {
        std::unique_ptr<rocksdb::FSWritableFile> file;
        auto status = FileSystemWrapper::NewWritableFile(path, options, &file, debug);
        if (status.ok()) *result = std::make_unique<FaultyIndexFile>(disk_, path, std::move(file));
        return status;
    }
    rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to, const rocksdb::IOOptions& options,
                                 rocksdb::IODebugContext* debug) override {
        std::lock_guard lock(disk_.mutex);
        auto status = FileSystemWrapper::RenameFile(from, to, options, debug);
        if (auto size = disk_.synced_size.extract(from)) {
            size.key() = to;
            disk_.synced_size.erase(to);
            disk_.synced_size.insert(std::move(size));
        }
        return status;
    }
    rocksdb::IOStatus DeleteFile(const std::string& path, const rocksdb::IOOptions& options,
                                 rocksdb::IODebugContext* debug) override {
        std::lock_guard lock(disk_.mutex);
        disk_.synced_size.erase(path);
        return FileSystemWrapper::DeleteFile(path, options, debug);
    }

private:
    Disk& disk_;
};

}  // namespace

Result<std::unique_ptr<File>> FaultyFiles::open(const std::string& path) {
    auto file = real_files().open(path);
    if (!file) return file.error();
    return std::unique_ptr<File>(std::make_unique<FaultyFile>(disk_, path, *std::move(file)));
}

Result<std::unique_ptr<File>> FaultyFiles::create(const std::string& path, std::uint64_t size) {
    if (Disk::take(disk_.full_writes)) return system_error("write", path, ENOSPC);
    auto file = real_files().create(path, size);
    if (!file) return file.error();
    return std::unique_ptr<File>(std::make_unique<FaultyFile>(disk_, path, *std::move(file)));
}

Status FaultyFiles::rename(const std::string& from, const std::string& to) {
    std::lock_guard lock(disk_.mutex);
    std::erase_if(disk_.unsynced, [&](auto& lost) { return lost.path == from; });
    return real_files().rename(from, to);
}

Status FaultyFiles::remove(const std::string& path) {
    std::lock_guard lock(disk_.mutex);
    std::erase_if(disk_.unsynced, [&](auto& lost) { return lost.path == path; });
    return real_files().remove(path);
}

std::shared_ptr<rocksdb::FileSystem> faulty_index_files(Disk& disk) { return std::make_shared<FaultyIndexFiles>(disk); }

}  // namespace postfleet::spool::test
