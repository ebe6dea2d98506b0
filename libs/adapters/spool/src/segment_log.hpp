// SegmentLog: the files of the log: where the writer appends groups and where content is read from.
//
//   prepared -> current -> sealed -> spare -> prepared …
//
// One segment is current; the next is prepared in advance, so that the writer does not wait for the file
// system when the current one is full. A sealed segment is released when nothing in it is needed any more,
// and its file is used again under a new number: overwriting blocks that exist is what makes a sync cheap.
//
// Several groups may be on their way to the disk in one segment, not in two: each is synced through a descriptor of its
// lane, because of an error the kernel tells every descriptor once, and they are confirmed in their order.
//
// After a failed write or sync the current segment is never written or synced again: abandon() ends it at its
// last confirmed octet, and the header of the next one says so (previous_end), which is what recovery obeys.
//
// Threads: what belongs to the writer is called by one thread at a time; everything else is thread-safe. confirm() may
// run beside begin() and write().
// Blocks on the disk. Errors: as Files; Corruption from read() when content does not check out.
#pragma once

#include <array>
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

    // The writer's. Without it begin() starts a new segment, and nothing may be on its way to the disk.
    bool fits(std::uint64_t group_octets) const;
    struct Place {
        std::uint64_t segment = 0, offset = 0, group = 0;
        std::uint32_t unconfirmed = 0;  // groups just before it
    };
    Result<Place> begin(std::uint64_t group_octets);
    // Writes the group at the place that begin() gave. It is on the disk when what is returned was synced.
    static constexpr std::size_t kLanes = 2;
    Result<std::shared_ptr<File>> write(std::span<iovec> parts, std::size_t lane);
    // The oldest group that was not confirmed is on the disk: it counts. `touched`: its messages with content.
    SegmentFacts confirm(std::uint64_t group_octets, const SegmentFacts& touched);
    void abandon();  // nothing is on its way to the disk

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

    mutable std::shared_mutex mutex_;  // guards what follows, and the facts in it
    std::map<std::uint64_t, std::unique_ptr<Segment>> segments_;
    SegmentFacts last_confirmed_;  // of the newest segment with a confirmed group

    std::mutex spares_mutex_;  // guards what follows
    std::vector<std::uint64_t> spares_;
    std::optional<Prepared> prepared_;
    std::uint64_t next_number_ = 1;
    std::uint64_t next_spare_ = 1;

    // The writer's own.
    Segment* current_ = nullptr;
    std::array<std::shared_ptr<File>, kLanes> lanes_;  // of current_, once used
    bool header_is_due_ = false;
    std::uint64_t last_begun_ = 0;                   // group
    std::uint64_t next_offset_ = 0, begun_end_ = 0;  // of that group
};

}  // namespace postfleet::spool
