#include <algorithm>

#include "parts.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/dsn/notification.hpp"

namespace postfleet::dsn {

namespace {

std::string_view subject_of(Action action) {
    switch (action) {
        case Action::Failed: return "Undelivered: your message could not be delivered";
        case Action::Delayed: return "Delayed: your message has not been delivered yet";
        case Action::Relayed: return "Passed on: your message was taken by the recipient's mail server";
    }
    return {};
}

// A Message-ID that can be repeated in fields of ours: one word in angle brackets.
bool is_message_id(std::string_view text, Charset charset) {
    constexpr std::size_t kLongest = 900;
    return text.size() > 2 && text.size() <= kLongest && text.front() == '<' && text.back() == '>' &&
           text.find_first_of(" \t<>", 1) == text.size() - 1 && clean(text, charset) == text;
}

void append_header(std::string& out, const Notification& notification, const Composed& composed,
                   const std::string& boundary, Charset charset) {
    const Message& message = notification.message;
    append_field(out, "From", "Mail Delivery System <" + std::string(notification.from) + ">");
    append_field(out, "To", "<" + clean(message.reverse_path, charset) + ">");
    append_field(out, "Subject", composed.subject);
    append_field(out, "Date", format_rfc5322_date(notification.now));
    append_field(out, "Message-ID", composed.message_id);
    if (is_message_id(message.header_message_id, charset)) {
        append_field(out, "In-Reply-To", message.header_message_id);
        append_field(out, "References", message.header_message_id);
    }
    append_field(out, "Auto-Submitted", "auto-replied");
    append_field(out, "MIME-Version", "1.0");
    out.append("Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=\"")
        .append(boundary)
        .append("\"\r\n");
}

}  // namespace

const char* to_string(Action action) {
    switch (action) {
        case Action::Failed: return "failed";
        case Action::Delayed: return "delayed";
        case Action::Relayed: return "relayed";
    }
    return "failed";
}

Action worst_action(const std::vector<RecipientStatus>& recipients) {
    return std::min_element(recipients.begin(), recipients.end(),
                            [](const auto& a, const auto& b) { return a.action < b.action; })
        ->action;
}

EnhancedStatus status_of(const RecipientStatus& recipient) {
    if (recipient.has_expired) return {5, 4, 7};
    if (recipient.is_late) return {4, 4, 7};
    const std::uint8_t klass = recipient.action == Action::Failed ? 5 : recipient.action == Action::Delayed ? 4 : 2;
    EnhancedStatus status{klass, 0, 0};
    if (recipient.reply && recipient.reply->enhanced) {
        status.subject = recipient.reply->enhanced.subject;
        status.detail = recipient.reply->enhanced.detail;
    }
    return status;
}

Composed compose(const Notification& notification) {
    // A sender whose address is UTF-8 reads UTF-8; for all others everything is ASCII.
    const Charset charset = is_ascii(notification.message.reverse_path) ? Charset::Ascii : Charset::Utf8;
    const std::string id = notification.id.to_string();
    const std::string boundary = "=_" + id;
    Composed composed;
    composed.needs_smtputf8 = charset == Charset::Utf8;
    composed.subject = subject_of(worst_action(notification.recipients));
    composed.message_id = "<" + id + "@" + clean(notification.reporting_host, Charset::Ascii) + ">";

    std::string body;
    const std::string delimiter = "\r\n--" + boundary;
    body.append("This is a notification of delivery in MIME format.\r\n");
    body.append(delimiter).append("\r\n");
    append_text_part(body, notification);
    body.append(delimiter).append("\r\n");
    append_status_part(body, notification, charset);
    std::string returned;
    append_returned_part(returned, notification, charset);
    if (!returned.empty()) body.append(delimiter).append("\r\n").append(returned);
    body.append(delimiter).append("--\r\n");

    std::string& out = composed.content;
    append_header(out, notification, composed, boundary, charset);
    out.append("\r\n").append(body);
    composed.is_eight_bit = !is_ascii(out);
    composed.has_leading_dots = out.find("\r\n.") != std::string::npos;
    return composed;
}

}  // namespace postfleet::dsn
