#include "postfleet/submission/finish.hpp"

#include <algorithm>
#include <set>

#include "postfleet/base/text.hpp"
#include "postfleet/mail/address.hpp"
#include "postfleet/mime/compose.hpp"

namespace postfleet::submission {
namespace {

constexpr std::size_t kMaxNameOctets = 128, kMaxEnvelopeIdOctets = 100, kMaxOriginal = 500;
constexpr std::size_t kProblemsTold = 10;

Error wrong(std::string field, const std::string& what) {
    return {ErrorKind::InvalidArgument, std::move(field) + ": " + what};
}

bool is_printable_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 0x7f; });
}

class Finisher {
public:
    Finisher(Submission&& submission, const FinishLimits& limits, const FinishContext& context)
        : in_(std::move(submission)), limits_(limits), context_(context) {}

    Result<FinishedSubmission> finish() {
        for (const auto step :
             {&Finisher::check_kind, &Finisher::take_sender, &Finisher::take_recipients, &Finisher::take_names,
              &Finisher::take_times, &Finisher::take_metadata, &Finisher::take_content}) {
            if (Status done = (this->*step)(); !done) return done.error();
        }
        return std::move(out_);
    }

private:
    Status check_kind() {
        if (in_.content.empty()) {
            if (in_.draft && !in_.draft->from.address.empty()) return {};
            return wrong("from", "is missing; give the author's address, or a finished message as mime");
        }
        if (!in_.draft) return {};
        return wrong("mime",
                     "is a finished message, which has all of from, to, cc, subject, text, html, headers and "
                     "attachments in it; leave these out, or leave out mime");
    }

    Result<std::string> address_of(const std::string& field, std::string_view text) {
        auto mailbox = Mailbox::parse(text, Mailbox::Utf8::Allow);
        if (!mailbox) {
            return wrong(field, "\"" + printable(text, 100) + "\" is not an address: " + mailbox.error().text);
        }
        std::string address = mailbox->to_string();
        out_.needs_utf8 |= !is_ascii(address);
        return address;
    }

    Status take_sender() {
        const std::string* path = in_.mail_from ? &*in_.mail_from : in_.draft ? &in_.draft->from.address : nullptr;
        if (path == nullptr) {
            return wrong("mail_from", "is missing; give the address that bounces go to, or \"<>\" for none");
        }
        if (path->empty() || *path == "<>") return {};
        auto address = address_of(in_.mail_from ? "mail_from" : "from", *path);
        if (!address) return address.error();
        out_.reverse_path = std::move(*address);
        return {};
    }

    // The draft's to, cc and bcc, each address once.
    void take_drafted_recipients() {
        std::set<std::string> seen;
        const auto take = [&](const char* field, const std::vector<NamedAddress>& addresses) {
            for (std::size_t i = 0; i < addresses.size(); ++i) {
                auto address = address_of(std::string(field) + "[" + std::to_string(i) + "]", addresses[i].address);
                if (!address) note(address.error().text);
                else if (seen.insert(*address).second) out_.recipients.push_back({.address = std::move(*address)});
            }
        };
        take("to", in_.draft->to);
        take("cc", in_.draft->cc);
        take("bcc", in_.bcc);
    }

    Status take_recipients() {
        if (in_.recipients.empty()) {
            if (in_.is_personal) {
                return wrong("recipients",
                             "is missing; variables need it, because each recipient gets a text of its own");
            }
            if (in_.draft) take_drafted_recipients();
        } else if (!in_.bcc.empty()) {
            return wrong("bcc", "cannot stand beside recipients, which says already whom it goes to");
        }
        for (std::size_t i = 0; i < in_.recipients.size(); ++i) take_recipient(i);
        if (problems_ > 0) {
            const std::size_t more = problems_ - std::min(problems_, kProblemsTold);
            return Error{ErrorKind::InvalidArgument,
                         problem_ + (more > 0 ? "; and " + std::to_string(more) + " more" : "")};
        }
        if (out_.recipients.empty()) return wrong("recipients", "there are none; name them here, or in to, cc and bcc");
        if (out_.recipients.size() > limits_.max_recipients) {
            return wrong("recipients", std::to_string(out_.recipients.size()) + " are too many; at most " +
                                           std::to_string(limits_.max_recipients) + " (max_recipients)");
        }
        return {};
    }

    void take_recipient(std::size_t index) {
        SubmittedRecipient& recipient = in_.recipients[index];
        const std::string field = "recipients[" + std::to_string(index) + "]";
        auto address = address_of(field, recipient.address);
        if (!address) return note(address.error().text);
        if (!recipient.original.empty()) {
            const std::size_t semicolon = recipient.original.find(';');
            if (recipient.original.size() > kMaxOriginal || !is_printable_ascii(recipient.original) ||
                semicolon == std::string::npos || semicolon == 0) {
                return note(field + ".orcpt: must be like rfc822;user@example.com");
            }
        }
        if (recipient.variables.size() > kMaxMergeVariables || recipient.variables.octets().size() > kMaxMergeOctets) {
            return note(field + ".variables: are too many; at most " + std::to_string(kMaxMergeVariables) + " of " +
                        format_size(kMaxMergeOctets) + " together");
        }
        for (const auto& [name, value] : recipient.variables.entries()) {
            const bool has_control = std::any_of(value.begin(), value.end(), [](char c) {
                return (static_cast<unsigned char>(c) < ' ' && c != '\t' && c != '\r' && c != '\n') || c == 0x7f;
            });
            if (value.size() > kMaxVariable) {
                return note(field + ".variables." + std::string(name) + ": is longer than " +
                            std::to_string(kMaxVariable) + " octets");
            }
            if (has_control) return note(field + ".variables." + std::string(name) + ": has control characters");
            if (!is_utf8(value)) return note(field + ".variables." + std::string(name) + ": must be UTF-8");
        }
        recipient.address = std::move(*address);
        in_.is_personal |= !recipient.variables.empty();
        out_.recipients.push_back(std::move(recipient));
    }

