#include "replay.hpp"

#include <algorithm>
#include <deque>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "crc32c.hpp"

namespace postfleet::spool {

namespace {

constexpr auto kNoLimit = std::numeric_limits<std::uint64_t>::max();

struct Extent {
    SegmentLog::Found found;
    std::uint64_t limit = kNoLimit;              // from the header of its successor
    std::uint64_t later_first_group = kNoLimit;  // of the next segment that is there and has a header
};

struct ReadGroup {
    GroupHeader header;
    SegmentFacts facts;  // of its segment, with this group
    std::string batches;
    bool may_be_torn = false;
};

SegmentFacts facts_of_unknown_content(SegmentFacts facts) {
    facts.low = {};
    facts.low.octets.back() = 1;
    facts.high.octets.fill(0xFF);
    return facts;
}

class Replay {
public:
    Replay(SegmentLog& log, const ReplayInput& input, const std::function<Status(const ReplayedGroup&)>& apply)
        : log_(log),
          applied_(input.position.last_group),
          tail_is_confirmed_(input.tail_is_confirmed),
          last_number_(applied_),
          last_applied_(applied_),
          confirmed_(applied_),
          apply_(apply) {
        for (auto& facts : input.known) known_[facts.number] = facts;
        if (input.position.number != 0) known_[input.position.number] = input.position;
        result_.last = input.position;
    }

    Result<ReplayResult> run(std::vector<SegmentLog::Found> found) {
        auto extents = extents_of(std::move(found));
        for (std::size_t i = 0; i < extents.size(); i++) {
            auto& extent = extents[i];
            auto number = extent.found.number;
            if (extent.later_first_group <= applied_ + 1) {
                adopt_applied(extent);
                continue;
            }
            auto first = extent.found.header ? extent.found.header->first_group : last_number_ + 1;
            auto known = known_.find(number);
            auto facts =
                known != known_.end()
                    ? known->second
                    : SegmentFacts{
                          .number = number, .first_group = first, .last_group = first - 1, .end = kBlockOctets};
            log_.adopt(facts);
            if (auto walked = walk(extent, facts, i + 1 == extents.size() && !tail_is_confirmed_); !walked)
                return walked.error();
        }
        if (auto finished = finish_tail(); !finished) return finished.error();
        return result_;
    }

private:
    // Leaves out segments that were begun after a failure and never came to hold a confirmed group.
    std::vector<Extent> extents_of(std::vector<SegmentLog::Found> found) {
        std::map<std::uint64_t, Extent> extents;
        for (auto& segment : found) extents[segment.number].found = segment;
        for (auto& segment : found) {
            if (!segment.header) continue;
            auto& header = *segment.header;
            for (auto at = extents.upper_bound(header.previous); at != extents.end() && at->first < header.number;) {
                log_.adopt({.number = at->first,
                            .first_group = header.first_group,
                            .last_group = header.first_group - 1,
                            .end = kBlockOctets});
                at = extents.erase(at);
            }
            auto previous = extents.find(header.previous);
            if (previous == extents.end()) continue;
            previous->second.limit = header.previous_end;
        }
        std::vector<Extent> in_order;
        for (auto& [number, extent] : extents) in_order.push_back(extent);
        auto later = kNoLimit;
        for (auto at = in_order.rbegin(); at != in_order.rend(); ++at) {
            at->later_first_group = later;
            if (at->found.header) later = at->found.header->first_group;
        }
        return in_order;
    }

    void adopt_applied(const Extent& extent) {
        auto known = known_.find(extent.found.number);
        if (known != known_.end()) return log_.adopt(known->second);
        SegmentFacts facts{.number = extent.found.number,
                           .first_group = extent.found.header ? extent.found.header->first_group : 0,
                           .last_group = extent.later_first_group - 1,
                           .end = extent.limit == kNoLimit ? kBlockOctets : extent.limit};
        log_.adopt(facts_of_unknown_content(facts));
    }

    Status walk(const Extent& extent, SegmentFacts facts, bool may_be_torn) {
        auto number = extent.found.number;
        for (std::uint64_t at = kBlockOctets; at < extent.limit;) {
            auto header = header_at(number, at);
            if (!header) return header.error();
            if (!*header) {
                // Torn, or the end, unless a later group stands behind it.
                auto next = find_group(number, at + kBlockOctets, extent.limit);
                if (!next) return next.error();
                if (*next == 0) return {};
                at = *next;
                continue;
            }
            auto group = **header;
            at += group.total_octets();
            if (group.number <= last_number_ && group.number > applied_) continue;  // seen: never so, but harmless
            ReadGroup read{group, {}, std::string(group.batches_octets, '\0'), may_be_torn};
            auto got =
                log_.read_at(number, group.offset + kGroupHeaderOctets, read.batches.data(), read.batches.size());
            if (!got && got.error().kind != ErrorKind::Corruption) return got;
            if (!got) return {};  // the file ends inside it: torn
            facts.end = at;
            facts.last_group = std::max(facts.last_group, group.number);
            include_ids(read.batches, facts);
            read.facts = facts;
            if (auto taken = take(std::move(read)); !taken) return taken;
        }
        return {};
    }

