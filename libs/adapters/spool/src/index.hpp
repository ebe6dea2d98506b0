// Index: what the log says, up to one group: RocksDB without a log of its own.
//
// apply() changes memory only; RocksDB writes it out when enough has gathered, all columns together
// (atomic_flush), so that its files are always the state after some group. position() says which; the log from
// there on must be kept until persisted_group() has passed it. Messages that come and go in the meantime
// leave nothing but two small tombstones behind.
//
// Threads: thread-safe; apply() belongs to the writer. Blocks on the disk, apply() only when RocksDB cannot
// write out fast enough. Errors: Corruption for a damaged block; Unavailable when a write failed, after which
// only reopen() helps.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/base/log.hpp"
#include "segment_log.hpp"

namespace rocksdb {
class FileSystem;
}

namespace postfleet::spool {

class Index {
public:
    struct Options {
        std::string directory;
        std::uint64_t memory = 0;
        std::uint64_t cache = 0;
        std::shared_ptr<rocksdb::FileSystem> files;
        // Events up to this number are left out whenever a file is written. Outlives the index.
        const std::atomic<std::uint64_t>* events_passed = nullptr;
        Log log;
        bool create = false;
    };
    static Result<std::unique_ptr<Index>> open(Options options);
    ~Index();

    // Throws away what is only in memory and opens the files again; then the log must be applied again.
    Status reopen();

    struct Position {
        SegmentFacts segment;          // last_group: the last group that was applied
        std::uint64_t last_event = 0;  // number
    };
    Position position() const;
    std::vector<SegmentFacts> segments() const;  // sealed ones

    // Applies one group: the operations of its batches, and where it stands. `sealed`: the segment that this
    // group does not belong to any more, when it is the first of a new one.
    Status apply(std::span<const std::string_view> batches, const SegmentFacts& segment, const SegmentFacts* sealed);
    void forget_segment(std::uint64_t number);

    // The value as stored, unopened. An absent key is not an error.
    Result<std::optional<std::string>> get(Column column, std::string_view key);
    // Visits keys from `from` on in order, until `visit` says false. What does not check out in RocksDB is passed
    // to the visitor nevertheless, who must check each record; blocks that cannot be read at all are skipped.
    struct Scan {
        std::uint64_t blocks_lost = 0;
    };
    using Visit = std::function<bool(std::string_view key, std::string_view value)>;
    Result<Scan> scan(Column column, std::string_view from, const Visit& visit);

    Result<std::uint64_t> persisted_group();
    void write_out();  // begins to; returns at once
    void drop_event_files(std::uint64_t up_to);
    // Ids that were taken before this day go when their files are written again, or now if nothing else is in a file.
    void forget_taken(std::uint32_t before_day);
    // Begins to write files anew that are half full of removals; returns at once. What is removed in the order in which it
    // came never overlaps, so RocksDB moves such files to its lowest level as they are, and leaves them there.
    void drop_removals();
    // Of the events from `first` to `last`, to a few blocks of a file; 0 when it cannot be told.
    std::uint64_t event_octets(std::uint64_t first, std::uint64_t last) const;
    std::optional<std::string> failure() const;  // of a background write, since open
    std::uint64_t files() const;                 // of all columns
    std::uint64_t memory_octets() const;         // changes not yet in files, and blocks of files

private:
    class Database;
    explicit Index(Options options);
    Status open_database();

    const Options options_;
    std::atomic<std::uint32_t> taken_before_{0};
    std::unique_ptr<Database> database_;
};

}  // namespace postfleet::spool
