// Message headers: the fields cover the header without a gap, and cutting them out leaves the rest as it was.
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/base/require.hpp"
#include "postfleet/mime/header.hpp"

using namespace postfleet;

void fuzz_mime_header(std::span<const std::byte> input) {
    const std::string_view message(reinterpret_cast<const char*>(input.data()), input.size());
    mime::HeaderReader reader(message);
    std::vector<mime::Span> spans;
    std::size_t at = 0;
    while (const auto field = reader.next()) {
        require(field->span.begin == at && field->span.end > at && field->span.end <= message.size());
        require(!field->name.empty() && field->name.find(':') == std::string_view::npos);
        require(mime::unfold(field->value, 20).size() <= 20);
        require(mime::unfold(field->value, SIZE_MAX).find('\n') == std::string::npos);
        at = field->span.end;
        spans.push_back(field->span);
    }
    require(reader.end() == at && !reader.next());
    std::string rest(message);
    mime::remove_spans(rest, spans);
    require(rest == message.substr(at));
}
