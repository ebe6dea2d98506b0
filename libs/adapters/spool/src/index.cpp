#include "index.hpp"

#include <rocksdb/cache.h>
#include <rocksdb/compaction_filter.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <utility>

#include "crc32c.hpp"
#include "octets.hpp"

namespace postfleet::spool {

namespace {

using rocksdb::Slice;

constexpr std::string_view kPositionKey = "position";
constexpr std::string_view kSegmentPrefix = "segment/";
// By column: the number is the value of the enum, and the default family is ours for position and segments. Ids that were
// taken are there, too: RocksDB opens no index that has a family which an older Postfleet does not know.
constexpr std::array kFamilies = {"default", "task", "message", "chunk", "outbox", "note", "cursor", "quarantine"};
constexpr std::string_view kTakenPrefix = "taken/";
static_assert(kFamilies.size() == static_cast<std::size_t>(Column::Taken));
// How long apply() waits for RocksDB to write out before it calls that a failure.
constexpr auto kStallPatience = std::chrono::seconds(30);

std::string_view view(const Slice& slice) { return {slice.data(), slice.size()}; }
Slice slice(std::string_view octets) { return {octets.data(), octets.size()}; }

Error index_error(const char* what, const rocksdb::Status& status) {
    auto kind = status.IsCorruption() ? ErrorKind::Corruption
                : status.IsNoSpace()  ? ErrorKind::ResourceExhausted
                                      : ErrorKind::Unavailable;
    return {kind, std::string("spool index: cannot ") + what + ": " + status.ToString()};
}

// Leaves out events that every reader has passed, whenever a file is written: they need no deletions.
class PassedEvents final : public rocksdb::CompactionFilter {
public:
    explicit PassedEvents(std::uint64_t passed) : passed_(passed) {}
    const char* Name() const override { return "postfleet.PassedEvents"; }
    bool Filter(int, const Slice& key, const Slice&, std::string*, bool*) const override {
        return key.size() == kEventKeyOctets && get_big_endian<std::uint64_t>(key.data()) <= passed_;
    }

private:
    std::uint64_t passed_;
};

class PassedEventsFactory final : public rocksdb::CompactionFilterFactory {
public:
    explicit PassedEventsFactory(const std::atomic<std::uint64_t>* passed) : passed_(passed) {}
    const char* Name() const override { return "postfleet.PassedEventsFactory"; }
    bool ShouldFilterTableFileCreation(rocksdb::TableFileCreationReason reason) const override {
        return reason == rocksdb::TableFileCreationReason::kFlush ||
               reason == rocksdb::TableFileCreationReason::kCompaction;
    }
    std::unique_ptr<rocksdb::CompactionFilter> CreateCompactionFilter(
        const rocksdb::CompactionFilter::Context&) override {
        return std::make_unique<PassedEvents>(passed_->load());
    }

private:
    const std::atomic<std::uint64_t>* passed_;
};

// Likewise ids that were taken before a day.
class ForgottenIds final : public rocksdb::CompactionFilter {
public:
    explicit ForgottenIds(std::uint32_t before) : before_(before) {}
    const char* Name() const override { return "postfleet.ForgottenIds"; }
    bool Filter(int, const Slice& key, const Slice&, std::string*, bool*) const override {
        return key.size() == kTakenPrefix.size() + kTakenKeyOctets && key.starts_with(slice(kTakenPrefix)) &&
               get_big_endian<std::uint32_t>(key.data() + kTakenPrefix.size()) < before_;
    }

private:
    std::uint32_t before_;
};

class ForgottenIdsFactory final : public rocksdb::CompactionFilterFactory {
public:
    explicit ForgottenIdsFactory(const std::atomic<std::uint32_t>& before) : before_(before) {}
    const char* Name() const override { return "postfleet.ForgottenIdsFactory"; }
    std::unique_ptr<rocksdb::CompactionFilter> CreateCompactionFilter(
        const rocksdb::CompactionFilter::Context&) override {
        return std::make_unique<ForgottenIds>(before_.load());
    }

private:
    const std::atomic<std::uint32_t>& before_;
};

class FailureListener final : public rocksdb::EventListener {
public:
    explicit FailureListener(Log log) : log_(log) {}
    void OnBackgroundError(rocksdb::BackgroundErrorReason reason, rocksdb::Status* status) override {
        std::lock_guard lock(mutex_);
        if (reason == rocksdb::BackgroundErrorReason::kCompaction && status->IsCorruption()) {
            // Bits rotted in one block. What can be read is read as before; only that file stays as it is.
            if (!std::exchange(damage_told_, true)) {
                log_.line(LogLevel::Error, "spool-index-damaged").field("reason", status->ToString());
            }
            *status = rocksdb::Status::OK();
            return;
        }
        if (!failure_) failure_ = status->ToString();
    }
    // RocksDB would try again by itself; the spool reopens instead, which is the one way it knows.
    void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status, bool* auto_recovery) override {
        *auto_recovery = false;
    }
    std::optional<std::string> failure() const {
        std::lock_guard lock(mutex_);
        return failure_;
    }

private:
    const Log log_;
    mutable std::mutex mutex_;
    bool damage_told_ = false;
    std::optional<std::string> failure_;
};

rocksdb::ColumnFamilyOptions family_options(const Index::Options& options, const std::shared_ptr<rocksdb::Cache>& cache,
                                            const std::atomic<std::uint32_t>& taken_before, std::size_t family) {
    rocksdb::ColumnFamilyOptions family_options;
    family_options.write_buffer_size = options.memory;  // the sum over all families decides (db_write_buffer_size)
    family_options.max_write_buffer_number = 4;
    family_options.compression = rocksdb::kNoCompression;
    family_options.level_compaction_dynamic_level_bytes = true;
    family_options.target_file_size_base = std::uint64_t{32} << 20;
    family_options.max_bytes_for_level_base = std::uint64_t{256} << 20;
    rocksdb::BlockBasedTableOptions table;
    table.block_cache = cache;
    table.block_size = 16 << 10;
    table.cache_index_and_filter_blocks = true;
    table.pin_l0_filter_and_index_blocks_in_cache = true;
    table.format_version = 5;
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    family_options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    if (family == static_cast<std::size_t>(Column::Outbox)) {
        family_options.compaction_filter_factory = std::make_shared<PassedEventsFactory>(options.events_passed);
    }
    if (family == 0) family_options.compaction_filter_factory = std::make_shared<ForgottenIdsFactory>(taken_before);
    return family_options;
}

rocksdb::DBOptions database_options(const Index::Options& options) {
    rocksdb::DBOptions db;
    db.create_if_missing = options.create;
    db.create_missing_column_families = options.create;
    db.atomic_flush = true;
    db.db_write_buffer_size = options.memory;
    db.allow_concurrent_memtable_write = false;  // there is one writer
    db.enable_write_thread_adaptive_yield = false;
    db.max_background_jobs = 2;
    db.max_open_files = 512;
    db.avoid_flush_during_shutdown = true;  // the log has it
    db.avoid_unnecessary_blocking_io = true;
    db.paranoid_checks = true;
    db.stats_dump_period_sec = 0;
    db.stats_persist_period_sec = 0;
    db.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
    db.keep_log_file_num = 2;
    db.max_log_file_size = 1 << 20;
    db.bytes_per_sync = 1 << 20;
    return db;
}

// version 1 · checksum 4 · number 8 · first group 8 · last group 8 · end 8 · low 16 · high 16 · last event 8
constexpr std::size_t kPositionOctets = 5 + 8 * 4 + 16 * 2 + 8;

std::string encode_position(const SegmentFacts& facts, std::uint64_t last_event) {
    std::string octets(5, '\0');
    append_fixed64(octets, facts.number);
    append_fixed64(octets, facts.first_group);
    append_fixed64(octets, facts.last_group);
    append_fixed64(octets, facts.end);
    octets.append(key_of(facts.low));
    octets.append(key_of(facts.high));
    append_fixed64(octets, last_event);
    octets[0] = static_cast<char>(kPlainVersion);
    put_fixed32(octets.data() + 1, crc32c(std::string_view(octets).substr(5)));
    return octets;
}

Result<Index::Position> decode_position(std::string_view octets) {
    auto ok = octets.size() == kPositionOctets && get_fixed32(octets.data() + 1) == crc32c(octets.substr(5));
    if (!ok) return Error{ErrorKind::Corruption, "spool index: its position in the log does not check out"};
    if (static_cast<std::uint8_t>(octets[0]) > kPlainVersion) {
        return Error{ErrorKind::InvalidArgument, "spool index: written by a newer Postfleet: start that one"};
    }
    const auto* from = octets.data() + 5;
    Index::Position position;
    position.segment.number = get_fixed64(from);
    position.segment.first_group = get_fixed64(from + 8);
    position.segment.last_group = get_fixed64(from + 16);
    position.segment.end = get_fixed64(from + 24);
    position.segment.low = id_of_key(octets.substr(5 + 32));
    position.segment.high = id_of_key(octets.substr(5 + 48));
    position.last_event = get_fixed64(from + 64);
    return position;
}

// Where a record is; `space` holds its key, should that be another one.
Slice stored_key(Column column, std::string_view key, std::string& space) {
    if (column != Column::Taken) return slice(key);
    space.assign(kTakenPrefix).append(key);
    return slice(space);
}

std::string segment_key(std::uint64_t number) {
    std::string key(kSegmentPrefix);
    key.resize(kSegmentPrefix.size() + 8);
    put_big_endian(key.data() + kSegmentPrefix.size(), number);
    return key;
}

}  // namespace

