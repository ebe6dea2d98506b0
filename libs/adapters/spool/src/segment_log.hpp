// SegmentLog: the files of the log: where the writer appends groups and where content is read from.
//
//   prepared -> current -> sealed -> spare -> prepared …
//
// One segment is current; the next is prepared in advance, so that the writer does not wait for the file
// system when the current one is full. A sealed segment is released when nothing in it is needed any more,
// and its file is used again under a new number: overwriting blocks that exist is what makes a sync cheap.
//
// After a failed write or sync the current segment is never written or synced again: abandon() ends it at its
// last confirmed octet, and the header of the next one says so (previous_end), which is what recovery obeys.
//
// Threads: begin(), write(), confirm() and abandon() belong to the writer; everything else is thread-safe.
// Blocks on the disk. Errors: as Files; Corruption from read() when content does not check out.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string>
#include <vector>

#include "files.hpp"
#include "log_format.hpp"

namespace postfleet::spool {

// What is remembered about a segment, also in the index, so that a restart reads no old segment.
struct SegmentFacts {
    std::uint64_t number = 0;
    std::uint64_t first_group = 0;
    std::uint64_t last_group = 0;  // first_group - 1: none yet
    std::uint64_t end = 0;         // of what is confirmed
    MessageId low{}, high{};       // of the messages whose content is in it; both nil: none
    void include(const MessageId& id);
    friend bool operator==(const SegmentFacts&, const SegmentFacts&) = default;
};

class SegmentLog {
public:
    struct Options {
        std::string directory;
        SpoolId spool_id{};
        std::uint64_t segment_octets = 0;
        std::size_t max_spares = 0;
        std::size_t max_open_files = 256;
    };
    SegmentLog(Files& files, Options options);

    // The files that are there, by number. Files of no use become spares. Newer or foreign ones are errors.
    struct Found {
        std::uint64_t number = 0;
        std::optional<SegmentHeader> header;  // empty: damaged, but there are groups behind it
    };
    Result<std::vector<Found>> look();
    // The same for the segments it works with, when the index must be made again while running.
    Result<std::vector<Found>> look_again();
    // A sealed segment that recovery found or the index knows.
    void adopt(const SegmentFacts& facts);
    // Where the log goes on; begin() starts with a new segment.
    void continue_after(const SegmentFacts& last);

    struct Place {
        std::uint64_t segment = 0, offset = 0, group = 0;
        bool new_segment = false;
    };
    Result<Place> begin(std::uint64_t group_octets);
    // Writes the group at the place that begin() gave, and syncs.
    Status write(std::span<iovec> parts);
    // What was written is good: the group counts. `low` and `high`: its messages with content.
    SegmentFacts confirm(std::uint64_t group_octets, const SegmentFacts& touched);
    void abandon();

    Result<SharedOctets> read(const Location& location);
    Status read_at(std::uint64_t segment, std::uint64_t offset, char* to, std::size_t size);

    // For the housekeeper.
    Status prepare();  // the next segment, if there is none
    std::vector<SegmentFacts> sealed() const;
    bool release(std::uint64_t number);  // false: somebody is reading from it; ask again later
    void close_idle_files();
    std::uint64_t octets_since(std::uint64_t group) const;  // of log behind that group
    std::uint64_t octets() const;                           // of all segments

private:
    struct Segment {
        SegmentFacts facts;
        std::mutex file_mutex;
        std::shared_ptr<File> file;  // shared with reads that have begun
        std::atomic<unsigned> readers{0};
        std::atomic<bool> used{false};
    };
    struct Prepared {
        std::uint64_t number = 0;
        std::unique_ptr<File> file;
    };

    std::string path_of(std::uint64_t number) const;
    std::string path_of_spare(std::uint64_t number) const;
    Result<Prepared> make_prepared();
    Status start_segment();
    // Keeps the segment from being released while it exists.
    class Pin;
    Pin pin(std::uint64_t number);
    Result<std::shared_ptr<File>> file_of(Segment& segment);
    Result<bool> has_groups(std::uint64_t number);

    Files& files_;
    const Options options_;

    mutable std::shared_mutex mutex_;  // guards segments_ and the facts in it
    std::map<std::uint64_t, std::unique_ptr<Segment>> segments_;

    std::mutex spares_mutex_;  // guards what follows
    std::vector<std::uint64_t> spares_;
    std::optional<Prepared> prepared_;
    std::uint64_t next_number_ = 1;
    std::uint64_t next_spare_ = 1;

    // The writer's own.
    Segment* current_ = nullptr;
    bool header_is_due_ = false;
    SegmentFacts last_confirmed_;  // of the newest segment with a confirmed group
    std::uint64_t next_offset_ = 0;
};

}  // namespace postfleet::spool
