#include "postfleet/ingest/process_limits.hpp"

namespace postfleet::ingest {

bool ContentMemory::resize(std::size_t from, std::size_t to, std::uint64_t limit) {
    if (to <= from) {
        used_.fetch_sub(from - to, std::memory_order_relaxed);
        return true;
    }
    const std::uint64_t more = to - from;
    if (used_.fetch_add(more, std::memory_order_relaxed) + more <= limit) return true;
    used_.fetch_sub(more, std::memory_order_relaxed);
    return false;
}

}  // namespace postfleet::ingest
