// Housekeeper: the thread that keeps the log short.
//
//  * prepares the next segment, so that the writer finds it ready
//  * has the index written out when `checkpoint_octets` of log lie behind what its files hold
//  * releases sealed segments whose operations are in the index's files and whose content is all delivered
//  * moves the content of mostly empty segments to the end of the log (docs/SPOOL_FORMAT.md, "Old content")
//
// Threads: its own. Everything it reads may change under it; what it moves is checked again by the writer.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <set>
#include <thread>

#include "writer.hpp"

namespace postfleet::spool {

class Housekeeper {
public:
    struct Options {
        std::uint64_t segment_octets = 0;
        std::uint64_t checkpoint_octets = 0;
        Duration tick = std::chrono::milliseconds(50);
        std::uint32_t taken_days = 0;  // before today, that are remembered
        std::function<WallTime()> wall_now;
    };
    Housekeeper(Parts parts, Options options, std::function<void(WriteItem)> write);
    ~Housekeeper();

private:
    struct Live {
        Column column = Column::Message;
        std::string key;
        std::uint8_t version = kPlainVersion;
        std::string fields;  // behind the location
        Location location;
    };
    // What is known of a segment that was not empty when it was looked at.
    struct Known {
        SteadyTime look_again{};
        Duration patience{};
    };

    void run();
    void tick();
    void forget_taken();
    void checkpoint(std::uint64_t persisted);
    void clean_up_after(std::uint64_t persisted);
    void look_at(const SegmentFacts& segment, SteadyTime now);
    // What is alive in a segment, looked for until it is `enough` octets.
    struct Findings {
        std::uint64_t enough = 0;
        std::uint64_t octets = 0;
        std::vector<Live> live;
        void add(Live one);
        bool is_enough() const { return octets >= enough; }
    };
    // False: it cannot be told.
    bool find_live(const SegmentFacts& segment, Findings& findings);
    bool scan_range(const SegmentFacts& segment, Findings& findings);
    bool walk_groups(const SegmentFacts& segment, Findings& findings);
    bool walk_batches(const SegmentFacts& segment, std::string_view batches, Findings& findings);
    static std::optional<Live> live_in(std::uint64_t segment, Column column, std::string_view key,
                                       std::string_view value);
    bool move(const std::vector<Live>& live);  // whether there was anything that could be

    Parts parts_;
    const Options options_;
    std::function<void(WriteItem)> write_;

    std::map<std::uint64_t, Known> known_;
    std::set<std::pair<Column, std::string>> walked_;  // keys seen in the segment that is being walked
    std::uint64_t written_out_at_ = 0;                 // group up to which a write-out was asked for
    std::uint64_t last_persisted_ = 0;
    std::uint32_t write_outs_ = 0;
    std::uint64_t event_files_dropped_to_ = 0;
    std::uint32_t taken_forgotten_before_ = 0;  // day
    SteadyTime next_complaint_{};

    std::mutex mutex_;
    std::condition_variable wake_;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace postfleet::spool
