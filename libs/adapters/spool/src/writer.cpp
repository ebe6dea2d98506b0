#include "writer.hpp"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <unordered_set>
#include <utility>

#include "crc32c.hpp"
#include "postfleet/base/text.hpp"
#include "taken.hpp"

namespace postfleet::spool {

namespace {

constexpr Duration kTick = std::chrono::seconds(1);
constexpr Duration kFirstBackoff = std::chrono::milliseconds(100);
constexpr Duration kLastBackoff = std::chrono::seconds(5);
// The disk is looked at again after this much was written, or after a tick.
constexpr std::uint64_t kSpaceCheckOctets = std::uint64_t{64} << 20;

const std::array<char, kBlockOctets> kZeros{};

iovec part_of(std::string_view octets) { return {const_cast<char*>(octets.data()), octets.size()}; }

// Completions of one group for one executor.
struct Delivery {
    struct Run {
        UniqueFunction<void(Status)> run;
        std::unique_ptr<Error> refused;
    };
    Executor* on;
    std::vector<Run> runs;
};

}  // namespace

Writer::Writer(Parts parts, Options options, std::function<Status()> rebuild_index)
    : parts_(parts),
      options_(std::move(options)),
      rebuild_index_(std::move(rebuild_index)),
      queue_(options_.outcome_delay),
      next_event_(parts.outbox.next_number()),
      last_segment_(parts.index.position().segment) {
    check_space(true);
    for (std::size_t lane = 0; lane < lanes_.size(); lane++) {
        lanes_[lane] = std::thread([this, lane] {
            pthread_setname_np(pthread_self(), "spool-writer");
            run(lane);
        });
    }
}

Writer::~Writer() {
    queue_.stop();
    for (auto& lane : lanes_) lane.join();
}

void Writer::run(std::size_t lane) {
    for (;;) {
        Form form(forming_);
        while (form.owns_lock() && !ended_) take_turn(lane, form);
        if (form.owns_lock()) return;
    }
}

// One group, if there is something to write. While the disk is slow the right to form is passed on.
void Writer::take_turn(std::size_t lane, Form& form) {
    const bool latched = is_latched();
    if (latched && !abandoned_) abandon();
    auto until = steady_clock_now() + kTick;
    if (latched) until = std::min(until, next_try_);
    if (waiting_.empty()) queue_.take(waiting_, until);
    const bool stopping = queue_.is_stopped();
    if (latched) {
        fail_everything();
        // Also when stopping: a fresh segment says where the failed one ended, so that nothing refused comes back.
        if (stopping || steady_clock_now() >= next_try_) try_to_recover();
        ended_ = stopping;
        return;
    }
    wait_for_company();
    add_cursors();
    check_space(false);
    if (waiting_.empty()) {
        if (!stopping) return;
        await_all();
        ended_ = !is_latched();
        return;
    }
    if (!is_ready_to_write()) return;

    auto group = write(next_items(), lane);
    if (is_disk_slow()) form.unlock();
    auto synced = sync(group);
    auto took = steady_clock_now() - group.begun;
    await_turn(group.turn);
    finish(group, std::move(synced));
    end_turn(took);
    // More may have come while the disk was busy; it makes the next group larger.
    if (form.owns_lock() && !waiting_.empty()) queue_.take_now(waiting_);
}

// A group that is on its way to the disk has had a third of its time when the next one follows: what comes meanwhile is
// in good time, and the first one's lane finds some company when it is free.
void Writer::wait_for_company() {
    if (waiting_.empty()) return;
    {
        std::unique_lock lock(turns_mutex_);
        if (turns_ended_ == turns_given_) return;
        auto until = last_begun_ + last_write_ / 3;
        turn_ended_.wait_until(lock, until, [&] { return turns_ended_ == turns_given_; });
    }
    queue_.take_now(waiting_);
}

// False: the spool is latched.
bool Writer::is_ready_to_write() {
    if (auto failure = parts_.index.failure()) {
        await_all();
        index_failed_ = true;
        if (!is_latched()) latch({ErrorKind::Unavailable, "spool index: " + *failure});
    } else if (asks_index(group_size())) {
        await_all();
    }
    return !is_latched();
}

bool Writer::asks_index(std::size_t items) const {
    auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(items);
    return std::any_of(waiting_.begin(), end, [](auto& item) { return item.move || item.once || item.discarded; });
}

std::vector<WriteItem> Writer::next_items() {
    std::vector<WriteItem> items;
    auto count = static_cast<std::ptrdiff_t>(group_size());
    items.reserve(static_cast<std::size_t>(count));
    std::move(waiting_.begin(), waiting_.begin() + count, std::back_inserter(items));
    waiting_.erase(waiting_.begin(), waiting_.begin() + count);
    drop_stale_moves(items);
    drop_repeated(items);
    return items;
}

std::size_t Writer::group_size() const {
    std::uint64_t octets = 0;
    std::size_t count = 0;
    for (auto& item : waiting_) {
        octets += item.octets;
        if (count > 0 && octets > options_.max_group) break;
        count++;
    }
    return count;
}

void Writer::add_cursors() {
    auto moved = parts_.outbox.take_moved();
    if (moved.empty()) return;
    WriteItem item;
    for (auto& [name, number] : moved) item.batch.put_small(Column::Cursor, name, key_of_event(number));
    item.cursors = std::move(moved);
    waiting_.insert(waiting_.begin(), std::move(item));
}

// Content moves first, before anything in the group that may remove its message: what is checked here is
// then still true when the group is applied.
void Writer::drop_stale_moves(std::vector<WriteItem>& group) {
    if (std::ranges::none_of(group, [](auto& item) { return item.move.has_value(); })) return;
    std::ranges::stable_partition(group, [](auto& item) { return item.move.has_value(); });
    for (auto& item : group) {
        if (!item.move) break;
        auto stored = parts_.index.get(item.move->column, item.move->key);
        bool unchanged = false;
        if (stored && *stored && (*stored)->size() >= kRecordHeaderOctets) {
            auto body = std::string_view(**stored).substr(kRecordHeaderOctets);
            auto location = take_location(body);
            unchanged = location && *location == item.move->from;
        }
        if (unchanged) continue;
        item.batch = BatchBuilder();
        item.contents.clear();
    }
}

// Here, because nothing else sees every batch in its order: two copies that are under way together meet in one group,
// or the later one finds the earlier one in the index. Who gives up a message that somebody else has committed under the
// same id leaves its content alone, likewise.
void Writer::drop_repeated(std::vector<WriteItem>& group) {
    std::unordered_set<MessageId> taken_here, put_here;
    for (std::size_t at = 0; at < group.size(); at++) {
        auto& item = group[at];
        if (item.discarded) {
            const auto message = is_there(Column::Message, key_of(*item.discarded), group, at);
            if (!message || *message) item.batch = BatchBuilder();
            continue;
        }
        if (!item.once) continue;
        const auto once = *item.once;
        const bool is_here = taken_here.contains(once.taken_as);
        const auto before =
            is_here ? Result<bool>(true) : was_taken(parts_.index, once.taken_as, once.day, options_.taken_days);
        const auto stored = before ? parts_.index.get(Column::Message, key_of(once.message)) : before.error();
        if (!stored) {
            drop(item, stored.error());
            continue;
        }
        const bool has_message = *stored || put_here.contains(once.message);
        if (*before) {
            drop(item, {ErrorKind::AlreadyExists, "this was taken before"});
            parts_.counters.repeated++;
            // Its content came before it was known. The message's own is there under the same keys.
            if (!has_message) remove_chunks(item, once);
        } else if (has_message && !once.message.is_nil()) {
            drop(item, {ErrorKind::InvalidArgument, "its message is here from another hand-over, and not finished"});
        } else if (!has_chunks(once, group, at)) {
            drop(item, {ErrorKind::Unavailable, "its content went with the message that had it: append it again"});
        } else {
            taken_here.insert(once.taken_as);
            put_here.insert(once.message);
        }
    }
}

// The chunks that were appended for a batch go with a message of the same id that ends before the batch is written.
bool Writer::has_chunks(const WriteItem::Once& once, const std::vector<WriteItem>& group, std::size_t at) {
    for (std::uint32_t chunk = 0; chunk < once.appended_chunks; chunk++) {
        const auto content = is_there(Column::Chunk, key_of(once.message, chunk), group, at);
        if (!content || !*content) return false;
    }
    return true;
}

// When what comes before in the group is written.
Result<bool> Writer::is_there(Column column, std::string_view key, const std::vector<WriteItem>& group,
                              std::size_t at) {
    const auto stored = parts_.index.get(column, key);
    if (!stored) return stored.error();
    bool is_there = stored->has_value();
    for (std::size_t before = 0; before < at; before++) {
        OperationReader operations(group[before].batch.operations());
        for (Operation operation; operations.next(operation);) {
            if (operation.column == column && operation.key == key) is_there = !operation.remove;
        }
    }
    return is_there;
}

void Writer::remove_chunks(WriteItem& item, const WriteItem::Once& once) {
    for (std::uint32_t chunk = 0; chunk < once.appended_chunks; chunk++) {
        item.batch.remove(Column::Chunk, key_of(once.message, chunk));
    }
}

void Writer::drop(WriteItem& item, Error why) {
    item.batch = BatchBuilder();
    item.contents.clear();
    item.events.clear();
    item.refused = std::make_unique<Error>(std::move(why));
}

Writer::Group Writer::write(std::vector<WriteItem> items, std::size_t lane) {
    Group group{.items = std::move(items), .begun = steady_clock_now()};
    group.written = write_octets(group, lane);
    last_begun_ = group.begun;
    std::lock_guard lock(turns_mutex_);
    group.turn = turns_given_++;
    return group;
}

Result<std::shared_ptr<File>> Writer::write_octets(Group& group, std::size_t lane) {
    GroupHeader header;
    for (auto& item : group.items) {
        header.batches_octets += static_cast<std::uint32_t>(item.batch.size());
        for (auto& content : item.contents) header.content_octets += content.octets ? content.octets->size() : 0;
    }
    header.batch_count = static_cast<std::uint32_t>(group.items.size());
    group.octets = header.total_octets();
    // The header of a new segment says where the one before ended.
    if (!parts_.log.fits(group.octets)) {
        await_all();
        // What was under way may have failed: then this fails, too, and must not stand in a segment that counts.
        if (is_latched() && !abandoned_) {
            return Error{ErrorKind::Unavailable, parts_.condition.state().reason};
        }
    }
    auto begun = parts_.log.begin(group.octets);
    if (!begun) return begun.error();
    header.segment = begun->segment;
    header.offset = begun->offset;
    header.number = begun->group;
    header.unconfirmed = begun->unconfirmed;
    group.touched = place(group.items, *begun, header);

    char header_octets[kGroupHeaderOctets];
    put_group_header(header_octets, header);
    std::vector<iovec> parts{part_of({header_octets, sizeof header_octets})};
    for (auto& item : group.items) parts.push_back(part_of(item.batch.finish()));
    for (auto& item : group.items) {
        for (auto& content : item.contents) {
            if (content.octets && !content.octets->empty()) parts.push_back(part_of(*content.octets));
        }
    }
    auto used = kGroupHeaderOctets + header.batches_octets + header.content_octets;
    if (group.octets > used) parts.push_back(part_of({kZeros.data(), static_cast<std::size_t>(group.octets - used)}));
    octets_since_check_ += group.octets;
    return parts_.log.write(parts, lane);
}

SegmentFacts Writer::place(std::vector<WriteItem>& items, const SegmentLog::Place& place, const GroupHeader& header) {
    SegmentFacts touched;
    auto at = place.offset + kGroupHeaderOctets + header.batches_octets;
    for (auto& item : items) {
        for (std::size_t n = 0; n < item.contents.size(); n++) {
            auto& content = item.contents[n];
            auto size = content.octets ? content.octets->size() : 0;
            item.batch.place_content(n, {place.segment, at, static_cast<std::uint32_t>(size), content.checksum});
            touched.include(content.id);
            at += size;
        }
        for (std::size_t n = 0; n < item.events.size(); n++) item.batch.number_event(n, next_event_++);
    }
    return touched;
}

Status Writer::sync(Group& group) {
    if (!group.written) return group.written.error();
    if (auto synced = (*group.written)->sync(); !synced) return synced;
    auto& counters = parts_.counters;
    counters.sync_nanoseconds += static_cast<std::uint64_t>((steady_clock_now() - group.begun).count());
    counters.synced_writes++;
    counters.octets_written += group.octets;
    return {};
}

void Writer::finish(Group& group, Status synced) {
    // What is behind a group that failed may stand on it, and would come back without it.
    if (synced && is_latched()) synced = Error{ErrorKind::Unavailable, parts_.condition.state().reason};
    if (!synced) {
        // Latched before anybody hears of it, so that what is tried next is refused at the door.
        if (!is_latched()) latch(synced.error());
        return complete(group.items, Error{ErrorKind::Unavailable, synced.error().text});
    }
    if (auto put = put_into_index(group); !put) {
        // It is in the log, so it is committed; only the index must be made again.
        index_failed_ = true;
        latch(put.error());
    }
    complete(group.items, {});
}

Status Writer::put_into_index(Group& group) {
    auto facts = parts_.log.confirm(group.octets, group.touched);
    auto before = std::exchange(last_segment_, facts);
    const auto* sealed = before.number != 0 && before.number != facts.number ? &before : nullptr;
    std::vector<std::string_view> batches;
    batches.reserve(group.items.size());
    for (auto& item : group.items) batches.push_back(item.batch.operations());
    auto put = parts_.index.apply(batches, facts, sealed);
    for (auto& item : group.items) parts_.outbox.append(std::move(item.events));
    return put;
}

void Writer::complete(std::vector<WriteItem>& items, const Status& status) {
    std::vector<Delivery> deliveries;
    std::uint64_t octets = 0;
    for (auto& item : items) {
        octets += item.octets;
        if (item.move) parts_.counters.moving_octets -= item.octets;
        if (!status && !item.cursors.empty()) parts_.outbox.give_back(item.cursors);
        if (item.done.on == nullptr) continue;
        auto found = std::ranges::find(deliveries, item.done.on, &Delivery::on);
        if (found == deliveries.end()) found = deliveries.insert(deliveries.end(), {item.done.on, {}});
        found->runs.push_back({std::move(item.done.run), std::move(item.refused)});
    }
    queue_.landed(octets);
    for (auto& delivery : deliveries) {
        delivery.on->post([runs = std::move(delivery.runs), status]() mutable {
            for (auto& [run, refused] : runs) run(status && refused ? Status(*refused) : status);
        });
    }
}

void Writer::latch(const Error& error) {
    parts_.counters.latches++;
    parts_.lines.line(LogLevel::Error, "spool-latched").field("reason", error.text);
    parts_.condition.change(SpoolCondition::Latched, error.text);
}

// Once after the spool was latched: the segment that failed is not touched again.
void Writer::abandon() {
    await_all();
    parts_.log.abandon();
    next_event_ = parts_.outbox.next_number();
    backoff_ = kFirstBackoff;
    next_try_ = steady_clock_now() + backoff_;
    abandoned_ = true;
}

void Writer::fail_everything() {
    queue_.take_now(waiting_);
    complete(waiting_, Error{ErrorKind::Unavailable, "spool latched: " + parts_.condition.state().reason});
    waiting_.clear();
}

void Writer::try_to_recover() {
    auto attempt = [&]() -> Status {
        if (index_failed_) {
            std::lock_guard lock(parts_.maintenance);
            if (auto rebuilt = rebuild_index_(); !rebuilt) return rebuilt;
            index_failed_ = false;
        }
        auto nothing = write({}, 0);
        auto done = sync(nothing);
        if (done) {
            done = put_into_index(nothing);
            index_failed_ = !done;
        }
        end_turn(steady_clock_now() - nothing.begun);
        return done;
    };
    if (auto recovered = attempt(); !recovered) {
        parts_.log.abandon();
        backoff_ = std::min(backoff_ * 2, kLastBackoff);
        next_try_ = steady_clock_now() + backoff_;
        parts_.lines.line(LogLevel::Warning, "spool-still-latched").field("reason", recovered.error().text);
        parts_.condition.change(SpoolCondition::Latched, recovered.error().text);
        return;
    }
    abandoned_ = false;
    parts_.lines.line(LogLevel::Info, "spool-recovered");
    parts_.condition.change(SpoolCondition::Ready, "");
    check_space(true);
}

bool Writer::is_disk_slow() const {
    std::lock_guard lock(turns_mutex_);
    return last_write_ >= options_.slow_write;
}

void Writer::await_turn(std::uint64_t turn) {
    std::unique_lock lock(turns_mutex_);
    turn_ended_.wait(lock, [&] { return turns_ended_ == turn; });
}

void Writer::end_turn(Duration write) {
    {
        std::lock_guard lock(turns_mutex_);
        turns_ended_++;
        last_write_ = write;
    }
    turn_ended_.notify_all();
}

void Writer::await_all() {
    std::unique_lock lock(turns_mutex_);
    turn_ended_.wait(lock, [&] { return turns_ended_ == turns_given_; });
}

void Writer::check_space(bool now) {
    auto time = steady_clock_now();
    if (!now && time < next_space_check_ && octets_since_check_ < kSpaceCheckOctets) return;
    next_space_check_ = time + kTick;
    octets_since_check_ = 0;
    auto free = parts_.files.free_octets(options_.directory);
    if (!free) return;  // not knowing is no reason to refuse: a full disk shows when it is written to
    parts_.counters.free_octets = *free;
    auto& condition = parts_.condition;
    if (condition.is(SpoolCondition::Ready) && *free < options_.min_free) {
        auto reason = "space is low: " + format_size(*free) + " free in " + options_.directory + ", and " +
                      format_size(options_.min_free) + " are kept in reserve";
        if (!condition.change(SpoolCondition::Ready, SpoolCondition::SpaceLow, reason)) return;
        parts_.lines.line(LogLevel::Warning, "spool-space-low")
            .field("free", *free)
            .field("reserve", options_.min_free);
    } else if (condition.is(SpoolCondition::SpaceLow) && *free >= options_.min_free + options_.min_free / 8) {
        if (!condition.change(SpoolCondition::SpaceLow, SpoolCondition::Ready, "")) return;
        parts_.lines.line(LogLevel::Info, "spool-space-ok").field("free", *free);
    }
}

}  // namespace postfleet::spool
