// Whatever octets come out of a sink's queue, reading them as events never does more than say no; and what was read can
// be written, and is then the same again.
#include <cstddef>
#include <span>
#include <string_view>

#include "postfleet/base/require.hpp"
#include "postfleet/wire/events.hpp"

void fuzz_events(std::span<const std::byte> input) {
    using namespace postfleet;
    const auto read = wire::decode_events({reinterpret_cast<const char*>(input.data()), input.size()});
    if (!read) return;
    const std::string written = wire::encode_events(*read);
    const auto again = wire::decode_events(written);
    require(again.has_value());
    require(again->events.size() == read->events.size());
    require(wire::encode_events(*again) == written);
}
