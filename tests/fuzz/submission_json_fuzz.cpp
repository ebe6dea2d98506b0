// Any body of application/json: it is refused with a reason, or what comes of it is an envelope and content that no line
// of an SMTP dialogue or of a header can be ended in.
#include <cstddef>
#include <span>
#include <string_view>

#include "postfleet/base/require.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/mime/short_lines.hpp"
#include "postfleet/submission/finish.hpp"
#include "postfleet/submission/json_body.hpp"

using namespace postfleet;

namespace {

bool is_line(std::string_view text) { return text.find_first_of(std::string_view("\r\n\0", 3)) == text.npos; }

}  // namespace

void fuzz_submission_json(std::span<const std::byte> input) {
    const std::string_view body(reinterpret_cast<const char*>(input.data()), input.size());
    auto parsed = submission::parse_json(body);
    if (!parsed) {
        require(parsed.error().kind == ErrorKind::InvalidArgument && !parsed.error().text.empty());
        return;
    }
    const bool is_drafted = parsed->draft.has_value();
    const auto done = submission::finish(std::move(*parsed), {},
                                         {.now = from_unix_microseconds(1'795'000'000'000'000),
                                          .date = "Sun, 22 Nov 2026 10:11:12 +0000",
                                          .id = "0193",
                                          .hostname = "mx.example"});
    if (!done) {
        require(done.error().kind == ErrorKind::InvalidArgument && !done.error().text.empty());
        return;
    }
    require(is_line(done->reverse_path) && is_line(done->virtual_mta) && is_line(done->job) &&
            is_line(done->envelope_id));
    require(!done->recipients.empty());
    for (const SubmittedRecipient& recipient : done->recipients) {
        require(is_line(recipient.address) && is_line(recipient.original));
    }
    if (!is_drafted) return;
    require(done->content.starts_with("Date: ") || !done->content.empty());
    for (std::size_t at = done->content.find('\n'); at != std::string::npos; at = done->content.find('\n', at + 1)) {
        require(done->content[at - 1] == '\r');
    }
}
