// The part for programs (RFC 3464 §2, RFC 6533 §4).
#include "parts.hpp"
#include "postfleet/base/network.hpp"
#include "postfleet/base/text.hpp"

namespace postfleet::dsn {

namespace {

std::string mta(std::string_view host) {
    const auto address = IpAddress::parse(host);
    return "dns; " + (address ? address->to_literal() : clean(host, Charset::Ascii));
}

std::string final_recipient(const std::string& address, Charset charset) {
    if (is_ascii(address)) return "rfc822; " + clean(address, charset);
    return "utf-8; " + utf8_address(address, charset);
}

// What a server said is of type smtp; our own words have a type of their own.
std::string diagnostic(const Reply& reply, Charset charset) {
    return (reply.code != 0 ? "smtp; " : "X-Postfleet; ") + clean(reply.to_string(), charset);
}

void append_recipient(std::string& out, const RecipientStatus& recipient, WallTime now, Charset charset) {
    out.append("\r\n");
    append_field(out, "Original-Recipient", original_recipient(recipient.original, charset));
    append_field(out, "Final-Recipient", final_recipient(recipient.address, charset));
    append_field(out, "Action", to_string(recipient.action));
    append_field(out, "Status", status_of(recipient).to_string());
    if (!recipient.remote_host.empty()) append_field(out, "Remote-MTA", mta(recipient.remote_host));
    if (recipient.reply) append_field(out, "Diagnostic-Code", diagnostic(*recipient.reply, charset));
    if (!recipient.has_expired && !recipient.is_late && recipient.action != Action::Delayed) {
        append_field(out, "Last-Attempt-Date", format_rfc5322_date(now));
    }
    if (recipient.will_retry_until) {
        append_field(out, "Will-Retry-Until", format_rfc5322_date(*recipient.will_retry_until));
    }
}

}  // namespace

void append_status_part(std::string& out, const Notification& notification, Charset charset) {
    const Message& message = notification.message;
    out.append("Content-Description: Delivery status\r\nContent-Type: message/")
        .append(charset == Charset::Utf8 ? "global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
                                         : "delivery-status\r\n\r\n");
    append_field(out, "Original-Envelope-Id", clean(message.envelope_id, charset));
    append_field(out, "Reporting-MTA", mta(notification.reporting_host));
    if (!message.helo.empty()) append_field(out, "Received-From-MTA", "dns; " + clean(message.helo, charset));
    append_field(out, "Arrival-Date", format_rfc5322_date(message.accepted_at));
    append_field(out, "X-Postfleet-Message", message.id.to_string());
    for (const RecipientStatus& recipient : notification.recipients) {
        append_recipient(out, recipient, notification.now, charset);
    }
}

}  // namespace postfleet::dsn
