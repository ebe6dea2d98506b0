// The part for people.
#include <fmt/format.h>

#include "parts.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/mime/transfer_encoding.hpp"

namespace postfleet::dsn {

namespace {

constexpr std::string_view kIndent = "    ";

std::string_view introduction(Action action) {
    switch (action) {
        case Action::Failed: return "Your message could not be delivered to:";
        case Action::Delayed:
            return "Your message has not been delivered yet to the recipients below. It is still being tried: you need "
                   "not send it again.";
        case Action::Relayed:
            return "Your message was taken by the mail servers of the recipients below, which send no reports of "
                   "delivery. So this is the last that you will hear of it, unless they return it:";
    }
    return {};
}

// Who answered, and what.
void append_reason(std::string& out, const RecipientStatus& recipient) {
    if (!recipient.reply) return;
    const std::string host = clean(recipient.remote_host, Charset::Utf8);
    const bool is_last = recipient.has_expired || recipient.action == Action::Delayed;
    std::string lead = is_last ? "The last " : "The ";
    if (recipient.reply->code == 0) lead += is_last ? "attempt ended with:" : "reason:";
    else lead += host.empty() ? "answer:" : "answer of " + host + ":";
    append_paragraph(out, kIndent, lead);
    append_paragraph(out, "        ", clean(recipient.reply->to_string(), Charset::Utf8));
}

void append_recipient(std::string& out, const RecipientStatus& recipient) {
    out.append("\r\n");
    append_paragraph(out, "", fmt::format("<{}>", clean(recipient.address, Charset::Utf8)));
    if (recipient.has_expired) {
        append_paragraph(out, kIndent,
                         fmt::format("Not delivered in time, after {} attempt{}.", recipient.attempts,
                                     recipient.attempts == 1 ? "" : "s"));
    }
    if (recipient.is_late) append_paragraph(out, kIndent, "The time by which it was to be delivered has passed.");
    append_reason(out, recipient);
    if (recipient.will_retry_until) {
        append_paragraph(out, kIndent,
                         "It will be tried until " + format_rfc5322_date(*recipient.will_retry_until) + ".");
    }
    if (recipient.action == Action::Failed) {
        append_paragraph(out, kIndent, "What you can do: " + std::string(advice(recipient)));
    }
}

void append_message_facts(std::string& out, const Notification& notification) {
    const Message& message = notification.message;
    out.append("\r\nThe message:\r\n\r\n");
    // Encoded words tell a person nothing; the header behind has them.
    if (!message.header_subject.empty() && message.header_subject.find("=?") == std::string::npos) {
        append_paragraph(out, kIndent, "Subject: " + clean(message.header_subject, Charset::Utf8));
    }
    if (!message.header_message_id.empty()) {
        append_paragraph(out, kIndent, "Message-ID: " + clean(message.header_message_id, Charset::Utf8));
    }
    append_paragraph(out, kIndent, "Accepted: " + format_rfc5322_date(message.accepted_at));
    append_paragraph(out, kIndent, "Known here as: " + message.id.to_string());
}

}  // namespace

void append_text_part(std::string& out, const Notification& notification) {
    std::string text;
    append_paragraph(text, "",
                     fmt::format("This is the mail system at {}.", clean(notification.reporting_host, Charset::Utf8)));
    for (const Action action : {Action::Failed, Action::Delayed, Action::Relayed}) {
        bool is_first = true;
        for (const RecipientStatus& recipient : notification.recipients) {
            if (recipient.action != action) continue;
            if (is_first) {
                text.append("\r\n");
                append_paragraph(text, "", introduction(action));
                is_first = false;
            }
            append_recipient(text, recipient);
        }
    }
    append_message_facts(text, notification);
    out.append("Content-Description: Notification\r\n");
    if (is_ascii(text)) {
        out.append("Content-Type: text/plain; charset=us-ascii\r\n\r\n").append(text);
        return;
    }
    out.append("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n");
    mime::append_quoted_printable(out, text);
}

}  // namespace postfleet::dsn
