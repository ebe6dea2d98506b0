// Whatever octets come out of a sink's queue, reading them as events never does more than say no; what was read can be
// written, and is then the same again; and each event becomes a report that is JSON.
#include <boost/json.hpp>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "postfleet/base/require.hpp"
#include "postfleet/report/cloud_event.hpp"
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
    for (const auto& [sequence, event] : read->events) {
        std::string json;
        report::render_cloud_event(*event, sequence, {read->source}, json);
        boost::system::error_code error;
        const auto value = boost::json::parse(json, error);
        require(!error && value.is_object() && value.as_object().contains("id"));
    }
}
