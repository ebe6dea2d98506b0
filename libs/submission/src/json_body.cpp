#include "postfleet/submission/json_body.hpp"

#include "json_fields.hpp"

namespace postfleet::submission {
namespace {

Error not_json(const json::error_code& code, std::size_t at) {
    return {ErrorKind::InvalidArgument, "the body is not JSON: " + code.message() + ", at octet " + std::to_string(at)};
}

// Where it fails is told: a body of 100 kB has many places.
Result<json::value> parse(std::string_view body, const json::storage_ptr& memory) {
    json::parse_options options;
    options.max_depth = kMaxJsonDepth;
    json::stream_parser parser(memory, options);
    json::error_code code;
    const std::size_t read = parser.write_some(body.data(), body.size(), code);
    if (!code && read < body.size()) code = json::error::extra_data;
    if (code) return not_json(code, read);
    parser.finish(code);
    if (code) return not_json(code, read);
    return parser.release();
}

// Values that all share go to everybody who has none of his own.
void share(const MergeVariables& shared, MergeVariables& own) {
    for (const auto& [name, value] : shared.entries()) {
        if (!own.find(name)) own.add(name, value);
    }
}

// A value of 60 kB and a hundred thousand recipients fit into a small body.
Status share_with_all(const MergeVariables& shared, std::vector<SubmittedRecipient>& recipients) {
    if (shared.empty()) return {};
    std::size_t octets = 0;
    for (SubmittedRecipient& recipient : recipients) {
        share(shared, recipient.variables);
        octets += recipient.variables.octets().size();
        if (octets > kMaxMergeOctetsOfMessage) {
            return Error{ErrorKind::InvalidArgument, "data: with it the variables of all recipients have more than " +
                                                         format_size(kMaxMergeOctetsOfMessage) +
                                                         "; put what is the same for all into the text"};
        }
    }
    return {};
}

}  // namespace

Result<Submission> parse_json(std::string_view body) {
    json::monotonic_resource memory(body.size() + 4096);
    const auto parsed = parse(body, &memory);
    if (!parsed) return parsed.error();
    JsonSubmission into;
    if (Status taken = take_members<JsonSubmission>(into, {&*parsed, ""}, json_members()); !taken) return taken.error();

    Submission& submission = into.submission;
    submission.is_personal = into.has_variables;
    const bool has_content = !submission.content.empty();
    if (!has_content || into.has_draft) submission.draft = std::move(into.draft);
    if (Status shared = share_with_all(into.shared, submission.recipients); !shared) return shared.error();
    for (SubmittedRecipient& recipient : submission.recipients) {
        if (recipient.notify == 0) recipient.notify = into.every_recipient.notify;
        if (recipient.original.empty()) recipient.original = into.every_recipient.original;
    }
    return std::move(into.submission);
}

}  // namespace postfleet::submission
