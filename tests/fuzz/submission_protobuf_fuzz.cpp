// Any body of application/x-protobuf, and any submission of a gRPC call: it is refused with a reason, or what comes of it is
// an envelope and content that no line of an SMTP dialogue or of a header can be ended in. What it may take of memory is
// known before it is read.
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "postfleet/base/require.hpp"
#include "postfleet/submission/finish.hpp"
#include "postfleet/wire/submission_message.hpp"

using namespace postfleet;

namespace {

bool is_line(std::string_view text) { return text.find_first_of(std::string_view("\r\n\0", 3)) == text.npos; }

std::size_t variables_of(const std::vector<SubmittedRecipient>& recipients) {
    std::size_t variables = 0;
    for (const SubmittedRecipient& recipient : recipients) variables += recipient.variables.size();
    return variables;
}

void check_survey(std::string_view body, const Submission& submission) {
    const auto survey = wire::survey_submission(body);
    require(survey && survey->memory_octets >= body.size() && survey->fields <= body.size());
    std::size_t parts = submission.recipients.size() + submission.bcc.size() + submission.metadata.size();
    if (const auto& draft = submission.draft) {
        parts += draft->to.size() + draft->cc.size() + draft->headers.size() + draft->attachments.size();
    }
    require(parts <= survey->parts && parts + variables_of(submission.recipients) <= survey->fields);
}

void check(const submission::FinishedSubmission& done) {
    require(is_line(done.reverse_path) && is_line(done.virtual_mta) && is_line(done.job) && is_line(done.envelope_id));
    require(!done.recipients.empty() && !done.content.empty());
    for (const SubmittedRecipient& recipient : done.recipients) {
        require(!recipient.address.empty() && is_line(recipient.address) && is_line(recipient.original));
    }
}

}  // namespace

void fuzz_submission_protobuf(std::span<const std::byte> input) {
    const std::string_view body(reinterpret_cast<const char*>(input.data()), input.size());
    auto parsed = wire::parse_submission(body);
    if (!parsed) {
        require(parsed.error().kind == ErrorKind::InvalidArgument && !parsed.error().text.empty());
        return;
    }
    check_survey(body, *parsed);
    const auto done = submission::finish(std::move(*parsed), {},
                                         {.now = from_unix_microseconds(1'795'000'000'000'000),
                                          .date = "Sun, 22 Nov 2026 10:11:12 +0000",
                                          .id = "0193",
                                          .hostname = "mx.example"});
    if (done) check(*done);
    else require(!done.error().text.empty());
}
