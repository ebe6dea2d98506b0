#include "segment_log.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "crc32c.hpp"

namespace postfleet::spool {

namespace {

constexpr std::string_view kSuffix = ".log";
constexpr std::string_view kSparePrefix = "spare-";
constexpr std::size_t kNumberDigits = 16;

std::string digits_of(std::uint64_t number) {
    char digits[kNumberDigits + 1];
    std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(number));
    return digits;
}

std::optional<std::uint64_t> number_in(std::string_view digits) {
    if (digits.size() != kNumberDigits) return std::nullopt;
    std::uint64_t number = 0;
    for (char c : digits) {
        if (c >= '0' && c <= '9') number = number * 16 + static_cast<std::uint64_t>(c - '0');
        else if (c >= 'a' && c <= 'f') number = number * 16 + static_cast<std::uint64_t>(c - 'a' + 10);
        else return std::nullopt;
    }
    return number;
}

}  // namespace

void SegmentFacts::include(const MessageId& id) {
    if (low.is_nil() || id < low) low = id;
    if (high < id) high = id;
}

class SegmentLog::Pin {
public:
    explicit Pin(Segment* segment) : segment_(segment) {}
    ~Pin() {
        if (segment_ != nullptr) segment_->readers.fetch_sub(1);
    }
    Pin(Pin&& other) noexcept : segment_(std::exchange(other.segment_, nullptr)) {}
    Pin& operator=(Pin&&) = delete;
    Segment* get() const { return segment_; }

private:
    Segment* segment_;
};

SegmentLog::SegmentLog(Files& files, Options options) : files_(files), options_(std::move(options)) {}

std::string SegmentLog::path_of(std::uint64_t number) const {
    return options_.directory + "/" + digits_of(number) + std::string(kSuffix);
}

std::string SegmentLog::path_of_spare(std::uint64_t number) const {
    return options_.directory + "/" + std::string(kSparePrefix) + digits_of(number);
}

Result<std::vector<SegmentLog::Found>> SegmentLog::look() {
    auto names = files_.list(options_.directory);
    if (!names) return names.error();
    // All of them first: a file that is made a spare below must not take the name of one.
    for (std::string_view name : *names) {
        if (!name.starts_with(kSparePrefix)) continue;
        if (auto number = number_in(name.substr(kSparePrefix.size()))) {
            spares_.push_back(*number);
            next_spare_ = std::max(next_spare_, *number + 1);
        }
    }
    std::vector<Found> found;
    for (std::string_view name : *names) {
        if (!name.ends_with(kSuffix)) continue;
        auto number = number_in(name.substr(0, name.size() - kSuffix.size()));
        if (!number) continue;
        next_number_ = std::max(next_number_, *number + 1);
        auto path = path_of(*number);
        auto file = files_.open(path);
        if (!file) return file.error();
        std::string block(kBlockOctets, '\0');
        auto read = (*file)->read(0, block.data(), block.size());
        if (!read && read.error().kind != ErrorKind::Corruption) return read.error();
        SegmentHeader header;
        auto check = read ? decode_segment_header(block, header) : HeaderCheck::Foreign;
        if (check == HeaderCheck::Newer) {
            return Error{ErrorKind::InvalidArgument,
                         path + " was written by a newer Postfleet; this one reads log version " +
                             std::to_string(kLogVersion) + ": start the newer Postfleet"};
        }
        if (check == HeaderCheck::Ok && header.number == *number) {
            if (header.spool_id != options_.spool_id) {
                return Error{ErrorKind::InvalidArgument, path + " belongs to another spool: move it away"};
            }
            found.push_back({*number, header});
            continue;
        }
        auto damaged = has_groups(*number);
        if (!damaged) return damaged.error();
        if (*damaged) {
            found.push_back({*number, std::nullopt});
        } else {
            // It was prepared, and never written to under this number.
            auto spare = next_spare_++;
            if (auto renamed = files_.rename(path, path_of_spare(spare)); !renamed) return renamed.error();
            spares_.push_back(spare);
        }
    }
    return found;
}

Result<bool> SegmentLog::has_groups(std::uint64_t number) {
    auto file = files_.open(path_of(number));
    if (!file) return file.error();
    std::string header(kGroupHeaderOctets, '\0');
    for (std::uint64_t at = kBlockOctets;; at += kBlockOctets) {
        auto read = (*file)->read(at, header.data(), header.size());
        if (!read && read.error().kind == ErrorKind::Corruption) return false;  // its end
        if (!read) return read.error();
        if (get_group_header(header, number, at)) return true;
    }
}

