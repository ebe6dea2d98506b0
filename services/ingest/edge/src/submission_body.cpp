#include "submission_body.hpp"

#include <algorithm>
#include <array>

#include "postfleet/base/text.hpp"
#include "postfleet/submission/json_body.hpp"
#include "postfleet/submission/message_body.hpp"
#include "postfleet/wire/submission_message.hpp"

namespace postfleet::ingest {

namespace {

// Libraries that encode texts say here which letters these are, which changes nothing for us.
bool is_plain(std::string_view encoding) {
    constexpr std::array<std::string_view, 7> kPlain{"", "identity", "utf-8", "us-ascii", "7bit", "8bit", "binary"};
    return std::find(kPlain.begin(), kPlain.end(), to_ascii_lower(trim(encoding))) != kPlain.end();
}

}  // namespace

Result<Submission> parse_submission_body(const BrokerMessage& message) {
    if (!is_plain(message.content_encoding)) {
        return Error{ErrorKind::InvalidArgument, "content_encoding: \"" + printable(message.content_encoding, 100) +
                                                     "\" is not understood; publish the body as it is, not compressed"};
    }
    const std::string_view all = message.content_type;
    const std::string type = to_ascii_lower(trim(all.substr(0, all.find(';'))));
    // Programs written for MailerQ do not say that they send JSON.
    if (type == "application/json" || (type.empty() && trim(*message.body).starts_with('{'))) {
        return submission::parse_json(*message.body);
    }
    if (type == "message/rfc822") return submission::parse_message(*message.body, message.headers);
    if (type == "application/x-protobuf" || type == "application/protobuf")
        return wire::parse_submission(*message.body);
    return Error{ErrorKind::InvalidArgument,
                 "content_type: \"" + printable(all, 100) +
                     "\" is none of application/json, message/rfc822 and application/x-protobuf"};
}

}  // namespace postfleet::ingest
