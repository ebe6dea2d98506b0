#include "postfleet/submission/message_body.hpp"

#include <charconv>
#include <set>

#include "postfleet/base/text.hpp"
#include "times.hpp"

namespace postfleet::submission {
namespace {

Error wrong(std::string_view header, std::string_view what) {
    return {ErrorKind::InvalidArgument, "header " + std::string(header) + ": " + std::string(what)};
}

// Of a header that stands once. False: it is none of ours.
Result<bool> take(std::string_view name, const std::string& value, Submission& submission) {
    if (name == "mail-from") {
        submission.mail_from = value;
    } else if (name == "virtual-mta") {
        submission.virtual_mta = value;
    } else if (name == "job") {
        submission.job = value;
    } else if (name == "envid") {
        submission.envelope_id = value;
    } else if (name == "idempotency-key") {
        submission.idempotency_key = value;
    } else if (name == "priority") {
        int number = 0;
        const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
        if (error != std::errc{} || end != value.data() + value.size() || number < kLowestMtPriority ||
            number > kHighestMtPriority) {
            return wrong(name, "must be a number from -9 to 9");
        }
        submission.priority = static_cast<std::int8_t>(number);
    } else if (name == "send-at" || name == "expires-at") {
        const auto time = parse_time(value);
        if (!time) return wrong(name, kTimeAdvice);
        (name == "send-at" ? submission.send_at : submission.expires_at) = time;
    } else {
        return false;
    }
    return true;
}

}  // namespace

Result<Submission> parse_message(std::string content, const std::vector<std::pair<std::string, std::string>>& headers) {
    Submission submission;
    submission.content = std::move(content);
    if (submission.content.empty()) return Error{ErrorKind::InvalidArgument, "the body is empty; it must be a message"};
    std::set<std::string> seen;
    for (const auto& [given, value] : headers) {
        const std::string name = to_ascii_lower(given);
        if (name == "rcpt-to") {
            submission.recipients.push_back({.address = value});
        } else if (name == "tag") {
            submission.tags.push_back(value);
        } else {
            const Result<bool> taken = take(name, value, submission);
            if (!taken) return taken.error();
            if (*taken && !seen.insert(name).second) return wrong(name, "stands there more than once");
        }
    }
    if (submission.recipients.empty()) return wrong("rcpt-to", "is missing; give one address, or a list of them");
    if (!submission.mail_from) {
        return wrong("mail-from", "is missing; give the address that bounces go to, or \"<>\" for none");
    }
    return submission;
}

}  // namespace postfleet::submission
