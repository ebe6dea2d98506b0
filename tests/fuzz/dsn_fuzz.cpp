// Notifications about hostile mail: whatever addresses, replies and messages say, the notification has our header and
// our parts and no others, with good lines, and is ASCII for a sender who is.
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "postfleet/base/require.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/dsn/notification.hpp"

using namespace postfleet;

namespace {

constexpr std::string_view kId = "0193a5b2-2c00-7000-8000-000000000002";

// The next line of the input.
std::string take(std::string_view& input) {
    const std::size_t end = std::min(input.find('\n'), input.size());
    std::string line(input.substr(0, end));
    input.remove_prefix(std::min(end + 1, input.size()));
    return line;
}

// Acceptance has made all line ends CRLF.
std::string to_content(std::string_view input) {
    std::string content;
    for (const char c : input) {
        if (c == '\n') content.push_back('\r');
        if (c != '\r') content.push_back(c);
    }
    return content;
}

void check(const dsn::Composed& composed, bool is_ascii_sender, std::size_t most_parts) {
    const std::string& text = composed.content;
    require(text.ends_with("\r\n"));
    require(composed.needs_smtputf8 == !is_ascii_sender);
    require(composed.is_eight_bit == !is_ascii(text));
    const std::string delimiter = "--=_" + std::string(kId);
    std::size_t delimiters = 0;
    bool is_header = true;
    for (std::string_view rest = text; !rest.empty();) {
        const std::size_t end = rest.find("\r\n");
        require(end != std::string_view::npos && end <= 998);
        const std::string_view line = rest.substr(0, end);
        require(line.find_first_of("\r\n") == std::string_view::npos);
        require(composed.has_leading_dots || !line.starts_with('.'));
        is_header = is_header && !line.empty();
        if (is_header) require(!ascii_istarts_with(line, "Bcc"));
        delimiters += line.starts_with(delimiter) ? 1 : 0;
        rest.remove_prefix(end + 2);
    }
    require(delimiters >= 3 && delimiters <= most_parts + 1);
}

}  // namespace

void fuzz_dsn(std::span<const std::byte> octets) {
    std::string_view input(reinterpret_cast<const char*>(octets.data()), octets.size());
    if (input.find(kId) != std::string_view::npos) return;  // nobody outside knows the id
    Message message;
    message.reverse_path = take(input);
    message.envelope_id = take(input);
    message.helo = take(input);
    message.header_message_id = take(input);
    message.header_subject = take(input);
    dsn::RecipientStatus status;
    status.address = take(input);
    status.original = take(input);
    status.remote_host = take(input);
    status.reply = Reply{550, {5, 1, 1}, take(input)};
    message.smtputf8 = !is_ascii(message.header_subject);
    const std::string content = to_content(input);
    message.size_octets = content.size();
    if (content.size() % 2 == 0) message.return_content = ReturnContent::Full;
    const std::vector<dsn::RecipientStatus> recipients{status, status};
    const dsn::Composed composed = dsn::compose({.id = MessageId::parse(kId).value(),
                                                 .now = {},
                                                 .reporting_host = "mta.test",
                                                 .from = "MAILER-DAEMON@mta.test",
                                                 .message = message,
                                                 .content = content,
                                                 .max_returned_octets = 10'000,
                                                 .recipients = recipients});
    check(composed, is_ascii(message.reverse_path), 3);
}
