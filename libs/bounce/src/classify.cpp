#include "postfleet/bounce/classify.hpp"

#include <array>
#include <optional>

namespace postfleet::bounce {

namespace {

struct StatusRow {
    std::uint16_t subject, detail;
    Category category;
};

constexpr std::uint16_t kAny = UINT16_MAX;

// RFC 3463 §3 and the registry it began; the first row that fits counts.
constexpr std::array kStatusRows{
    StatusRow{1, 2, Category::BadDomain},      // bad destination system address
    StatusRow{1, 7, Category::InvalidSender},  // bad sender's mailbox address syntax
    StatusRow{1, 8, Category::InvalidSender},  // bad sender's system address
    StatusRow{1, 10, Category::BadDomain},     // null MX
    StatusRow{1, kAny, Category::BadMailbox},     StatusRow{2, 1, Category::InactiveMailbox},  // mailbox disabled
    StatusRow{2, 2, Category::QuotaIssues},                                                    // mailbox full
    StatusRow{2, 3, Category::QuotaIssues},  // message longer than the mailbox takes
    StatusRow{2, kAny, Category::BadMailbox},     StatusRow{3, 1, Category::QuotaIssues},  // mail system full
    StatusRow{3, 4, Category::ContentRelated},  // message too big for the system
    StatusRow{3, 5, Category::BadConfiguration},  StatusRow{3, kAny, Category::Other},
    StatusRow{4, 1, Category::NoAnswerFromHost},  StatusRow{4, 2, Category::BadConnection},
    StatusRow{4, 5, Category::BadConnection},   // mail system congestion
    StatusRow{4, 7, Category::MessageExpired},  // delivery time expired
    StatusRow{4, kAny, Category::RoutingErrors},  StatusRow{5, kAny, Category::ProtocolErrors},
    StatusRow{6, kAny, Category::ContentRelated}, StatusRow{7, kAny, Category::PolicyRelated},
};

std::optional<Category> from_status(const EnhancedStatus& status) {
    if (!status) return std::nullopt;
    for (const StatusRow& row : kStatusRows) {
        if (row.subject == status.subject && (row.detail == kAny || row.detail == status.detail)) {
            return row.category;
        }
    }
    return std::nullopt;  // x.0.0: says nothing
}

Category from_phase(const Reply& reply, SmtpPhase phase) {
    if (reply.code == 552) return Category::QuotaIssues;
    if (reply.code >= 500 && reply.code <= 504) return Category::ProtocolErrors;
    switch (phase) {
        case SmtpPhase::Resolve: return Category::BadDomain;
        case SmtpPhase::Connect: return Category::NoAnswerFromHost;
        case SmtpPhase::Greeting:
        case SmtpPhase::Ehlo:
        case SmtpPhase::StartTls:
        case SmtpPhase::Auth: return Category::BadConnection;
        case SmtpPhase::Mail: return Category::InvalidSender;
        case SmtpPhase::Rcpt:
            return reply.code == 550 || reply.code == 551 || reply.code == 553 ? Category::BadMailbox : Category::Other;
        case SmtpPhase::Data:
        case SmtpPhase::Body:
        case SmtpPhase::EndOfData: return Category::ContentRelated;
        case SmtpPhase::Quit:
        case SmtpPhase::None: return Category::Other;
    }
    return Category::Other;
}

}  // namespace

Category categorize(const Reply& reply, SmtpPhase phase) {
    if (const auto category = from_status(reply.enhanced)) return *category;
    return from_phase(reply, phase);
}

const char* type_of(Category category) {
    switch (category) {
        case Category::BadDomain:
        case Category::BadMailbox:
        case Category::InactiveMailbox: return "hard";
        case Category::ContentRelated:
        case Category::InvalidSender:
        case Category::PolicyRelated:
        case Category::RelayingIssues:
        case Category::SpamRelated:
        case Category::VirusRelated: return "block";
        case Category::BadConfiguration:
        case Category::BadConnection:
        case Category::MessageExpired:
        case Category::NoAnswerFromHost:
        case Category::Other:
        case Category::ProtocolErrors:
        case Category::QuotaIssues:
        case Category::RoutingErrors: return "soft";
    }
    return "soft";
}

BounceFacts classify(const Reply& reply, SmtpPhase phase) {
    const Category category = categorize(reply, phase);
    return {type_of(category), to_string(category), false};
}

}  // namespace postfleet::bounce
