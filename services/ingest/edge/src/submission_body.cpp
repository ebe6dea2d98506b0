#include "submission_body.hpp"

#include "postfleet/base/text.hpp"
#include "postfleet/submission/json_body.hpp"
#include "postfleet/submission/message_body.hpp"
#include "postfleet/wire/submission_message.hpp"

namespace postfleet::ingest {

Result<Submission> parse_submission_body(const BrokerMessage& message) {
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
