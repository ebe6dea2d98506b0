#include "engine.hpp"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "octets.hpp"

namespace postfleet::spool {

namespace {

SegmentLog::Options log_options(const RocksSpoolOptions& options, const SpoolDirectory& directory) {
    return {.directory = directory.log(),
            .spool_id = directory.id(),
            .segment_octets = options.segment_octets,
            // What circulates between two checkpoints, so that a busy spool makes no new files.
            .max_spares = static_cast<std::size_t>(options.checkpoint_octets / options.segment_octets) + 2};
}

}  // namespace

RocksSpool::Engine::Engine(RocksSpoolOptions given, std::unique_ptr<SpoolDirectory> opened)
    : options(std::move(given)),
      directory(std::move(opened)),
      files(options.files != nullptr ? *options.files : real_files()),
      outbox(options.event_tail),
      log(files, log_options(options, *directory)) {}

std::uint32_t RocksSpool::Engine::taken_days() const {
    return static_cast<std::uint32_t>(std::chrono::ceil<std::chrono::days>(options.taken_window).count());
}

RocksSpool::Engine::~Engine() {
    outbox.stop();
    readers.reset();
    housekeeper.reset();
    writer.reset();
}

Result<std::unique_ptr<RocksSpool::Engine>> RocksSpool::Engine::open(RocksSpoolOptions options) {
    options.segment_octets = std::max(round_up_to_block(options.segment_octets), std::uint64_t{16} * kBlockOctets);
    options.checkpoint_octets = std::max(options.checkpoint_octets, options.segment_octets);
    auto directory = SpoolDirectory::open(options.directory);
    if (!directory) return directory.error();
    std::unique_ptr<Engine> engine(new Engine(std::move(options), *std::move(directory)));
    if (auto started = engine->start(); !started) return started.error();
    return engine;
}

Parts RocksSpool::Engine::parts() {
    return {files, log, *index, outbox, condition, counters, maintenance, options.log};
}

Status RocksSpool::Engine::start() {
    auto found = log.look();
    if (!found) return found.error();
    if (auto opened = open_index(*found); !opened) return opened;
    if (auto applied = apply_log(*std::move(found), false); !applied) return applied;
    if (auto started = start_outbox(); !started) return started;
    start_threads();
    return {};
}

Status RocksSpool::Engine::open_index(const std::vector<SegmentLog::Found>& found) {
    auto path = directory->index();
    auto is_there = std::filesystem::exists(path + "/CURRENT");
    auto log_is_whole = found.empty() || (found.front().header && found.front().header->first_group == 1);
    // With all of the log at hand, what is missing of the index is made anew: a first start may have been cut short.
    if (!is_there && !log_is_whole) {
        return Error{ErrorKind::Corruption, path + " is missing, and the log alone is not everything: restore it"};
    }
    auto opened = Index::open({.directory = path,
                               .memory = options.index_memory,
                               .cache = options.index_cache,
                               .files = options.index_files,
                               .events_passed = &outbox.passed(),
                               .log = options.log,
                               .create = log_is_whole});
    if (!opened) return opened.error();
    index = *std::move(opened);
    return {};
}

Status RocksSpool::Engine::apply_group(const ReplayedGroup& group) {
    std::vector<std::string_view> batches(group.batches.begin(), group.batches.end());
    BatchBuilder aside;
    for (auto& [name, octets] : group.damaged) {
        aside.put_raw(Column::Quarantine, name, octets);
        options.log.line(LogLevel::Error, "spool-batch-quarantined").field("batch", name);
    }
    if (!aside.is_empty()) batches.push_back(aside.operations());
    auto before = index->position().segment;
    bool is_next_segment = before.number != 0 && before.number != group.segment.number;
    return index->apply(batches, group.segment, is_next_segment ? &before : nullptr);
}

Status RocksSpool::Engine::apply_log(std::vector<SegmentLog::Found> found, bool tail_is_confirmed) {
    auto began = steady_clock_now();
    ReplayInput input{std::move(found), index->segments(), index->position().segment, tail_is_confirmed};
    auto replayed = replay_log(log, std::move(input), [&](const ReplayedGroup& group) { return apply_group(group); });
    if (!replayed) return replayed.error();
    counters.quarantined += replayed->batches_damaged;
    counters.groups_missing += replayed->groups_missing;
    if (replayed->tail_was_torn) counters.tails_torn++;
    log.continue_after(replayed->last);
    auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock_now() - began).count();
    auto level = replayed->groups_missing > 0 ? LogLevel::Error : LogLevel::Info;
    options.log.line(level, "spool-log-applied")
        .field("groups", replayed->groups_applied)
        .field("damaged_batches", replayed->batches_damaged)
        .field("missing_groups", replayed->groups_missing)
        .field("torn_tail", replayed->tail_was_torn ? "yes" : "no")
        .field("milliseconds", milliseconds);
    return {};
}

// While running, after the index failed. Called by the writer, with the housekeeper waiting.
Status RocksSpool::Engine::rebuild_index() {
    log.abandon();
    if (auto reopened = index->reopen(); !reopened) return reopened;
    auto found = log.look_again();
    if (!found) return found.error();
    return apply_log(*std::move(found), true);
}

Status RocksSpool::Engine::start_outbox() {
    std::map<std::string, std::uint64_t> cursors;
    auto scanned = index->scan(Column::Cursor, {}, [&](std::string_view key, std::string_view value) {
        auto body = open_record(Column::Cursor, key, value);
        // A reader whose place is lost starts again with the oldest event: twice is better than never.
        auto known = body && body->size() == kEventKeyOctets;
        cursors[std::string(key)] = known ? get_big_endian<std::uint64_t>(body->data()) : 0;
        return true;
    });
    if (!scanned) return scanned.error();
    outbox.start(index->position().last_event, std::move(cursors));
    return {};
}

void RocksSpool::Engine::start_threads() {
    Writer::Options writing{.directory = options.directory,
                            .min_free = options.min_free,
                            .max_group = options.max_group,
                            .outcome_delay = options.outcome_delay,
                            .slow_write = options.slow_write,
                            .taken_days = taken_days()};
    writer = std::make_unique<Writer>(parts(), std::move(writing), [this] { return rebuild_index(); });
    auto write = [this](WriteItem item) { writer->push(std::move(item)); };
    reader = std::make_unique<StoreReader>(parts(), write);
    housekeeper = std::make_unique<Housekeeper>(parts(),
                                                Housekeeper::Options{.segment_octets = options.segment_octets,
                                                                     .checkpoint_octets = options.checkpoint_octets,
                                                                     .taken_days = taken_days(),
                                                                     .wall_now = options.wall_now},
                                                write);
    readers = std::make_unique<ReaderPool>(options.reader_threads, options.max_reads_waiting);
}

}  // namespace postfleet::spool