class Index::Database {
public:
    ~Database() { close(); }

    void close() {
        for (auto* family : families) {
            if (family != nullptr) db->DestroyColumnFamilyHandle(family);
        }
        families.clear();
        if (!db) return;
        (void)db->Close().ok();
        db.reset();
    }
    rocksdb::ColumnFamilyHandle* family(Column column) const {
        return families[column == Column::Taken ? 0 : static_cast<std::size_t>(column)];
    }

    std::unique_ptr<rocksdb::Env> env;
    std::shared_ptr<rocksdb::Cache> cache;
    // Held shared by every use, alone by reopen().
    mutable std::shared_mutex mutex;
    std::unique_ptr<rocksdb::DB> db;
    std::vector<rocksdb::ColumnFamilyHandle*> families;
    std::shared_ptr<FailureListener> listener;  // RocksDB asks for shared ones
    // The writer's own.
    Position position;
    rocksdb::WriteBatch batch;
};

Index::Index(Options options) : options_(std::move(options)), database_(std::make_unique<Database>()) {}
Index::~Index() = default;

Result<std::unique_ptr<Index>> Index::open(Options options) {
    std::unique_ptr<Index> index(new Index(std::move(options)));
    index->database_->cache = rocksdb::NewLRUCache(index->options_.cache);
    if (index->options_.files) index->database_->env = rocksdb::NewCompositeEnv(index->options_.files);
    if (auto opened = index->open_database(); !opened) return opened.error();
    return index;
}

