#include "postfleet/ingest/intake_shard.hpp"

namespace postfleet::ingest {
namespace {

std::uint64_t seed_from_id(const MessageId& id) {
    std::uint64_t seed = 0;
    for (std::size_t i = 8; i < id.octets.size(); ++i) seed = (seed << 8) | id.octets[i];
    return seed;
}

}  // namespace

IntakeShard::IntakeShard(Executor& executor, Handover& handover, IngestCounters& counters, Log log, std::uint64_t seed,
                         Duration patience)
    : executor_(executor),
      counters_(counters),
      log_(log),
      desk_(executor, handover, counters, patience),
      ids_(seed == 0 ? IdGenerator() : IdGenerator(seed + executor.shard())),
      // The random half of an id is as good a seed as any.
      random_state_(seed_from_id(ids_.next({}))) {}

// SplitMix64 (Steele, Lea, Flood 2014): spread over all 64 bits, which weights need; not for secrets.
std::uint64_t IntakeShard::random() {
    random_state_ += 0x9e3779b97f4a7c15u;
    std::uint64_t z = random_state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

const std::string& IntakeShard::date() {
    const auto now = std::chrono::floor<std::chrono::seconds>(executor_.wall_now());
    if (date_.empty() || now != date_of_) {
        date_of_ = now;
        date_ = format_rfc5322_date(now);
    }
    return date_;
}

}  // namespace postfleet::ingest
