// RocksSpool: the durable store of one sender (ports Spool and EventLog; format: docs/SPOOL_FORMAT.md).
//
//   commit() --> queue --> writer thread --> log/ (one synced append per group: operations and content)
//                                       \--> index/ (RocksDB without a log of its own: tasks, messages, outbox)
//
// The log is the truth: what it holds, synced, is committed. The index is what the log says so far, kept in
// memory and written out now and then; after a crash the rest of the log is applied again. Content stays in
// the log, in segments that are used again when everything in them is delivered.
//
// Owns: the directory (locked against a second process) and its threads: a writer, a housekeeper, readers.
// Threads: thread-safe. The Spool calls never block, apart from scan_tasks() and notes(); the EventLog calls
// may. Executors named in completions outlive the spool, or have stopped taking posts by being drained.
// Units: octets. Errors: as the ports say; open() explains what is wrong and how to mend it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "postfleet/base/log.hpp"
#include "postfleet/base/metrics.hpp"
#include "postfleet/ports/event_log.hpp"
#include "postfleet/ports/spool.hpp"

namespace rocksdb {
class FileSystem;
}

namespace postfleet::spool {

class Files;

struct RocksSpoolOptions {
    std::string directory;
    std::uint64_t min_free = std::uint64_t{1} << 30;             // below it new mail is refused
    std::uint64_t max_in_flight = std::uint64_t{256} << 20;      // octets of acceptance that wait for the disk
    std::uint64_t max_group = std::uint64_t{4} << 20;            // octets in one synced write, if more waits
    std::uint64_t segment_octets = std::uint64_t{32} << 20;      // of the log
    std::uint64_t checkpoint_octets = std::uint64_t{128} << 20;  // log to apply again after a crash, about
    std::uint64_t index_memory = std::uint64_t{96} << 20;        // changes not yet in the index's files
    std::uint64_t index_cache = std::uint64_t{64} << 20;         // blocks of the index's files
    std::uint64_t event_tail = std::uint64_t{8} << 20;           // newest events kept for readers
    std::size_t max_reads_waiting = 4096;
    unsigned reader_threads = 2;
    // How long a group of outcomes alone waits for company: nobody waits for them, and a sync costs.
    Duration outcome_delay = std::chrono::milliseconds(2);
    // While the disk takes this long for a write, the next one is begun before it has ended. A faster disk is kept busy
    // by one, and fewer writes cost less.
    Duration slow_write = std::chrono::milliseconds(4);
    // At least as long `taken_as` is remembered, in whole days; 0: not at all.
    Duration taken_window = std::chrono::hours(24);
    Log log;

    std::function<WallTime()> wall_now = wall_clock_now;
    // Seams for tests: the log's files and the index's. Null: the real ones.
    Files* files = nullptr;
    std::shared_ptr<rocksdb::FileSystem> index_files;  // shared with RocksDB, which asks for that
};

class RocksSpool final : public Spool, public EventLog {
public:
    // Blocks until the log has been applied. AlreadyExists: another process has it; InvalidArgument: the
    // directory is something else, or of a newer version; PermissionDenied; Corruption; Unavailable.
    static Result<std::unique_ptr<RocksSpool>> open(RocksSpoolOptions options);
    // Commits what waits, then stops.
    ~RocksSpool() override;

    void commit(SpoolBatch batch, Completion<Status> done) override;
    void append_content(MessageId id, std::uint32_t chunk, SharedOctets octets, Completion<Status> done) override;
    void discard_content(MessageId id, std::uint32_t chunks) override;
    void load(TaskKey key, Completion<Result<Loaded>> done) override;
    void has_message(MessageId id, Completion<Result<bool>> done) override;
    void was_taken(MessageId taken_as, Completion<Result<bool>> done) override;
    void load_facts(std::vector<TaskKey> keys, Completion<Result<std::vector<Loaded>>> done) override;
    void read_chunk(MessageId id, std::uint32_t chunk, Completion<Result<SharedOctets>> done) override;
    void load_tasks(std::vector<TaskKey> keys, Completion<Result<std::vector<Task>>> done) override;
    Status scan_tasks(UniqueFunction<void(Task&&)> visit) override;
    void put_note(std::string name, std::string value, Completion<Status> done) override;
    std::vector<std::pair<std::string, std::string>> notes() override;
    SpoolState state() const override;
    void on_state_change(Executor& on, UniqueFunction<void(SpoolState)> changed) override;
    Statistics statistics() const override;

    Result<std::uint64_t> open_cursor(const std::string& name) override;
    Status keep_only_cursors(const std::vector<std::string>& names) override;
    Result<std::vector<LoggedEvent>> read(std::uint64_t after, std::size_t max_events) override;
    void wait(std::uint64_t after, SteadyTime until) override;
    Status advance(const std::string& cursor, std::uint64_t number) override;
    std::uint64_t last_number() const override;
    std::uint64_t octets_after(std::uint64_t number) const override;
    void stop() override;

    // The readers that the outbox knows, also from before, and how many events each has yet to pass.
    std::map<std::string, std::uint64_t> unread() const;
    // Unique to this directory, made when it was first opened: the identity a takeover is granted to.
    const std::string& spool_id() const;
    // Registers the spool's metrics, computed when they are read; `metrics` must not be read after the spool.
    void register_metrics(Metrics& metrics);

private:
    class Engine;
    explicit RocksSpool(std::unique_ptr<Engine> engine);
    std::unique_ptr<Engine> engine_;
};

}  // namespace postfleet::spool
