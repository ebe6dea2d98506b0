#include "postfleet/wire/submission_message.hpp"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <optional>
#include <string>

#include "postfleet/base/text.hpp"
#include "postfleet/v1/submission.pb.h"

namespace postfleet::wire {
namespace {

using WireFormat = google::protobuf::internal::WireFormatLite;
using PbSubmission = v1::Submission;

enum class Kind : std::uint8_t { Submission, Recipient, Other };

// Of what kind a field's message is; nothing: it has none.
std::optional<Kind> kind_of_field(Kind in, int field) {
    if (in == Kind::Recipient && field == v1::Recipient::kVariablesFieldNumber) return Kind::Other;
    if (in != Kind::Submission) return std::nullopt;
    switch (field) {
        case PbSubmission::kRecipientsFieldNumber: return Kind::Recipient;
        case PbSubmission::kFromFieldNumber:
        case PbSubmission::kToFieldNumber:
        case PbSubmission::kCcFieldNumber:
        case PbSubmission::kBccFieldNumber:
        case PbSubmission::kReplyToFieldNumber:
        case PbSubmission::kHeadersFieldNumber:
        case PbSubmission::kAttachmentsFieldNumber:
        case PbSubmission::kMetadataFieldNumber: return Kind::Other;
        default: return std::nullopt;  // fields are numbers from the wire, not an enum
    }
}

// About what each takes, in the message and in what is made of it.
constexpr std::uint64_t kOctetsOfRecipient = 250, kOctetsOfMessage = 150, kOctetsOfField = 40;

// Every field counts, known or not. False: this is no Submission.
bool count_fields(std::string_view octets, Kind kind, SubmissionSurvey& survey) {
    google::protobuf::io::CodedInputStream in(reinterpret_cast<const std::uint8_t*>(octets.data()),
                                              static_cast<int>(octets.size()));
    while (const auto tag = in.ReadTag()) {
        ++survey.fields;
        survey.memory_octets += kOctetsOfField;
        const auto type = WireFormat::GetTagWireType(tag);
        if (type == WireFormat::WIRETYPE_START_GROUP) return false;  // thousands could be in it
        if (type != WireFormat::WIRETYPE_LENGTH_DELIMITED) {
            if (!WireFormat::SkipField(&in, tag)) return false;
            continue;
        }
        std::uint32_t size = 0;
        if (!in.ReadVarint32(&size)) return false;
        const auto at = static_cast<std::size_t>(in.CurrentPosition());
        if (size > octets.size() - at) return false;
        if (const auto inner = kind_of_field(kind, WireFormat::GetTagFieldNumber(tag))) {
            if (kind == Kind::Submission) ++survey.parts;
            survey.memory_octets += *inner == Kind::Recipient ? kOctetsOfRecipient : kOctetsOfMessage;
            if (!count_fields(octets.substr(at, size), *inner, survey)) return false;
        }
        if (!in.Skip(static_cast<int>(size))) return false;
    }
    return in.ConsumedEntireMessage();
}

constexpr std::size_t kMostOctets = 1u << 30;

Error no_submission() {
    return {ErrorKind::InvalidArgument, "the body is not a postfleet.v1.Submission, or a text in it is not UTF-8"};
}

Error wrong(const std::string& field, const std::string& what) {
    return {ErrorKind::InvalidArgument, field + ": " + what};
}

std::string at(const char* list, int index) { return std::string(list) + "[" + std::to_string(index) + "]"; }

template <class Message>
Status check_known(const Message& message, const std::string& place) {
    const auto& unknown = message.GetReflection()->GetUnknownFields(message);
    if (unknown.empty()) return {};
    const int number = unknown.field(0).number();
    return wrong(place.empty() ? "the body" : place,
                 "has a field with the number " + std::to_string(number) +
                     ", which this version does not know; is the .proto file newer, or another one?");
}

NamedAddress address_of(v1::Address& from) {
    return {.name = std::move(*from.mutable_name()), .address = std::move(*from.mutable_address())};
}

Result<std::vector<NamedAddress>> addresses_of(google::protobuf::RepeatedPtrField<v1::Address>& from,
                                               const char* field) {
    std::vector<NamedAddress> addresses;
    addresses.reserve(static_cast<std::size_t>(from.size()));
    for (int i = 0; i < from.size(); ++i) {
        if (Status known = check_known(from[i], at(field, i)); !known) return known.error();
        addresses.push_back(address_of(from[i]));
    }
    return addresses;
}

Result<std::uint8_t> notify_of(const v1::Recipient& recipient, const std::string& place) {
    std::uint8_t notify = 0;
    for (const std::string& word : recipient.notify()) {
        if (ascii_iequals(word, "never")) notify |= kNotifyNever;
        else if (ascii_iequals(word, "success")) notify |= kNotifySuccess;
        else if (ascii_iequals(word, "failure")) notify |= kNotifyFailure;
        else if (ascii_iequals(word, "delay")) notify |= kNotifyDelay;
        else return wrong(place + ".notify", "must be NEVER, or any of SUCCESS, FAILURE and DELAY");
    }
    if ((notify & kNotifyNever) != 0 && notify != kNotifyNever) {
        return wrong(place + ".notify", "NEVER cannot stand beside others");
    }
    return notify;
}

Result<SubmittedRecipient> recipient_of(v1::Recipient& from, const std::string& place) {
    if (Status known = check_known(from, place); !known) return known.error();
    SubmittedRecipient recipient;
    recipient.address = std::move(*from.mutable_address());
    recipient.original = std::move(*from.mutable_original_recipient());
    const auto notify = notify_of(from, place);
    if (!notify) return notify.error();
    recipient.notify = *notify;
    // Each is compared with those before it.
    if (from.variables_size() > static_cast<int>(kMaxMergeVariables)) {
        return wrong(place + ".variables", "has more than " + std::to_string(kMaxMergeVariables) + " entries");
    }
    for (const auto& [given, value] : from.variables()) {
        const std::string name = to_ascii_lower(given);
        if (name.empty() || merge_name_length(name) != name.size()) {
            return wrong(place + ".variables." + printable(given, 80),
                         "is not the name of a variable: a letter, then letters, digits and \"_\", at most 64");
        }
        if (recipient.variables.find(name)) {
            return wrong(place + ".variables." + name, "is given twice; case does not matter in names");
        }
        recipient.variables.add(name, value);
    }
    return recipient;
}

Result<Attachment> attachment_of(v1::Attachment& from, const std::string& place) {
    if (Status known = check_known(from, place); !known) return known.error();
    return Attachment{
        .filename = std::move(*from.mutable_filename()),
        .content_type = std::move(*from.mutable_content_type()),
        .content_id = std::move(*from.mutable_content_id()),
        .content = std::move(*from.mutable_content()),
        .disposition = from.is_inline() ? Attachment::Disposition::Inline : Attachment::Disposition::Attachment};
}

bool has_draft(const v1::Submission& message) {
    return message.has_from() || message.to_size() > 0 || message.cc_size() > 0 || message.reply_to_size() > 0 ||
           !message.subject().empty() || !message.text().empty() || !message.html().empty() ||
           message.headers_size() > 0 || message.attachments_size() > 0;
}

Status take_draft(v1::Submission& message, Submission& into) {
    Draft draft;
    if (Status known = check_known(message.from(), "from"); !known) return known;
    if (message.has_from()) draft.from = address_of(*message.mutable_from());
    auto to = addresses_of(*message.mutable_to(), "to"), cc = addresses_of(*message.mutable_cc(), "cc"),
         reply_to = addresses_of(*message.mutable_reply_to(), "reply_to");
    for (const auto* list : {&to, &cc, &reply_to}) {
        if (!*list) return list->error();
    }
    draft.to = std::move(*to);
    draft.cc = std::move(*cc);
    draft.reply_to = std::move(*reply_to);
    draft.subject = std::move(*message.mutable_subject());
    draft.text = std::move(*message.mutable_text());
    draft.html = std::move(*message.mutable_html());
    for (int i = 0; i < message.headers_size(); ++i) {
        v1::HeaderField& field = *message.mutable_headers(i);
        if (Status known = check_known(field, at("headers", i)); !known) return known;
        draft.headers.emplace_back(std::move(*field.mutable_name()), std::move(*field.mutable_value()));
    }
    for (int i = 0; i < message.attachments_size(); ++i) {
        auto attachment = attachment_of(*message.mutable_attachments(i), at("attachments", i));
        if (!attachment) return attachment.error();
        draft.attachments.push_back(std::move(*attachment));
    }
    into.draft = std::move(draft);
    return {};
}

Status take_return_content(const std::string& text, Submission& into) {
    if (text.empty()) return {};
    if (text == "full") into.return_content = ReturnContent::Full;
    else if (text == "headers") into.return_content = ReturnContent::Headers;
    else return wrong("return_content", "must be full or headers");
    return {};
}

Status take_time(std::int64_t milliseconds, const char* field, std::optional<WallTime>& into) {
    constexpr std::int64_t kLatest = 253'402'300'799'000;  // the end of the year 9999
    if (milliseconds == 0) return {};
    if (milliseconds < 0 || milliseconds > kLatest) return wrong(field, "must be milliseconds since 1970");
    into = from_unix_microseconds(milliseconds * 1000);
    return {};
}

Status take_facts(v1::Submission& message, Submission& into) {
    into.virtual_mta = std::move(*message.mutable_virtual_mta());
    into.job = std::move(*message.mutable_job());
    into.envelope_id = std::move(*message.mutable_envelope_id());
    into.idempotency_key = std::move(*message.mutable_idempotency_key());
    if (message.priority() != 0) {
        if (message.priority() < kLowestMtPriority || message.priority() > kHighestMtPriority) {
            return wrong("priority", "must be a number from -9 to 9; above 0 goes first, below 0 waits");
        }
        into.priority = static_cast<std::int8_t>(message.priority());
    }
    for (std::string& tag : *message.mutable_tags()) into.tags.push_back(std::move(tag));
    // A map has no order; reports should always look the same.
    for (auto& [name, value] : *message.mutable_metadata()) into.metadata.emplace_back(name, std::move(value));
    std::sort(into.metadata.begin(), into.metadata.end());
    if (Status taken = take_return_content(message.return_content(), into); !taken) return taken;
    if (Status taken = take_time(message.send_at_ms(), "send_at_ms", into.send_at); !taken) return taken;
    return take_time(message.expires_at_ms(), "expires_at_ms", into.expires_at);
}

}  // namespace

Result<Submission> to_submission(v1::Submission&& message) {
    if (Status known = check_known(message, ""); !known) return known.error();
    Submission into;
    if (!message.mail_from().empty()) into.mail_from = std::move(*message.mutable_mail_from());
    into.recipients.reserve(static_cast<std::size_t>(message.recipients_size()));
    for (int i = 0; i < message.recipients_size(); ++i) {
        auto recipient = recipient_of(*message.mutable_recipients(i), at("recipients", i));
        if (!recipient) return recipient.error();
        into.is_personal |= !recipient->variables.empty();
        into.recipients.push_back(std::move(*recipient));
    }
    into.content = std::move(*message.mutable_mime());
    if (has_draft(message) || into.content.empty()) {
        if (Status taken = take_draft(message, into); !taken) return taken.error();
    }
    auto bcc = addresses_of(*message.mutable_bcc(), "bcc");
    if (!bcc) return bcc.error();
    into.bcc = std::move(*bcc);
    if (Status taken = take_facts(message, into); !taken) return taken.error();
    return into;
}

Result<SubmissionSurvey> survey_submission(std::string_view octets) {
    SubmissionSurvey survey{.memory_octets = octets.size()};
    if (octets.size() > kMostOctets || !count_fields(octets, Kind::Submission, survey)) return no_submission();
    if (survey.parts > kMaxSubmissionParts) {
        return wrong("the body", "has more than " + std::to_string(kMaxSubmissionParts) +
                                     " recipients, addresses, header fields and the like; split it into several");
    }
    if (survey.fields > kMaxSubmissionFields) {
        return wrong("the body", "has more than " + std::to_string(kMaxSubmissionFields) +
                                     " fields, those of recipients and variables counted; split it into several");
    }
    return survey;
}

Result<Submission> parse_submission(std::string_view octets) {
    // What is wrong with a foreign body is told to whoever sent it, not to standard error.
    static const bool kQuiet = (google::protobuf::SetLogHandler(nullptr), true);
    const auto survey = survey_submission(octets);
    if (!survey) return survey.error();
    v1::Submission message;
    if (!kQuiet || !message.ParseFromArray(octets.data(), static_cast<int>(octets.size()))) return no_submission();
    return to_submission(std::move(message));
}

}  // namespace postfleet::wire
