#include "postfleet/spool/rocks_spool.hpp"

#include <algorithm>
#include <utility>

#include "crc32c.hpp"
#include "engine.hpp"
#include "taken.hpp"

namespace postfleet::spool {

namespace {

// What a record and its keys take beside the fields, so that encoding allocates once.
constexpr std::size_t kBatchReserve = 1536;

void add_content(WriteItem& item, const MessageId& id, SharedOctets octets) {
    auto checksum = crc32c(octets ? std::string_view(*octets) : std::string_view());
    if (octets) item.octets += octets->size();
    item.contents.push_back({id, std::move(octets), checksum});
}

// On the caller's thread: the writer only fills in places, numbers and checksums.
WriteItem encode(SpoolBatch&& batch) {
    WriteItem item;
    auto records = batch.put_messages.size() + batch.put_tasks.size() + batch.events.size();
    item.batch.reserve(std::min<std::size_t>(kBatchReserve * std::max<std::size_t>(records / 2, 1), 1 << 20));
    item.contents.reserve(batch.put_messages.size());
    item.events.reserve(batch.events.size());
    item.is_urgent = batch.urgency == SpoolBatch::Urgency::Acceptance;
    for (auto& put : batch.put_messages) {
        item.batch.put_message(*put.message);
        add_content(item, put.message->id, std::move(put.last_chunk));
    }
    for (auto& task : batch.put_tasks) item.batch.put_task(task);
    for (auto& key : batch.remove_tasks) item.batch.remove(Column::Task, key_of(key));
    for (auto& removed : batch.remove_messages) {
        item.batch.remove(Column::Message, key_of(removed.id));
        for (std::uint32_t chunk = 0; chunk + 1 < removed.content_chunks; chunk++) {
            item.batch.remove(Column::Chunk, key_of(removed.id, chunk));
        }
    }
    for (auto& event : batch.events) {
        auto before = item.batch.size();
        item.batch.put_event(event);
        item.events.push_back({std::make_shared<const Event>(std::move(event)), item.batch.size() - before});
    }
    item.octets += item.batch.size();
    return item;
}

void commit_once(WriteItem& item, const MessageId& taken_as, const Message* message, WallTime now) {
    item.once = {.taken_as = taken_as, .day = day_of(now)};
    if (message != nullptr) {
        item.once->message = message->id;
        item.once->appended_chunks = std::max(message->content_chunks, 1u) - 1;
    }
    const auto before = item.batch.size();
    item.batch.put_taken(item.once->day, taken_as);
    item.octets += item.batch.size() - before;
}

template <class T>
void answer(Completion<T>&& done, T value) {
    if (done.on == nullptr) return;
    done.on->post([run = std::move(done.run), value = std::move(value)]() mutable { run(std::move(value)); });
}

}  // namespace

RocksSpool::RocksSpool(std::unique_ptr<Engine> engine) : engine_(std::move(engine)) {}
RocksSpool::~RocksSpool() = default;

Result<std::unique_ptr<RocksSpool>> RocksSpool::open(RocksSpoolOptions options) {
    auto engine = Engine::open(std::move(options));
    if (!engine) return engine.error();
    return std::unique_ptr<RocksSpool>(new RocksSpool(*std::move(engine)));
}

void RocksSpool::commit(SpoolBatch batch, Completion<Status> done) {
    auto urgency = batch.urgency;
    if (auto admitted = engine_->condition.admit(urgency); !admitted)
        return answer(std::move(done), std::move(admitted));
    const auto taken_as = engine_->options.taken_window > Duration{} ? batch.taken_as : std::nullopt;
    // Held, because encoding empties the batch.
    const auto message = taken_as && !batch.put_messages.empty() ? batch.put_messages.front().message : nullptr;
    auto item = encode(std::move(batch));
    if (taken_as) commit_once(item, *taken_as, message.get(), engine_->options.wall_now());
    if (urgency == SpoolBatch::Urgency::Acceptance &&
        engine_->writer->octets_in_flight() + item.octets > engine_->options.max_in_flight) {
        return answer(std::move(done),
                      Status(Error{ErrorKind::ResourceExhausted, "spool: too much waits for the disk"}));
    }
    engine_->counters.commits.fetch_add(1, std::memory_order_relaxed);
    item.done = std::move(done);
    engine_->writer->push(std::move(item));
}

void RocksSpool::append_content(MessageId id, std::uint32_t chunk, SharedOctets octets, Completion<Status> done) {
    auto urgency = SpoolBatch::Urgency::Acceptance;
    if (auto admitted = engine_->condition.admit(urgency); !admitted)
        return answer(std::move(done), std::move(admitted));
    WriteItem item;
    item.batch.put_chunk(id, chunk);
    add_content(item, id, std::move(octets));
    item.octets += item.batch.size();
    if (engine_->writer->octets_in_flight() + item.octets > engine_->options.max_in_flight) {
        return answer(std::move(done),
                      Status(Error{ErrorKind::ResourceExhausted, "spool: too much waits for the disk"}));
    }
    item.done = std::move(done);
    engine_->writer->push(std::move(item));
}

void RocksSpool::discard_content(MessageId id, std::uint32_t chunks) {
    WriteItem item;
    item.is_urgent = false;
    item.discarded = id;
    for (std::uint32_t chunk = 0; chunk < chunks; chunk++) item.batch.remove(Column::Chunk, key_of(id, chunk));
    item.octets = item.batch.size();
    // When this is lost to a failure, the next start finds chunks without a message, and removes them.
    engine_->writer->push(std::move(item));
}

void RocksSpool::load(TaskKey key, Completion<Result<Loaded>> done) {
    engine_->read(std::move(done), [reader = engine_->reader.get(), key] { return reader->load(key); });
}

void RocksSpool::load_facts(std::vector<TaskKey> keys, Completion<Result<std::vector<Loaded>>> done) {
    engine_->read(std::move(done),
                  [reader = engine_->reader.get(), keys = std::move(keys)] { return reader->load_facts(keys); });
}

void RocksSpool::has_message(MessageId id, Completion<Result<bool>> done) {
    engine_->read(std::move(done), [reader = engine_->reader.get(), id] { return reader->has_message(id); });
}

void RocksSpool::was_taken(MessageId taken_as, Completion<Result<bool>> done) {
    if (engine_->options.taken_window <= Duration{}) return answer(std::move(done), Result<bool>(false));
    engine_->read(std::move(done), [engine = engine_.get(), taken_as] {
        return spool::was_taken(*engine->index, taken_as, day_of(engine->options.wall_now()), engine->taken_days());
    });
}

void RocksSpool::read_chunk(MessageId id, std::uint32_t chunk, Completion<Result<SharedOctets>> done) {
    engine_->read(std::move(done),
                  [reader = engine_->reader.get(), id, chunk] { return reader->read_chunk(id, chunk); });
}

void RocksSpool::load_tasks(std::vector<TaskKey> keys, Completion<Result<std::vector<Task>>> done) {
    engine_->read(std::move(done),
                  [reader = engine_->reader.get(), keys = std::move(keys)] { return reader->load_tasks(keys); });
}

Status RocksSpool::scan_tasks(UniqueFunction<void(Task&&)> visit) { return engine_->reader->scan_tasks(visit); }

void RocksSpool::put_note(std::string name, std::string value, Completion<Status> done) {
    if (name.empty() || name.size() > 255) {
        return answer(std::move(done),
                      Status(Error{ErrorKind::InvalidArgument, "spool: a note's name has 1 to 255 octets"}));
    }
    if (auto admitted = engine_->condition.admit(SpoolBatch::Urgency::Outcome); !admitted) {
        return answer(std::move(done), std::move(admitted));
    }
    WriteItem item;
    item.batch.put_small(Column::Note, name, value);
    item.octets = item.batch.size();
    item.done = std::move(done);
    engine_->writer->push(std::move(item));
}

std::vector<std::pair<std::string, std::string>> RocksSpool::notes() {
    auto notes = engine_->reader->notes();
    if (notes) return *std::move(notes);
    engine_->options.log.line(LogLevel::Error, "spool-notes-unreadable").field("reason", notes.error().text);
    return {};
}

SpoolState RocksSpool::state() const { return engine_->condition.state(); }

void RocksSpool::on_state_change(Executor& on, UniqueFunction<void(SpoolState)> changed) {
    engine_->condition.watch(on, std::move(changed));
}

Spool::Statistics RocksSpool::statistics() const {
    auto& counters = engine_->counters;
    return {.commits = counters.commits,
            .synced_writes = counters.synced_writes,
            .octets_written = counters.octets_written,
            .latches = counters.latches,
            .quarantined = counters.quarantined,
            .repeated = counters.repeated,
            .octets_in_flight = engine_->writer->octets_in_flight(),
            .free_octets = counters.free_octets,
            .sync_seconds_total = static_cast<double>(counters.sync_nanoseconds) / 1e9};
}

Result<std::uint64_t> RocksSpool::open_cursor(const std::string& name) {
    if (name.empty() || name.size() > 255) {
        return Error{ErrorKind::InvalidArgument, "spool: a cursor's name has 1 to 255 octets"};
    }
    auto& outbox = engine_->outbox;
    auto oldest = engine_->reader->oldest_event(outbox.last_number() + 1);
    if (!oldest) return oldest.error();
    return outbox.open_cursor(name, std::max(*oldest - 1, outbox.passed().load()));
}

Status RocksSpool::keep_only_cursors(const std::vector<std::string>& names) {
    auto gone = engine_->outbox.keep_only_cursors(names);
    if (gone.empty()) return {};
    WriteItem item;
    item.is_urgent = false;
    for (auto& name : gone) item.batch.remove(Column::Cursor, name);
    engine_->writer->push(std::move(item));
    return {};
}

Result<std::vector<LoggedEvent>> RocksSpool::read(std::uint64_t after, std::size_t max_events) {
    if (auto events = engine_->outbox.read_tail(after, max_events)) return *std::move(events);
    return engine_->reader->read_events(after, max_events);
}

void RocksSpool::wait(std::uint64_t after, SteadyTime until) { engine_->outbox.wait(after, until); }

Status RocksSpool::advance(const std::string& cursor, std::uint64_t number) {
    if (engine_->outbox.advance(cursor, number)) return {};
    return Error{ErrorKind::NotFound, "spool: no cursor " + cursor};
}

std::uint64_t RocksSpool::last_number() const { return engine_->outbox.last_number(); }
std::uint64_t RocksSpool::octets_after(std::uint64_t number) const {
    if (auto octets = engine_->outbox.octets_of_tail(number)) return *octets;
    return engine_->index->event_octets(number + 1, engine_->outbox.last_number());
}
void RocksSpool::stop() { engine_->outbox.stop(); }
std::map<std::string, std::uint64_t> RocksSpool::unread() const {
    auto readers = engine_->outbox.cursors();
    for (auto& [name, number] : readers) number = last_number() - std::min(number, last_number());
    return readers;
}
const std::string& RocksSpool::spool_id() const { return engine_->directory->id_text(); }

void RocksSpool::register_metrics(Metrics& metrics) {
    auto& counters = engine_->counters;
    auto count = [&](const char* name, const char* help, std::atomic<std::uint64_t>& counter) {
        metrics.computed_gauge(name, help, {}, [&counter] { return static_cast<double>(counter.load()); });
    };
    count("postfleet_spool_commits_total", "Batches given to the spool.", counters.commits);
    count("postfleet_spool_synced_writes_total", "Groups of batches written and synced.", counters.synced_writes);
    count("postfleet_spool_written_octets_total", "Octets written to the log.", counters.octets_written);
    count("postfleet_spool_latches_total", "Failed writes or syncs that latched the spool.", counters.latches);
    count("postfleet_spool_quarantined_total", "Records that did not check out.", counters.quarantined);
    count("postfleet_spool_repeated_total", "Messages that had been taken before, and were dropped.",
          counters.repeated);
    count("postfleet_spool_missing_groups_total", "Groups of the log damaged beyond recognition.",
          counters.groups_missing);
    count("postfleet_spool_moved_octets_total", "Content moved out of mostly empty segments.",
          counters.content_moved_octets);
    count("postfleet_spool_free_octets", "Free space where the spool is.", counters.free_octets);
    auto* engine = engine_.get();
    metrics.computed_gauge("postfleet_spool_sync_seconds_total", "Time spent writing and syncing.", {},
                           [this] { return statistics().sync_seconds_total; });
    metrics.computed_gauge("postfleet_spool_in_flight_octets", "Octets that wait for the disk.", {},
                           [engine] { return static_cast<double>(engine->writer->octets_in_flight()); });
    metrics.computed_gauge("postfleet_spool_log_octets", "Octets in the segments of the log.", {},
                           [engine] { return static_cast<double>(engine->log.octets()); });
    metrics.computed_gauge("postfleet_spool_index_memory_octets",
                           "Memory of the index: changes not yet in its files, and blocks of them.", {},
                           [engine] { return static_cast<double>(engine->index->memory_octets()); });
    metrics.computed_gauge("postfleet_spool_ready", "1 ready, 0.5 space low, 0 latched.", {}, [engine] {
        if (engine->condition.is(SpoolCondition::Ready)) return 1.0;
        return engine->condition.is(SpoolCondition::SpaceLow) ? 0.5 : 0.0;
    });
}

}  // namespace postfleet::spool
