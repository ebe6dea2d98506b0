#include "postfleet/ingest/line_ruler.hpp"

namespace postfleet::ingest {

bool LineRuler::measure(std::string_view part) {
    while (!part.empty()) {
        const std::size_t end = part.find('\n');
        const bool ends = end != std::string_view::npos;
        open_octets_ += ends ? end : part.size();
        // A line that is still open may have its CR already.
        if (open_octets_ > kLongest + 1 || (open_octets_ == kLongest + 1 && !ends && part.back() != '\r')) return false;
        if (!ends) return true;
        open_octets_ = 0;
        part.remove_prefix(end + 1);
    }
    return true;
}

}  // namespace postfleet::ingest
