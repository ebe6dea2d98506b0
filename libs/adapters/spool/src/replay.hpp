// replay_log: applies to the index what the log has and the index has not (docs/SPOOL_FORMAT.md, "Recovery").
//
//  * a segment ends where the header of the next one says that it ended, else behind its last whole group
//  * the very last group may be torn: unless every octet of it checks out it was never confirmed, and is left
//    out as a whole
//  * everything before was synced before the next group was begun, so what does not check out there is damage:
//    it is set aside and reported, and the rest goes on
//
// Threads: runs alone, before the writer. Blocks. Errors: what reading fails with; damage is not an error.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "segment_log.hpp"

namespace postfleet::spool {

struct ReplayedGroup {
    const SegmentFacts& segment;                // as of this group
    std::span<const std::string_view> batches;  // operations of each
    // Batches that did not check out, as they were found, with a name that says where.
    std::span<const std::pair<std::string, std::string_view>> damaged;
};

struct ReplayResult {
    SegmentFacts last;  // where the log ends
    std::uint64_t groups_applied = 0;
    std::uint64_t groups_missing = 0;  // damaged beyond recognition
    std::uint64_t batches_damaged = 0;
    bool tail_was_torn = false;
};

struct ReplayInput {
    std::vector<SegmentLog::Found> found;
    std::vector<SegmentFacts> known;  // what the index remembers of segments
    SegmentFacts position;            // the segment of the last group that the index has, as of that group
    bool tail_is_confirmed = false;   // this process wrote it: the last group is not torn
};

Result<ReplayResult> replay_log(SegmentLog& log, ReplayInput input,
                                const std::function<Status(const ReplayedGroup&)>& apply);

}  // namespace postfleet::spool
