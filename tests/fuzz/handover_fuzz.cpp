// Whatever octets come out of a hand-over queue, reading them as a hand-over never does more than say no; and what was
// read can be written, and is then the same again.
#include <cstddef>
#include <span>
#include <string_view>

#include "postfleet/base/require.hpp"
#include "postfleet/wire/handover.hpp"

void fuzz_handover(std::span<const std::byte> input) {
    using namespace postfleet;
    const auto read = wire::decode_handover({reinterpret_cast<const char*>(input.data()), input.size()});
    if (!read) return;
    require(read->content.size() == read->message->content_chunks);
    const auto again = wire::decode_handover(wire::encode_handover(*read));
    require(again.has_value());
    require(*again->message == *read->message && again->tasks == read->tasks && again->id == read->id);
}
