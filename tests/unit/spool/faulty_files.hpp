// FaultyFiles, FaultyIndexFiles: a disk that fails, runs full, or loses what was not synced, on request.
//
// Both share a Disk. photograph() copies the spool's directory as a power loss at this moment would leave it:
// what was synced is there; of what was not, each block of the log and each tail of an index file is there or
// not, as the seed says. Files that never were synced are kept, because the names come with a later sync of
// their directory anyway.
//
// Threads: thread-safe.
#pragma once

#include <rocksdb/file_system.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "files.hpp"

namespace postfleet::spool::test {

class Disk {
public:
    // The next n of these fail with "I/O error", or with "no space".
    std::atomic<int> failing_syncs{0}, failing_writes{0}, full_writes{0};
    std::atomic<int> failing_index_writes{0};
    std::atomic<std::uint64_t> syncs{0};
    std::atomic<std::uint64_t> free_octets{std::uint64_t{1} << 40};
    // What the disk did before it said that it failed: a write may have arrived all the same.
    std::atomic<bool> failed_writes_arrive{false};

    // Syncs of the log wait from hold() to release().
    void hold();
    void release();
    void wait_while_held();
    std::atomic<int> waiting{0};  // syncs that are held now

    void photograph(const std::filesystem::path& from, const std::filesystem::path& to, std::uint64_t seed);

    // For the two below.
    static bool take(std::atomic<int>& left);
    struct LostWrite {
        std::uint64_t number;
        std::string path;
        std::uint64_t offset;
        std::string before;
    };
    std::mutex mutex;
    std::condition_variable released;
    bool held = false;
    std::vector<LostWrite> unsynced;
    std::uint64_t writes = 0;
    std::map<std::string, std::uint64_t> synced_size;  // of index files that are being written
};

class FaultyFiles final : public Files {
public:
    explicit FaultyFiles(Disk& disk) : disk_(disk) {}
    Result<std::unique_ptr<File>> open(const std::string& path) override;
    Result<std::unique_ptr<File>> create(const std::string& path, std::uint64_t size) override;
    Status rename(const std::string& from, const std::string& to) override;
    Status remove(const std::string& path) override;
    Status sync_directory(const std::string& path) override { return real_files().sync_directory(path); }
    // In order, so that a test does not depend on that of the directory: numbered files, then spares.
    Result<std::vector<std::string>> list(const std::string& directory) override {
        auto names = real_files().list(directory);
        if (names) std::sort(names->begin(), names->end());
        return names;
    }
    Result<std::uint64_t> free_octets(const std::string&) override { return disk_.free_octets.load(); }

private:
    Disk& disk_;
};

std::shared_ptr<rocksdb::FileSystem> faulty_index_files(Disk& disk);

}  // namespace postfleet::spool::test
