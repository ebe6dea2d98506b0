// The part with what comes back of the message (RFC 3462 §2, RFC 6522 §4, RFC 6533 §5 and §6).
#include <algorithm>

#include "parts.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/mime/header.hpp"
#include "postfleet/mime/seven_bit.hpp"
#include "postfleet/mime/transfer_encoding.hpp"

namespace postfleet::dsn {

namespace {

constexpr std::size_t kMaxHeaderOctets = 64 * 1024;

// May stand in a message as it is: CRLF line ends and no line that is too long.
bool has_good_lines(std::string_view text) {
    while (!text.empty()) {
        const std::size_t end = std::min(text.find("\r\n"), text.size());
        if (end > mime::kMaxLineOctets || text.substr(0, end).find_first_of(std::string_view("\r\n\0", 3)) < end) {
            return false;
        }
        text.remove_prefix(std::min(end + 2, text.size()));
    }
    return true;
}

// Our fields and the message's, as many as the bound allows, each whole.
std::string header_of(const Notification& notification) {
    std::string header = notification.message.prepended_header.substr(0, kMaxHeaderOctets);
    mime::HeaderReader reader(notification.content);
    std::size_t end = 0;
    while (const auto field = reader.next()) {
        if (header.size() + field->span.end > kMaxHeaderOctets) break;
        end = field->span.end;
    }
    header.append(notification.content.substr(0, end));
    if (!header.empty() && !header.ends_with("\r\n")) header.append("\r\n");
    return header;
}

bool wants_whole(const Notification& notification) {
    const Message& message = notification.message;
    // A message that was to go over verified TLS only is not sent back over whatever there is (RFC 8689 §5).
    return message.return_content == ReturnContent::Full && message.tls_wish != TlsWish::Required &&
           message.body_type != BodyType::BinaryMime && message.content_chunks == 1 &&
           notification.content.size() == message.size_octets && !notification.content.empty() &&
           message.prepended_header.size() + message.size_octets <= notification.max_returned_octets;
}

// Whether the whole message can be a part of a notification that has to get through everywhere.
bool can_return_whole(const Notification& notification, std::string_view header, Charset charset) {
    if (!wants_whole(notification) || !has_good_lines(notification.content)) return false;
    if (charset == Charset::Utf8) return true;
    if (!is_ascii(header)) return false;
    return is_ascii(notification.content) || mime::to_seven_bit(notification.content).has_value();
}

struct PartType {
    std::string_view description, type, encoding;
};

void append_part_header(std::string& out, const PartType& part) {
    out.append("Content-Description: ").append(part.description);
    out.append("\r\nContent-Type: ").append(part.type);
    if (!part.encoding.empty()) out.append("\r\nContent-Transfer-Encoding: ").append(part.encoding);
    out.append("\r\n\r\n");
}

}  // namespace

void append_returned_part(std::string& out, const Notification& notification, Charset charset) {
    const std::string header = header_of(notification);
    if (header.empty()) return;
    const bool is_ascii_header = is_ascii(header);
    if (can_return_whole(notification, header, charset)) {
        const bool is_ascii_whole = is_ascii_header && is_ascii(notification.content);
        append_part_header(
            out, {"Your message", is_ascii_header ? "message/rfc822" : "message/global", is_ascii_whole ? "" : "8bit"});
        out.append(notification.message.prepended_header).append(notification.content);
        return;
    }
    const bool is_global = !is_ascii_header && (notification.message.smtputf8 || charset == Charset::Utf8);
    const bool is_plain = has_good_lines(header) && (is_ascii_header || charset == Charset::Utf8);
    append_part_header(out, {"Header of your message", is_global ? "message/global-headers" : "text/rfc822-headers",
                             !is_plain         ? "quoted-printable"
                             : is_ascii_header ? ""
                                               : "8bit"});
    if (is_plain) out.append(header);
    else mime::append_quoted_printable(out, header);
}

}  // namespace postfleet::dsn
