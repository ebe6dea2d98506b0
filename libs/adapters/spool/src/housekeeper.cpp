#include "housekeeper.hpp"

#include <pthread.h>

#include <algorithm>
#include <utility>

namespace postfleet::spool {

namespace {

// Above this, looking at the range of ids costs more than reading the segment's own operations.
constexpr std::size_t kMaxScanned = 16'384;
// A segment whose live content is less than this part of it has its content moved: one octet in four is
// written twice at most, and content takes at most about four times its size.
constexpr std::uint64_t kMoveBelow = 4;
// When the disk is nearly full, space is worth more than writing.
constexpr std::uint64_t kMoveBelowWhenLow = 1;
constexpr std::uint64_t kMaxMoving = std::uint64_t{4} << 20;
constexpr Duration kFirstPatience = std::chrono::seconds(1);
constexpr Duration kLastPatience = std::chrono::minutes(1);
constexpr Duration kComplaintEvery = std::chrono::seconds(10);
constexpr std::uint64_t kEventsPerFileDrop = 100'000;
constexpr std::uint32_t kWriteOutsPerCleaning = 8;  // each leaves up to a file for each column

}  // namespace

Housekeeper::Housekeeper(Parts parts, Options options, std::function<void(WriteItem)> write)
    : parts_(parts), options_(options), write_(std::move(write)) {
    thread_ = std::thread([this] {
        pthread_setname_np(pthread_self(), "spool-keeper");
        run();
    });
}

Housekeeper::~Housekeeper() {
    {
        std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    thread_.join();
}

void Housekeeper::run() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        lock.unlock();
        {
            std::lock_guard maintenance(parts_.maintenance);
            tick();
        }
        lock.lock();
        wake_.wait_for(lock, options_.tick, [&] { return stopping_; });
    }
}

void Housekeeper::tick() {
    auto now = steady_clock_now();
    if (auto prepared = parts_.log.prepare(); !prepared && now >= next_complaint_) {
        next_complaint_ = now + kComplaintEvery;
        parts_.lines.line(LogLevel::Error, "spool-segment-not-prepared").field("reason", prepared.error().text);
    }
    parts_.log.close_idle_files();
    auto persisted = parts_.index.persisted_group();
    if (!persisted) return;
    checkpoint(*persisted);
    clean_up_after(*persisted);
    auto sealed = parts_.log.sealed();
    std::erase_if(known_, [&](auto& known) {
        return std::ranges::find(sealed, known.first, &SegmentFacts::number) == sealed.end();
    });
    for (auto& segment : sealed) {
        if (segment.last_group > *persisted) continue;
        auto known = known_.find(segment.number);
        auto low = parts_.condition.is(SpoolCondition::SpaceLow);
        if (known != known_.end() && now < known->second.look_again && !low) continue;
        look_at(segment, now);
    }
    auto passed = parts_.outbox.passed().load();
    if (passed > event_files_dropped_to_ + kEventsPerFileDrop) {
        parts_.index.drop_event_files(passed);
        event_files_dropped_to_ = passed;
    }
    forget_taken();
}

void Housekeeper::forget_taken() {
    const auto today = std::chrono::floor<std::chrono::days>(options_.wall_now()).time_since_epoch().count();
    const auto before = static_cast<std::uint32_t>(std::max<std::int64_t>(today - options_.taken_days, 0));
    if (before == taken_forgotten_before_) return;
    taken_forgotten_before_ = before;
    parts_.index.forget_taken(before);
}

void Housekeeper::checkpoint(std::uint64_t persisted) {
    if (written_out_at_ > persisted) return;  // one is under way
    if (parts_.log.octets_since(persisted) < options_.checkpoint_octets) return;
    auto sealed = parts_.log.sealed();
    if (sealed.empty() || sealed.back().last_group <= persisted) return;  // nothing could be released
    written_out_at_ = sealed.back().last_group;
    parts_.index.write_out();
}

void Housekeeper::clean_up_after(std::uint64_t persisted) {
    if (persisted == last_persisted_) return;
    last_persisted_ = persisted;
    if (++write_outs_ % kWriteOutsPerCleaning == 0) parts_.index.drop_removals();
}

void Housekeeper::Findings::add(Live one) {
    octets += one.location.size;
    live.push_back(std::move(one));
}

