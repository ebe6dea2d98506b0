// Submission: one message as an application hands it in by a queue, a call or a request, whatever the format was.
//
//   JSON, protobuf, message/rfc822 ──▶ Submission ──▶ submission::finish() ──▶ envelope and content, as SMTP brings them
//
// Either `content` is a finished message, or `draft` says what one is to be made of. Nothing has been checked but what
// the format itself demands; finish() checks the rest. Everything is an application's own and may be of any size that
// the body had room for.
//
// Threads: a value type. Units: octets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "postfleet/base/time.hpp"
#include "postfleet/mail/merge.hpp"
#include "postfleet/mail/message.hpp"

namespace postfleet {

inline constexpr std::size_t kMaxIdempotencyKey = 255;

// As it is shown in a header: "Shop" <shop@example.com>.
struct NamedAddress {
    std::string name;
    std::string address;
    friend bool operator==(const NamedAddress&, const NamedAddress&) = default;
};

struct Attachment {
    enum class Disposition : std::uint8_t { Attachment, Inline };
    std::string filename;
    std::string content_type;  // empty: application/octet-stream
    std::string content_id;    // what cid: in the HTML names, without angle brackets
    std::string content;
    Disposition disposition = Disposition::Attachment;
    friend bool operator==(const Attachment&, const Attachment&) = default;
};

// What a message is to be made of. Texts are UTF-8.
struct Draft {
    NamedAddress from;
    std::vector<NamedAddress> to, cc, reply_to;
    std::string subject, text, html;
    std::vector<std::pair<std::string, std::string>> headers;  // in this order, behind ours
    std::vector<Attachment> attachments;
    friend bool operator==(const Draft&, const Draft&) = default;
};

struct SubmittedRecipient {
    std::string address;
    MergeVariables variables;
    std::string original;     // ORCPT, "rfc822;user@domain"; empty: not given
    std::uint8_t notify = 0;  // kNotify… bits
    friend bool operator==(const SubmittedRecipient&, const SubmittedRecipient&) = default;
};

struct Submission {
    std::optional<std::string> mail_from;  // nothing: the draft's from; "": the empty reverse-path
    // Whom it goes to. Empty: the draft's to and cc, and bcc.
    std::vector<SubmittedRecipient> recipients;
    std::vector<NamedAddress> bcc;
    std::string content;  // a whole message; empty: there is a draft
    std::optional<Draft> draft;
    bool is_personal = false;  // each recipient gets a text of its own (docs/MAIL_MERGE.md)

    std::string virtual_mta;  // or pool; empty: by the rules
    std::string job;
    std::string envelope_id;
    ReturnContent return_content = ReturnContent::NotGiven;
    std::optional<std::int8_t> priority;  // kLowestMtPriority … kHighestMtPriority
    std::optional<WallTime> send_at, expires_at;
    std::vector<std::pair<std::string, std::string>> metadata;
    std::vector<std::string> tags;
    std::string idempotency_key;  // empty: none
    friend bool operator==(const Submission&, const Submission&) = default;
};

}  // namespace postfleet
