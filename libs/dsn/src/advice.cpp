// What a person can do about it.
#include "parts.hpp"

namespace postfleet::dsn {

std::string_view advice(const RecipientStatus& recipient) {
    if (recipient.has_expired) {
        return "The other side did not take the message in all that time. Send it again later, or reach the recipient "
               "in another way.";
    }
    if (!recipient.category) return "Show this notification to your administrator.";
    using C = BounceCategory;
    switch (*recipient.category) {
        case C::BadMailbox:
            return "Check the address for a typing error, or ask the recipient for the right one. Sending it again "
                   "will not help.";
        case C::BadDomain: return "Check what stands behind the @ for a typing error.";
        case C::InactiveMailbox: return "The mailbox is not in use any more. Ask the recipient for another address.";
        case C::QuotaIssues:
            return "The recipient's mailbox has no room. Send the message again later, or reach the recipient in "
                   "another way.";
        case C::MessageExpired: return "Send the message again later, or reach the recipient in another way.";
        case C::ContentRelated:
            return "The other side does not take a message like this one: perhaps it is too large, or has an "
                   "attachment of a kind that is not wanted there.";
        case C::SpamRelated:
        case C::PolicyRelated:
            return "The other side did not want the message. Ask the recipient to allow your address, and show this "
                   "notification to your administrator: others may be affected, too.";
        case C::VirusRelated:
            return "The other side took the message for harmful. Check its attachments, and your computer.";
        case C::InvalidSender:
            return "The other side does not accept your own address. Show this notification to your administrator.";
        case C::BadConfiguration:
        case C::BadConnection:
        case C::NoAnswerFromHost:
        case C::ProtocolErrors:
        case C::RelayingIssues:
        case C::RoutingErrors:
            return "Nothing about your message is wrong. Send it again later; if that does not help, the "
                   "administrator of the recipient's mail system has to mend it.";
        case C::Other: return "Show this notification to your administrator.";
    }
    return {};
}

}  // namespace postfleet::dsn