Result<std::vector<SegmentLog::Found>> SegmentLog::look_again() {
    std::vector<Found> found;
    for (auto& facts : sealed()) {
        std::string block(kBlockOctets, '\0');
        auto read = read_at(facts.number, 0, block.data(), block.size());
        if (!read && read.error().kind != ErrorKind::Corruption) return read.error();
        SegmentHeader header;
        bool ok = read && decode_segment_header(block, header) == HeaderCheck::Ok && header.number == facts.number;
        found.push_back({facts.number, ok ? std::optional(header) : std::nullopt});
    }
    return found;
}

void SegmentLog::adopt(const SegmentFacts& facts) {
    std::unique_lock lock(mutex_);
    auto& segment = segments_[facts.number];
    if (!segment) segment = std::make_unique<Segment>();
    segment->facts = facts;
}

void SegmentLog::continue_after(const SegmentFacts& last) {
    {
        std::unique_lock lock(mutex_);
        last_confirmed_ = last;
    }
    std::lock_guard lock(spares_mutex_);
    next_number_ = std::max(next_number_, last.number + 1);
}

Result<SegmentLog::Prepared> SegmentLog::make_prepared() {
    Prepared prepared;
    prepared.number = next_number_++;
    auto path = path_of(prepared.number);
    if (!spares_.empty()) {
        auto spare = path_of_spare(spares_.back());
        spares_.pop_back();
        if (auto renamed = files_.rename(spare, path); !renamed) return renamed.error();
        auto file = files_.open(path);
        if (!file) return file.error();
        prepared.file = *std::move(file);
    } else {
        auto file = files_.create(path, options_.segment_octets);
        if (!file) {
            (void)!files_.remove(path).has_value();  // half made; a file without a header is harmless
            return file.error();
        }
        prepared.file = *std::move(file);
    }
    if (auto synced = files_.sync_directory(options_.directory); !synced) return synced.error();
    return prepared;
}

Status SegmentLog::prepare() {
    std::lock_guard lock(spares_mutex_);
    if (prepared_) return {};
    auto prepared = make_prepared();
    if (!prepared) return prepared.error();
    prepared_ = *std::move(prepared);
    return {};
}

Status SegmentLog::start_segment() {
    Prepared next;
    {
        std::lock_guard lock(spares_mutex_);
        if (!prepared_) {
            auto made = make_prepared();
            if (!made) return made.error();
            next = *std::move(made);
        } else {
            next = *std::move(prepared_);
            prepared_.reset();
        }
    }
    auto segment = std::make_unique<Segment>();
    segment->facts.number = next.number;
    segment->facts.first_group = last_confirmed_.last_group + 1;
    segment->facts.last_group = last_confirmed_.last_group;
    segment->facts.end = kBlockOctets;
    segment->file = std::move(next.file);
    lanes_ = {segment->file};
    header_is_due_ = true;
    last_begun_ = segment->facts.last_group;
    begun_end_ = segment->facts.end;
    std::unique_lock lock(mutex_);
    current_ = segment.get();
    segments_[next.number] = std::move(segment);
    return {};
}

bool SegmentLog::fits(std::uint64_t group_octets) const {
    if (current_ == nullptr) return false;
    auto has_groups = last_begun_ >= current_->facts.first_group;
    return !has_groups || begun_end_ + group_octets <= options_.segment_octets;
}

Result<SegmentLog::Place> SegmentLog::begin(std::uint64_t group_octets) {
    if (!fits(group_octets)) {
        if (auto started = start_segment(); !started) return started.error();
    }
    next_offset_ = begun_end_;
    begun_end_ += group_octets;
    last_begun_++;
    std::shared_lock lock(mutex_);
    auto unconfirmed = last_begun_ - 1 - last_confirmed_.last_group;
    return Place{current_->facts.number, next_offset_, last_begun_, static_cast<std::uint32_t>(unconfirmed)};
}

Result<std::shared_ptr<File>> SegmentLog::write(std::span<iovec> parts, std::size_t lane) {
    auto& file = lanes_[lane];
    if (!file) {
        auto opened = files_.open(path_of(current_->facts.number));
        if (!opened) return opened.error();
        file = *std::move(opened);
    }
    if (!header_is_due_) {
        if (auto written = file->write(next_offset_, parts); !written) return written.error();
        return file;
    }
    auto block = encode_segment_header({.spool_id = options_.spool_id,
                                        .number = current_->facts.number,
                                        .first_group = current_->facts.first_group,
                                        .previous = last_confirmed_.number,
                                        .previous_end = last_confirmed_.end});
    std::vector<iovec> all{{block.data(), block.size()}};
    all.insert(all.end(), parts.begin(), parts.end());
    if (auto written = file->write(0, all); !written) return written.error();
    header_is_due_ = false;
    return file;
}

