// A message on a submission queue, of any content type and with any headers: it is refused with a reason that fits into a
// line, or becomes an envelope and content that no line of an SMTP dialogue or of a header can be ended in.
//
// The input is the content type, a line for each header ("name: value"), an empty line and the body; lines end in LF.
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "postfleet/base/require.hpp"
#include "postfleet/submission/finish.hpp"
#include "submission_body.hpp"

using namespace postfleet;

namespace {

bool is_line(std::string_view text) { return text.find_first_of(std::string_view("\r\n\0", 3)) == text.npos; }

std::string_view take_line(std::string_view& rest) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
    return line;
}

BrokerMessage message_of(std::string_view rest) {
    BrokerMessage message;
    message.content_type = take_line(rest);
    for (std::string_view line = take_line(rest); !line.empty(); line = take_line(rest)) {
        const std::size_t colon = line.find(": ");
        message.headers.emplace_back(line.substr(0, colon), colon == line.npos ? "" : line.substr(colon + 2));
    }
    message.body = std::make_shared<const std::string>(rest);
    return message;
}

void check(const submission::FinishedSubmission& done) {
    require(is_line(done.reverse_path) && is_line(done.virtual_mta) && is_line(done.job) && is_line(done.envelope_id));
    require(!done.recipients.empty() && !done.content.empty());
    for (const SubmittedRecipient& recipient : done.recipients) {
        require(!recipient.address.empty() && is_line(recipient.address) && is_line(recipient.original));
    }
    require(done.metadata.size() <= submission::kMaxMetadata + 1);
}

}  // namespace

void fuzz_submission_body(std::span<const std::byte> input) {
    auto parsed =
        ingest::parse_submission_body(message_of({reinterpret_cast<const char*>(input.data()), input.size()}));
    if (!parsed) {
        require(parsed.error().kind == ErrorKind::InvalidArgument && !parsed.error().text.empty());
        return;
    }
    if (const std::string& key = parsed->idempotency_key; submission::check_idempotency_key(key)) {
        require(is_line(key) && key.size() <= 255);
    }
    const auto done = submission::finish(std::move(*parsed), {},
                                         {.now = from_unix_microseconds(1'795'000'000'000'000),
                                          .date = "Sun, 22 Nov 2026 10:11:12 +0000",
                                          .id = "0193",
                                          .hostname = "mx.example"});
    if (!done) {
        require(done.error().kind == ErrorKind::InvalidArgument && !done.error().text.empty());
        return;
    }
    check(*done);
}