void Housekeeper::look_at(const SegmentFacts& segment, SteadyTime now) {
    auto share = parts_.condition.is(SpoolCondition::SpaceLow) ? kMoveBelowWhenLow : kMoveBelow;
    Findings findings{.enough = std::max<std::uint64_t>(segment.end / share, 1)};
    bool told = find_live(segment, findings);
    if (told && findings.live.empty()) {
        if (!parts_.log.release(segment.number)) return;
        parts_.index.forget_segment(segment.number);
        known_.erase(segment.number);
        return;
    }
    auto& known = known_[segment.number];
    known.look_again = now;
    if (told && !findings.is_enough()) {
        if (parts_.counters.moving_octets.load() > kMaxMoving) return;  // at the next tick
        if (move(findings.live)) return;
    }
    known.patience = known.patience == Duration{} ? kFirstPatience : std::min(known.patience * 2, kLastPatience);
    known.look_again = now + known.patience;
}

std::optional<Housekeeper::Live> Housekeeper::live_in(std::uint64_t segment, Column column, std::string_view key,
                                                      std::string_view value) {
    auto body = open_record(column, key, value);
    if (!body) return std::nullopt;
    auto location = take_location(*body);
    if (!location || location->segment != segment) return std::nullopt;
    return Live{column, std::string(key), static_cast<std::uint8_t>(value[0]), std::string(*body), *location};
}

bool Housekeeper::find_live(const SegmentFacts& segment, Findings& findings) {
    if (segment.low.is_nil()) return true;
    if (scan_range(segment, findings)) return true;
    findings = {.enough = findings.enough};
    return walk_groups(segment, findings);
}

// Just after a checkpoint what is gone is gone from the index, too, so this reads little.
bool Housekeeper::scan_range(const SegmentFacts& segment, Findings& findings) {
    auto high = key_of(segment.high);
    bool readable = true;
    for (auto column : {Column::Message, Column::Chunk}) {
        std::size_t scanned = 0;
        auto result = parts_.index.scan(column, key_of(segment.low), [&](std::string_view key, std::string_view value) {
            if (key.substr(0, kIdOctets) > high) return false;
            // What cannot be read may be in this segment: keep it.
            readable = readable && ++scanned <= kMaxScanned && open_record(column, key, value).has_value();
            if (auto found = live_in(segment.number, column, key, value)) findings.add(*std::move(found));
            return readable && !findings.is_enough();
        });
        if (!result || result->blocks_lost > 0 || !readable) return false;
        if (findings.is_enough()) return true;
    }
    return true;
}

bool Housekeeper::walk_groups(const SegmentFacts& segment, Findings& findings) {
    walked_.clear();
    std::string batches;
    for (std::uint64_t at = kBlockOctets; at < segment.end && !findings.is_enough();) {
        char octets[kGroupHeaderOctets];
        if (!parts_.log.read_at(segment.number, at, octets, sizeof octets)) return false;
        auto header = get_group_header({octets, sizeof octets}, segment.number, at);
        if (!header) return false;
        batches.resize(header->batches_octets);
        if (!parts_.log.read_at(segment.number, at + kGroupHeaderOctets, batches.data(), batches.size())) return false;
        if (!walk_batches(segment, batches, findings)) return false;
        at += header->total_octets();
    }
    return true;
}

bool Housekeeper::walk_batches(const SegmentFacts& segment, std::string_view batches, Findings& findings) {
    BatchReader reader(batches);
    for (BatchReader::Batch batch; reader.next(batch);) {
        if (batch.damaged) return false;
        OperationReader operations(batch.operations);
        for (Operation operation; operations.next(operation);) {
            auto has_content = operation.column == Column::Message || operation.column == Column::Chunk;
            if (operation.remove || !has_content) continue;
            if (!walked_.emplace(operation.column, operation.key).second) continue;
            auto stored = parts_.index.get(operation.column, operation.key);
            if (!stored) return false;
            if (!*stored) continue;
            if (!open_record(operation.column, operation.key, **stored)) return false;
            auto found = live_in(segment.number, operation.column, operation.key, **stored);
            if (found) findings.add(*std::move(found));
        }
    }
    return true;
}

bool Housekeeper::move(const std::vector<Live>& live) {
    bool any = false;
    for (auto& one : live) {
        if (parts_.counters.moving_octets.load() > kMaxMoving) return true;  // the rest next time
        auto octets = parts_.log.read(one.location);
        // What is damaged stays, and keeps its segment: it is reported when it is asked for.
        if (!octets) continue;
        WriteItem item;
        item.batch.put_moved(one.column, one.key, one.version, one.fields);
        item.contents.push_back({id_of_key(one.key), *octets, one.location.checksum});
        item.is_urgent = false;
        item.move = WriteItem::Move{one.column, one.key, one.location};
        item.octets = (*octets)->size() + item.batch.size();
        parts_.counters.moving_octets += item.octets;
        parts_.counters.content_moved_octets += (*octets)->size();
        write_(std::move(item));
        any = true;
    }
    return any;
}

}  // namespace postfleet::spool
