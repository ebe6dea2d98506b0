// A message that failed, to be changed by each test, and small looks into a notification.
#pragma once

#include <string>
#include <vector>

#include "postfleet/base/text.hpp"
#include "postfleet/dsn/notification.hpp"

namespace postfleet::dsn {

struct Case {
    Message message;
    std::string content = "From: <ann@from.test>\r\nSubject: hello\r\n\r\nThe text.\r\n";
    std::vector<RecipientStatus> recipients;
    std::uint64_t max_returned_octets = 64 << 10;

    Case() {
        message.id = MessageId::parse("0193a5b2-1c00-7000-8000-000000000001").value();
        message.accepted_at = from_unix_microseconds(1'795'331'472'000'000);
        message.reverse_path = "ann@from.test";
        message.envelope_id = "order 17+b";
        message.helo = "client.from.test";
        message.prepended_header = "Received: from client.from.test by mta.test; Sun, 22 Nov 2026 10:11:12 +0000\r\n";
        message.header_message_id = "<17@from.test>";
        message.header_subject = "hello";
        RecipientStatus failed;
        failed.address = "bob@x.test";
        failed.original = "rfc822;bob+tag@y.test";
        failed.reply = Reply{550, {5, 1, 1}, "no such user here"};
        failed.remote_host = "mx1.x.test";
        failed.category = BounceCategory::BadMailbox;
        failed.attempts = 1;
        recipients.push_back(failed);
    }

    Composed compose() {
        message.size_octets = content.size();
        return dsn::compose({.id = MessageId::parse("0193a5b2-2c00-7000-8000-000000000002").value(),
                             .now = message.accepted_at + std::chrono::hours(5),
                             .reporting_host = "mta.test",
                             .from = "MAILER-DAEMON@mta.test",
                             .message = message,
                             .content = content,
                             .max_returned_octets = max_returned_octets,
                             .recipients = recipients});
    }
};

inline bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

inline std::size_t longest_line(std::string_view text) {
    std::size_t longest = 0;
    for (const std::string_view line : split(text, '\n')) longest = std::max(longest, line.size());
    return longest;
}

}  // namespace postfleet::dsn