Status Index::open_database() {
    auto& self = *database_;
    auto options = database_options(options_);
    self.listener = std::make_shared<FailureListener>(options_.log);
    options.listeners.push_back(self.listener);
    if (self.env) options.env = self.env.get();
    std::vector<rocksdb::ColumnFamilyDescriptor> families;
    for (std::size_t family = 0; family < kFamilies.size(); family++) {
        families.emplace_back(kFamilies[family], family_options(options_, self.cache, taken_before_, family));
    }
    rocksdb::DB* db = nullptr;
    auto status = rocksdb::DB::Open(options, options_.directory, families, &self.families, &db);
    if (!status.ok()) return index_error(("open " + options_.directory).c_str(), status);
    self.db.reset(db);

    std::string stored;
    status = db->Get({}, self.families[0], slice(kPositionKey), &stored);
    self.position = {};
    if (status.IsNotFound()) return {};
    if (!status.ok()) return index_error("read its position", status);
    auto position = decode_position(stored);
    if (!position) return position.error();
    self.position = *position;
    return {};
}

Status Index::reopen() {
    std::unique_lock lock(database_->mutex);
    database_->close();
    return open_database();
}

Index::Position Index::position() const { return database_->position; }

std::vector<SegmentFacts> Index::segments() const {
    std::shared_lock lock(database_->mutex);
    std::vector<SegmentFacts> all;
    rocksdb::ReadOptions options;
    options.ignore_range_deletions = true;  // see scan()
    std::unique_ptr<rocksdb::Iterator> at(database_->db->NewIterator(options, database_->families[0]));
    for (at->Seek(slice(kSegmentPrefix)); at->Valid() && at->key().starts_with(slice(kSegmentPrefix)); at->Next()) {
        // One that does not check out is found again in the log.
        if (auto facts = decode_position(view(at->value()))) all.push_back(facts->segment);
    }
    return all;
}

