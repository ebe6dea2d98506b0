#include "provider_replies.hpp"

#include <algorithm>
#include <array>

namespace postfleet::tools {

namespace {

constexpr auto kReplies = std::to_array<ProviderReply>({
    {"gmail-rate", SinkPhase::EndOfData,
     "421-4.7.28 Gmail has detected an unusual rate of unsolicited mail originating\n"
     "421-4.7.28 from your IP address. To protect our users from spam, mail sent from\n"
     "421-4.7.28 your IP address has been temporarily rate limited. For more\n"
     "421-4.7.28 information, go to\n"
     "421-4.7.28  https://support.google.com/mail/?p=UnsolicitedRateLimitError to\n"
     "421 4.7.28 review our Bulk Email Senders Guidelines. 5b1f17b1804b1-4 - gsmtp"},
    {"gmail-reputation", SinkPhase::EndOfData,
     "421-4.7.0 [{ip}      15] Our system has detected that this message is\n"
     "421-4.7.0 suspicious due to the very low reputation of the sending IP address.\n"
     "421-4.7.0 To best protect our users from spam, the message has been blocked.\n"
     "421-4.7.0 Please visit\n"
     "421 4.7.0  https://support.google.com/mail/answer/188131 for more information. a7-2 - gsmtp"},
    {"gmail-user-rate", SinkPhase::Rcpt,
     "450-4.2.1 The user you are trying to contact is receiving email at a rate that\n"
     "450-4.2.1 prevents additional messages from being delivered. Please resend your\n"
     "450-4.2.1 message at a later time. If the user is able to receive mail at that\n"
     "450-4.2.1 time, your message will be delivered. For more information, go to\n"
     "450 4.2.1  https://support.google.com/mail/?p=ReceivingRate a7-2 - gsmtp"},
    {"gmail-full", SinkPhase::Rcpt,
     "452-4.2.2 The recipient's inbox is out of storage space. Please direct the\n"
     "452-4.2.2 recipient to\n"
     "452 4.2.2  https://support.google.com/mail/?p=OverQuotaTemp a7-2 - gsmtp"},
    {"gmail-no-user", SinkPhase::Rcpt,
     "550-5.1.1 The email account that you tried to reach does not exist. Please try\n"
     "550-5.1.1 double-checking the recipient's email address for typos or\n"
     "550-5.1.1 unnecessary spaces. For more information, go to\n"
     "550 5.1.1  https://support.google.com/mail/?p=NoSuchUser a7-2 - gsmtp"},
    {"gmail-auth", SinkPhase::EndOfData,
     "550-5.7.26 Your email has been blocked because the sender is unauthenticated.\n"
     "550-5.7.26 Gmail requires all senders to authenticate with either SPF or DKIM.\n"
     "550 5.7.26  https://support.google.com/mail/answer/81126#authentication a7-2 - gsmtp"},
    {"gmail-spam", SinkPhase::EndOfData,
     "550-5.7.1 [{ip}      12] Our system has detected that this message is\n"
     "550-5.7.1 likely unsolicited mail. To reduce the amount of spam sent to Gmail,\n"
     "550-5.7.1 this message has been blocked. Please visit\n"
     "550 5.7.1  https://support.google.com/mail/?p=UnsolicitedMessageError a7-2 - gsmtp"},
    {"gmail-connections", SinkPhase::Connect,
     "421-4.7.0 Try again later, closing connection.\n"
     "421 4.7.0  https://support.google.com/mail/answer/7720 a7-2 - gsmtp"},
    {"gmail-connection-expired", SinkPhase::Mail, "421 4.7.0 Connection expired, try reconnecting. a7-2 - gsmtp"},
    {"yahoo-connections", SinkPhase::Connect,
     "421 Too many concurrent SMTP connections from {ip}; please close some and try again"},
    {"yahoo-messages", SinkPhase::Mail, "421 Max message per connection reached, closing transmission channel"},
    {"yahoo-tss04", SinkPhase::Mail,
     "421 4.7.0 [TSS04] Messages from {ip} temporarily deferred due to unexpected volume or user complaints - "
     "4.16.55.1; see https://postmaster.yahooinc.com/error-codes"},
    {"yahoo-ts03", SinkPhase::Mail,
     "421 4.7.1 [TS03] All messages from {ip} will be permanently deferred; Retrying will NOT succeed. See "
     "https://postmaster.yahooinc.com/error-codes"},
    {"yahoo-user-rate", SinkPhase::Rcpt, "450 4.2.1 User is receiving mail too quickly"},
    {"yahoo-no-user", SinkPhase::EndOfData,
     "554 delivery error: dd This user doesn't have a yahoo.com account ({recipient}) [0] - "
     "mta4001.mail.example"},
    {"yahoo-policy", SinkPhase::EndOfData,
     "554 5.7.9 Message not accepted for policy reasons. See https://postmaster.yahooinc.com/error-codes"},
    {"microsoft-block", SinkPhase::Mail,
     "550 5.7.1 Unfortunately, messages from [{ip}] weren't sent. Please contact your Internet service provider "
     "since part of their network is on our block list (S3140). You can also refer your provider to "
     "http://mail.live.com/mail/troubleshooting.aspx#errors. [SN1NAM02FT0001.eop-nam02.prod.example]"},
    {"microsoft-rate", SinkPhase::Rcpt,
     "451 4.7.650 The mail server [{ip}] has been temporarily rate limited due to IP reputation. For e-mail "
     "delivery information, see https://postmaster.live.com (S775)"},
    {"microsoft-connections", SinkPhase::Connect,
     "451 4.7.652 The mail server [{ip}] has exceeded the maximum number of connections. (S3115)"},
    {"microsoft-messages", SinkPhase::Mail,
     "421 RP-002 (SNT004-MC1F1) The maximum number of messages per connection was reached. Please reconnect."},
    {"microsoft-rp001", SinkPhase::Mail,
     "421 RP-001 (SNT004-MC1F1) Unfortunately, some messages from {ip} weren't sent. Please try again. We have "
     "limits for how many messages can be sent per hour and per day. You can also refer to "
     "http://mail.live.com/mail/troubleshooting.aspx#errors."},
    {"microsoft-no-user", SinkPhase::Rcpt, "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302)."},
    {"microsoft-auth", SinkPhase::EndOfData,
     "550 5.7.515 Access denied, sending domain does not meet the required authentication level."},
    {"exchange-no-user", SinkPhase::Rcpt, "550 5.4.1 Recipient address rejected: Access denied. AS(201806281)"},
    {"exchange-busy", SinkPhase::Mail, "451 4.7.500 Server busy. Please try again later from [{ip}]. (S77719)"},
    {"exchange-banned", SinkPhase::Mail,
     "550 5.7.606 Access denied, banned sending IP [{ip}]. To request removal from this list please visit "
     "https://sender.office.com/ and follow the directions."},
    {"apple-volume", SinkPhase::Mail,
     "421 4.7.1 Messages to {recipient} deferred due to excessive volume. Try again later - "
     "https://support.apple.com/en-us/HT204137"},
    {"apple-policy", SinkPhase::EndOfData,
     "550 5.7.1 [CS01] Message rejected due to local policy. Please visit "
     "https://support.apple.com/en-us/HT204137"},
    {"spamhaus", SinkPhase::Rcpt,
     "554 5.7.1 Service unavailable; Client host [{ip}] blocked using zen.spamhaus.org; "
     "https://www.spamhaus.org/query/ip/{ip}"},
    {"greylist", SinkPhase::Rcpt,
     "450 4.7.1 <{recipient}>: Recipient address rejected: Greylisted, please try again later"},
    {"gmx-connections", SinkPhase::Connect,
     "421 gmx.example (mxgmx101) Nemesis ESMTP Service not available. Too many connections from your host."},
    {"qq-frequency", SinkPhase::EndOfData,
     "550 Mail content denied or Sender frequency limited. "
     "http://service.mail.qq.com/cgi-bin/help?subtype=1&&id=20022&&no=1000725"},
});

}  // namespace

std::span<const ProviderReply> provider_replies() { return kReplies; }

const ProviderReply* find_provider_reply(std::string_view name) {
    const auto* found =
        std::find_if(kReplies.begin(), kReplies.end(), [&](const ProviderReply& reply) { return reply.name == name; });
    return found == kReplies.end() ? nullptr : found;
}

std::string render_reply(std::string_view lines, const SinkFacts& facts) {
    std::string out;
    out.reserve(lines.size() + 64);
    while (!lines.empty()) {
        if (lines.starts_with("{ip}")) {
            out += facts.source.to_string();
            lines.remove_prefix(4);
        } else if (lines.starts_with("{recipient}")) {
            out += facts.recipient;
            lines.remove_prefix(11);
        } else if (lines.front() == '\n') {
            out += "\r\n";
            lines.remove_prefix(1);
        } else {
            out += lines.front();
            lines.remove_prefix(1);
        }
    }
    return out += "\r\n";
}

}  // namespace postfleet::tools