SegmentFacts SegmentLog::confirm(std::uint64_t group_octets, const SegmentFacts& touched) {
    std::unique_lock lock(mutex_);
    auto& facts = current_->facts;
    facts.end += group_octets;
    facts.last_group++;
    if (!touched.low.is_nil()) {
        facts.include(touched.low);
        facts.include(touched.high);
    }
    last_confirmed_ = facts;
    return facts;
}

void SegmentLog::abandon() {
    if (current_ == nullptr) return;
    auto facts = current_->facts;
    lanes_ = {};
    {
        std::unique_lock lock(mutex_);
        current_ = nullptr;
        if (facts.last_group >= facts.first_group) return;
        segments_.erase(facts.number);
    }
    // Nothing in it was ever confirmed. A disk that is failing must not fill up with attempts; if the file stays,
    // the next start makes it a spare, or finds it void.
    (void)files_.remove(path_of(facts.number)).has_value();
}

SegmentLog::Pin SegmentLog::pin(std::uint64_t number) {
    std::shared_lock lock(mutex_);
    auto found = segments_.find(number);
    if (found == segments_.end()) return Pin(nullptr);
    found->second->readers.fetch_add(1);
    return Pin(found->second.get());
}

Result<std::shared_ptr<File>> SegmentLog::file_of(Segment& segment) {
    std::lock_guard lock(segment.file_mutex);
    segment.used.store(true, std::memory_order_relaxed);
    if (!segment.file) {
        auto file = files_.open(path_of(segment.facts.number));
        if (!file) return file.error();
        segment.file = *std::move(file);
    }
    return segment.file;
}

Status SegmentLog::read_at(std::uint64_t number, std::uint64_t offset, char* to, std::size_t size) {
    auto pinned = pin(number);
    if (pinned.get() == nullptr) {
        return Error{ErrorKind::NotFound, "spool: log segment " + std::to_string(number) + " is gone"};
    }
    auto file = file_of(*pinned.get());
    if (!file) return file.error();
    return (*file)->read(offset, to, size);
}

Result<SharedOctets> SegmentLog::read(const Location& location) {
    auto octets = std::make_shared<std::string>();
    octets->resize(location.size);
    auto read = read_at(location.segment, location.offset, octets->data(), octets->size());
    if (!read) return read.error();
    if (crc32c(*octets) != location.checksum) {
        return Error{ErrorKind::Corruption, "spool: content at " + std::to_string(location.offset) + " of " +
                                                path_of(location.segment) + " does not check out"};
    }
    return SharedOctets(std::move(octets));
}

std::vector<SegmentFacts> SegmentLog::sealed() const {
    std::shared_lock lock(mutex_);
    std::vector<SegmentFacts> all;
    for (auto& [number, segment] : segments_) {
        if (segment.get() != current_) all.push_back(segment->facts);
    }
    return all;
}

bool SegmentLog::release(std::uint64_t number) {
    std::lock_guard spares_lock(spares_mutex_);
    {
        std::unique_lock lock(mutex_);
        auto found = segments_.find(number);
        if (found == segments_.end() || found->second.get() == current_) return false;
        if (found->second->readers.load() != 0) return false;
        segments_.erase(found);
    }
    // When the disk does not let us, the file is found, and made a spare, at the next start.
    if (spares_.size() >= options_.max_spares) return files_.remove(path_of(number)).has_value();
    if (files_.rename(path_of(number), path_of_spare(next_spare_))) spares_.push_back(next_spare_++);
    return true;
}

void SegmentLog::close_idle_files() {
    std::shared_lock lock(mutex_);
    std::size_t open = 0;
    for (auto& [number, segment] : segments_) {
        std::lock_guard file_lock(segment->file_mutex);
        if (segment->file) open++;
    }
    for (auto& [number, segment] : segments_) {
        if (open <= options_.max_open_files) return;
        if (segment.get() == current_ || segment->used.exchange(false)) continue;
        std::lock_guard file_lock(segment->file_mutex);
        if (segment->file) open--;
        segment->file.reset();
    }
}

std::uint64_t SegmentLog::octets_since(std::uint64_t group) const {
    std::shared_lock lock(mutex_);
    std::uint64_t octets = 0;
    for (auto& [number, segment] : segments_) {
        if (segment->facts.last_group > group) octets += segment->facts.end;
    }
    return octets;
}

std::uint64_t SegmentLog::octets() const {
    std::shared_lock lock(mutex_);
    std::uint64_t octets = 0;
    for (auto& [number, segment] : segments_) octets += segment->facts.end;
    return octets;
}

}  // namespace postfleet::spool