Status Index::apply(std::span<const std::string_view> batches, const SegmentFacts& segment,
                    const SegmentFacts* sealed) {
    auto& self = *database_;
    std::shared_lock lock(self.mutex);
    if (!self.db) return Error{ErrorKind::Unavailable, "spool index: it is not open"};
    auto& batch = self.batch;
    batch.Clear();
    auto last_event = self.position.last_event;
    std::string key;
    for (auto operations : batches) {
        OperationReader reader(operations);
        for (Operation operation; reader.next(operation);) {
            auto* family = self.family(operation.column);
            if (operation.remove) {
                batch.Delete(family, slice(operation.key));
                continue;
            }
            batch.Put(family, stored_key(operation.column, operation.key, key), slice(operation.value));
            if (operation.column == Column::Outbox && operation.key.size() == kEventKeyOctets) {
                last_event = std::max(last_event, get_big_endian<std::uint64_t>(operation.key.data()));
            }
        }
    }
    if (sealed != nullptr) batch.Put(self.families[0], segment_key(sealed->number), encode_position(*sealed, 0));
    batch.Put(self.families[0], slice(kPositionKey), encode_position(segment, last_event));

    rocksdb::WriteOptions options;
    options.disableWAL = true;
    options.no_slowdown = true;  // so that a failed background write is seen instead of waited for
    auto deadline = std::chrono::steady_clock::now() + kStallPatience;
    for (;;) {
        auto status = self.db->Write(options, &batch);
        if (status.ok()) break;
        auto failed = self.listener->failure();
        if (!status.IsIncomplete() || failed || std::chrono::steady_clock::now() > deadline) {
            if (failed) return Error{ErrorKind::Unavailable, "spool index: " + *failed};
            return index_error("take a write", status);
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    self.position = {segment, last_event};
    return {};
}

void Index::forget_segment(std::uint64_t number) {
    std::shared_lock lock(database_->mutex);
    if (!database_->db) return;
    rocksdb::WriteOptions options;
    options.disableWAL = true;
    // When it is lost, the record names a file that is not there, and is passed over.
    (void)database_->db->Delete(options, database_->families[0], segment_key(number)).ok();
}

Result<std::optional<std::string>> Index::get(Column column, std::string_view key) {
    std::shared_lock lock(database_->mutex);
    if (!database_->db) return Error{ErrorKind::Unavailable, "spool index: it is not open"};
    std::string value, space;
    auto status = database_->db->Get({}, database_->family(column), stored_key(column, key, space), &value);
    if (status.IsNotFound()) return std::optional<std::string>{};
    if (!status.ok()) return index_error("read", status);
    return std::optional<std::string>(std::move(value));
}

Result<Index::Scan> Index::scan(Column column, std::string_view from, const Visit& visit) {
    std::shared_lock lock(database_->mutex);
    if (!database_->db) return Error{ErrorKind::Unavailable, "spool index: it is not open"};
    rocksdb::ReadOptions options;
    options.fill_cache = false;
    // There are none. And with this RocksDB 7.8 tells when a block is damaged; without, it ends as if all were read.
    options.ignore_range_deletions = true;
    Scan result;
    std::string next(from);
    std::uint64_t jump = 1;
    for (;;) {
        std::unique_ptr<rocksdb::Iterator> at(database_->db->NewIterator(options, database_->family(column)));
        for (at->Seek(next); at->Valid(); at->Next()) {
            if (!visit(view(at->key()), view(at->value()))) return result;
            next.assign(at->key().data(), at->key().size());
            next.push_back('\0');
            jump = 1;
        }
        if (at->status().ok()) return result;
        if (!at->status().IsCorruption()) return index_error("read", at->status());
        if (options.verify_checksums) {
            options.verify_checksums = false;  // each record has a checksum of its own: read what can be read
            continue;
        }
        // Not even its frame is left. The keys in it are not known: go on a little further, then further.
        result.blocks_lost++;
        next.resize(std::max<std::size_t>(next.size(), 8));
        next.resize(8);
        auto place = get_big_endian<std::uint64_t>(next.data());
        if (place > UINT64_MAX - jump) return result;
        put_big_endian(next.data(), place + jump);
        jump *= 2;
    }
}

Result<std::uint64_t> Index::persisted_group() {
    std::shared_lock lock(database_->mutex);
    if (!database_->db) return Error{ErrorKind::Unavailable, "spool index: it is not open"};
    rocksdb::ReadOptions options;
    options.read_tier = rocksdb::kPersistedTier;
    std::string stored;
    auto status = database_->db->Get(options, database_->families[0], slice(kPositionKey), &stored);
    if (status.IsNotFound()) return std::uint64_t{0};
    if (!status.ok()) return index_error("read its position", status);
    auto position = decode_position(stored);
    if (!position) return position.error();
    return position->segment.last_group;
}

void Index::write_out() {
    std::shared_lock lock(database_->mutex);
    if (!database_->db) return;
    rocksdb::FlushOptions options;
    options.wait = false;
    options.allow_write_stall = true;
    (void)database_->db->Flush(options, database_->families).ok();  // a failure arrives at the listener
}

void Index::drop_event_files(std::uint64_t up_to) {
    std::shared_lock lock(database_->mutex);
    if (!database_->db) return;
    auto begin = key_of_event(0), end = key_of_event(up_to);
    Slice from(begin), to(end);
    (void)rocksdb::DeleteFilesInRange(database_->db.get(), database_->family(Column::Outbox), &from, &to).ok();
}

void Index::forget_taken(std::uint32_t before_day) {
    taken_before_ = before_day;
    std::shared_lock lock(database_->mutex);
    if (!database_->db) return;
    std::string begin(kTakenPrefix), end(kTakenPrefix);
    end.append(key_of_taken(before_day, {}));
    Slice from(begin), to(end);
    (void)rocksdb::DeleteFilesInRange(database_->db.get(), database_->families[0], &from, &to).ok();
}

void Index::drop_removals() {
    std::shared_lock lock(database_->mutex);
    if (!database_->db) return;
    // RocksDB looks for files of its lowest level with removals that nobody needs any more when a snapshot goes.
    database_->db->ReleaseSnapshot(database_->db->GetSnapshot());
}

std::uint64_t Index::files() const {
    std::shared_lock lock(database_->mutex);
    if (!database_->db) return 0;
    std::vector<rocksdb::LiveFileMetaData> files;
    database_->db->GetLiveFilesMetaData(&files);
    return files.size();
}

std::uint64_t Index::event_octets(std::uint64_t first, std::uint64_t last) const {
    std::shared_lock lock(database_->mutex);
    if (!database_->db) return 0;
    auto begin = key_of_event(first), end = key_of_event(last + 1);
    rocksdb::Range range(slice(begin), slice(end));
    rocksdb::SizeApproximationOptions options;
    options.include_memtables = true;
    std::uint64_t octets = 0;
    if (!database_->db->GetApproximateSizes(options, database_->family(Column::Outbox), &range, 1, &octets).ok())
        return 0;
    return octets;
}

std::optional<std::string> Index::failure() const {
    std::shared_lock lock(database_->mutex);
    return database_->listener->failure();
}

std::uint64_t Index::memory_octets() const {
    std::shared_lock lock(database_->mutex);
    std::uint64_t changes = 0;
    if (!database_->db) return 0;
    (void)database_->db->GetAggregatedIntProperty(rocksdb::DB::Properties::kSizeAllMemTables, &changes);
    return changes + database_->cache->GetUsage();
}

}  // namespace postfleet::spool

#if defined(__SANITIZE_THREAD__)
// RocksDB comes without the thread sanitizer, which then does not see the atomics that order its memory.
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() { return "race:librocksdb.so\n"; }
#endif
