// finish: whatever a Submission says, checked, with every default filled in, and its draft made a message.
//
// What is left is what SMTP would have brought: a reverse-path, forward-paths, content. Its addresses are in their
// normal form, and nothing in it can end a line that it is put into.
//
// Threads: a pure function. Errors: InvalidArgument, with the field, what is wrong and how to mend it; of several
// recipients that are wrong, all (the first ten by name).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/base/result.hpp"
#include "postfleet/mail/submission.hpp"

namespace postfleet::submission {

inline constexpr std::size_t kMaxMetadata = 50, kMaxMetadataName = 64, kMaxMetadataValue = 1024;
inline constexpr std::size_t kMaxTags = 50, kMaxTag = 128;
inline constexpr std::size_t kMaxVariable = 15'000;  // octets of a value: half of what a line of XDFN can carry

struct FinishLimits {
    std::uint32_t max_recipients = 1000;
    Duration max_hold = std::chrono::hours(24 * 30);  // send_at
};

// Of the message that is made.
struct FinishContext {
    WallTime now{};
    std::string_view date;      // RFC 5322
    std::string_view id;        // text of its message id
    std::string_view hostname;  // ours, behind the @ of its Message-ID
};

struct FinishedSubmission {
    std::string reverse_path;  // "" for <>
    std::vector<SubmittedRecipient> recipients;
    std::string content;
    bool is_personal = false;
    bool needs_utf8 = false;  // an address has UTF-8 (RFC 6531)
    // As in Submission; tags are in the metadata.
    std::string virtual_mta, job, envelope_id;
    ReturnContent return_content = ReturnContent::NotGiven;
    std::optional<std::int8_t> priority;
    std::optional<WallTime> send_at, expires_at;
    std::vector<std::pair<std::string, std::string>> metadata;
};

Result<FinishedSubmission> finish(Submission&& submission, const FinishLimits& limits, const FinishContext& context);

// Before anything else is done with it: it names what the rest is done under.
Status check_idempotency_key(std::string_view key);

}  // namespace postfleet::submission