    // nullopt: there is none.
    Result<std::optional<GroupHeader>> header_at(std::uint64_t segment, std::uint64_t offset) {
        char octets[kGroupHeaderOctets];
        auto read = log_.read_at(segment, offset, octets, sizeof octets);
        if (!read && read.error().kind != ErrorKind::Corruption) return read.error();
        if (!read) return std::optional<GroupHeader>{};
        return get_group_header({octets, sizeof octets}, segment, offset);
    }

    // The next place with a group that is newer than all before; 0: none.
    Result<std::uint64_t> find_group(std::uint64_t segment, std::uint64_t from, std::uint64_t limit) {
        for (auto at = from; at < limit; at += kBlockOctets) {
            char octets[kGroupHeaderOctets];
            auto read = log_.read_at(segment, at, octets, sizeof octets);
            if (!read && read.error().kind == ErrorKind::Corruption) break;
            if (!read) return read.error();
            auto header = get_group_header({octets, sizeof octets}, segment, at);
            if (header && header->number > last_number_) return at;
        }
        return std::uint64_t{0};
    }

    static void include_ids(std::string_view batches, SegmentFacts& facts) {
        BatchReader reader(batches);
        for (BatchReader::Batch batch; reader.next(batch);) {
            OperationReader operations(batch.operations);
            for (Operation operation; operations.next(operation);) {
                auto has_content = operation.column == Column::Message || operation.column == Column::Chunk;
                if (has_content && !operation.remove && operation.key.size() >= kIdOctets) {
                    facts.include(id_of_key(operation.key));
                }
            }
        }
    }

    // Groups are held back until a later one tells that they were confirmed.
    Status take(ReadGroup group) {
        if (group.header.number <= applied_) return {};
        last_number_ = group.header.number;
        confirmed_ = std::max(confirmed_, group.header.last_confirmed());
        while (!held_.empty() && held_.front().header.number <= confirmed_) {
            if (auto done = apply(held_.front()); !done) return done;
            held_.pop_front();
        }
        held_.push_back(std::move(group));
        return {};
    }

    // What follows a torn group was never confirmed either, whole or not.
    Status finish_tail() {
        for (auto& group : held_) {
            const auto before = group.header.number - 1;
            const bool follows_a_torn_one = before > last_applied_ && before > confirmed_;
            if (group.may_be_torn && (follows_a_torn_one || !is_whole(group))) {
                result_.tail_was_torn = true;
                return {};
            }
            if (auto done = apply(group); !done) return done;
        }
        return {};
    }

    bool is_whole(const ReadGroup& group) {
        std::uint32_t count = 0;
        BatchReader reader(group.batches);
        for (BatchReader::Batch batch; reader.next(batch); count++) {
            if (batch.damaged) return false;
            OperationReader operations(batch.operations);
            for (Operation operation; operations.next(operation);) {
                if (!content_is_whole(operation, group.header)) return false;
            }
        }
        return count == group.header.batch_count;
    }

    bool content_is_whole(const Operation& operation, const GroupHeader& group) {
        auto has_content = operation.column == Column::Message || operation.column == Column::Chunk;
        if (operation.remove || !has_content || operation.value.size() < kRecordHeaderOctets) return true;
        auto body = operation.value.substr(kRecordHeaderOctets);
        auto location = take_location(body);
        if (!location) return true;
        if (location->segment != group.segment || location->offset < group.offset) return true;
        return log_.read(*location).has_value();
    }

    Status apply(const ReadGroup& group) {
        result_.groups_missing += group.header.number - 1 - last_applied_;
        last_applied_ = group.header.number;
        std::vector<std::string_view> batches;
        std::vector<std::pair<std::string, std::string_view>> damaged;
        BatchReader reader(group.batches);
        for (BatchReader::Batch batch; reader.next(batch);) {
            if (!batch.damaged) {
                batches.push_back(batch.operations);
                continue;
            }
            damaged.emplace_back("log/" + std::to_string(group.header.segment) + "/" +
                                     std::to_string(group.header.offset) + "/" +
                                     std::to_string(batch.octets.data() - group.batches.data()),
                                 batch.octets);
        }
        result_.batches_damaged += damaged.size();
        result_.groups_applied++;
        result_.last = group.facts;
        log_.adopt(group.facts);
        return apply_({group.facts, batches, damaged});
    }

    SegmentLog& log_;
    const std::uint64_t applied_;
    const bool tail_is_confirmed_;
    std::uint64_t last_number_, last_applied_, confirmed_;
    const std::function<Status(const ReplayedGroup&)>& apply_;
    std::map<std::uint64_t, SegmentFacts> known_;
    std::deque<ReadGroup> held_;
    ReplayResult result_;
};

}  // namespace

Result<ReplayResult> replay_log(SegmentLog& log, ReplayInput input,
                                const std::function<Status(const ReplayedGroup&)>& apply) {
    return Replay(log, input, apply).run(std::move(input.found));
}

}  // namespace postfleet::spool