    void note(const std::string& problem) {
        if (++problems_ > kProblemsTold) return;
        if (!problem_.empty()) problem_ += "; ";
        problem_ += problem;
    }

    Status take_names() {
        for (const auto& [field, text] :
             {std::pair<const char*, std::string&>{"virtual_mta", in_.virtual_mta}, {"job", in_.job}}) {
            if (text.size() > kMaxNameOctets || !mime::is_header_text(text)) {
                return wrong(field, "must be one line of at most " + std::to_string(kMaxNameOctets) + " octets");
            }
        }
        if (in_.envelope_id.size() > kMaxEnvelopeIdOctets || !is_printable_ascii(in_.envelope_id)) {
            return wrong("envelope_id", "must be printable ASCII, at most 100 characters");
        }
        if (in_.priority && (*in_.priority < kLowestMtPriority || *in_.priority > kHighestMtPriority)) {
            return wrong("priority", "must be a number from -9 to 9");
        }
        out_.virtual_mta = std::move(in_.virtual_mta);
        out_.job = std::move(in_.job);
        out_.envelope_id = std::move(in_.envelope_id);
        out_.priority = in_.priority;
        out_.return_content = in_.return_content;
        return {};
    }

    // What was to be sent in the past is sent now.
    Status take_times() {
        if (in_.send_at && *in_.send_at > context_.now) {
            // Not their difference, which nanoseconds have no room for.
            if (*in_.send_at > context_.now + std::chrono::floor<WallTime::duration>(limits_.max_hold)) {
                return wrong("send_at", "is too far away; at most " + format_duration(limits_.max_hold) + " from now");
            }
            out_.send_at = in_.send_at;
        }
        if (!in_.expires_at) return {};
        if (*in_.expires_at <= context_.now) return wrong("expires_at", "is over, so it could never be sent");
        if (out_.send_at && *in_.expires_at <= *out_.send_at) return wrong("expires_at", "is before send_at");
        out_.expires_at = in_.expires_at;
        return {};
    }

    Status take_metadata() {
        if (in_.metadata.size() > kMaxMetadata) {
            return wrong("metadata", "has too many entries; at most " + std::to_string(kMaxMetadata));
        }
        for (const auto& [name, value] : in_.metadata) {
            const std::string field = "metadata." + printable(name, 80);
            if (name.empty() || name.size() > kMaxMetadataName || !mime::is_header_text(name)) {
                return wrong(field,
                             "its name must have 1 to " + std::to_string(kMaxMetadataName) + " octets, in one line");
            }
            if (value.size() > kMaxMetadataValue || !is_utf8(value)) {
                return wrong(field, "must be UTF-8, at most " + std::to_string(kMaxMetadataValue) + " octets");
            }
        }
        out_.metadata = std::move(in_.metadata);
        return take_tags();
    }

    // They stand among the metadata of the events, in one value.
    Status take_tags() {
        if (in_.tags.empty()) return {};
        if (in_.tags.size() > kMaxTags) return wrong("tags", "are too many; at most " + std::to_string(kMaxTags));
        std::string all;
        for (std::size_t i = 0; i < in_.tags.size(); ++i) {
            const std::string& tag = in_.tags[i];
            if (tag.empty() || tag.size() > kMaxTag || !mime::is_header_text(tag) ||
                tag.find(',') != std::string::npos) {
                return wrong("tags[" + std::to_string(i) + "]",
                             "must be one line of 1 to " + std::to_string(kMaxTag) + " octets, without a comma");
            }
            all += (i == 0 ? "" : ",") + tag;
        }
        for (const auto& [name, value] : out_.metadata) {
            if (name == "tags") return wrong("metadata.tags", "cannot stand beside tags, whose place it is in reports");
        }
        out_.metadata.emplace_back("tags", std::move(all));
        return {};
    }

    Status take_content() {
        out_.is_personal = in_.is_personal;
        if (!in_.draft) {
            out_.content = std::move(in_.content);
            return {};
        }
        const std::string message_id = "<" + std::string(context_.id) + "@" + std::string(context_.hostname) + ">";
        auto composed =
            mime::compose(*in_.draft, {.date = context_.date,
                                       .message_id = message_id,
                                       .boundary = context_.id,
                                       .form = in_.is_personal ? mime::TextForm::Mergeable : mime::TextForm::Fixed});
        if (!composed) return composed.error();
        // A local part in UTF-8 stands in the header, too (RFC 6532).
        const std::size_t header = std::min(composed->find("\r\n\r\n"), composed->size());
        out_.needs_utf8 |= !is_ascii(std::string_view(*composed).substr(0, header));
        out_.content = std::move(*composed);
        return {};
    }

    Submission in_;
    const FinishLimits& limits_;
    const FinishContext& context_;
    FinishedSubmission out_;
    std::string problem_;
    std::size_t problems_ = 0;
};

}  // namespace

Result<FinishedSubmission> finish(Submission&& submission, const FinishLimits& limits, const FinishContext& context) {
    return Finisher(std::move(submission), limits, context).finish();
}

Status check_idempotency_key(std::string_view key) {
    if (key.size() <= kMaxIdempotencyKey && mime::is_header_text(key)) return {};
    return wrong("idempotency_key", "must be one line of at most " + std::to_string(kMaxIdempotencyKey) + " octets");
}

}  // namespace postfleet::submission
