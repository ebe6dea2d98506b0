#include "postfleet/smtp/reply_parser.hpp"

#include "postfleet/base/text.hpp"

namespace postfleet::smtp {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// One to three digits; false leaves `text` anywhere.
bool take_number(std::string_view& text, std::uint16_t& out) {
    unsigned value = 0;
    std::size_t digits = 0;
    while (digits < text.size() && is_digit(text[digits])) {
        if (digits == 3) return false;
        value = value * 10 + static_cast<unsigned>(text[digits++] - '0');
    }
    if (digits == 0) return false;
    text.remove_prefix(digits);
    out = static_cast<std::uint16_t>(value);
    return true;
}

bool take_dot(std::string_view& text) {
    if (text.empty() || text.front() != '.') return false;
    text.remove_prefix(1);
    return true;
}

}  // namespace

EnhancedStatus take_enhanced_status(int code, std::string_view& text) {
    std::string_view rest = text;
    if (rest.size() < 5 || rest[0] - '0' != code / 100) return {};
    EnhancedStatus status;
    status.klass = static_cast<std::uint8_t>(rest[0] - '0');
    if (status.klass != 2 && status.klass != 4 && status.klass != 5) return {};
    rest.remove_prefix(1);
    if (!take_dot(rest) || !take_number(rest, status.subject) || !take_dot(rest) || !take_number(rest, status.detail)) {
        return {};
    }
    if (!rest.empty() && rest.front() != ' ' && rest.front() != '\t') return {};
    while (!rest.empty() && (rest.front() == ' ' || rest.front() == '\t')) rest.remove_prefix(1);
    text = rest;
    return status;
}

ReplyParser::Status ReplyParser::fail(const char* flaw) {
    flaw_ = flaw;
    return Status::Garbage;
}

ReplyParser::LineKind ReplyParser::parse_line(std::string_view line) {
    if (line.size() < 3 || !is_digit(line[0]) || !is_digit(line[1]) || !is_digit(line[2])) return LineKind::Bad;
    if (line[0] < '2' || line[0] > '5') return LineKind::Bad;
    if (line.size() > 3 && line[3] != ' ' && line[3] != '-') return LineKind::Bad;
    code_ = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
    line_text_ = line.size() > 4 ? line.substr(4) : std::string_view{};
    std::string_view rest = line_text_;
    if (const EnhancedStatus status = take_enhanced_status(code_, rest)) enhanced_ = status;
    return line.size() > 3 && line[3] == '-' ? LineKind::Continued : LineKind::Last;
}

ReplyParser::Status ReplyParser::parse(std::string_view& input) {
    if (!continued_ && partial_.empty()) {  // a new reply begins
        gathered_.clear();
        enhanced_ = {};
        reply_octets_ = 0;
    }
    while (!input.empty()) {
        const std::size_t end = input.find('\n');
        const std::size_t taken = end == std::string_view::npos ? input.size() : end + 1;
        reply_octets_ += taken;
        if (partial_.size() + taken > kMaxLineOctets) return fail("a reply line is too long");
        if (reply_octets_ > kMaxReplyOctets) return fail("a reply is too long");
        std::string_view line = input.substr(0, taken);
        input.remove_prefix(taken);
        if (end == std::string_view::npos) {
            partial_.append(line);
            return Status::NeedMore;
        }
        std::string assembled;
        if (!partial_.empty()) {
            assembled.swap(partial_);
            assembled.append(line);
            line = assembled;
        }
        line.remove_suffix(1);
        if (!line.empty() && line.back() == '\r') line.remove_suffix(1);

        const LineKind kind = parse_line(line);
        if (kind == LineKind::Bad) return fail("the server did not speak SMTP");
        // What does not outlive this call, or is not the only line, moves into our own memory.
        if (continued_ || kind == LineKind::Continued || !assembled.empty()) {
            if (continued_) gathered_ += '\n';
            gathered_.append(line_text_);
            lines_ = gathered_;
        } else {
            lines_ = line_text_;
        }
        continued_ = kind == LineKind::Continued;
        if (kind == LineKind::Last) return Status::Complete;
    }
    return Status::NeedMore;
}

Reply ReplyParser::to_reply() const {
    Reply reply;
    reply.code = code_;
    reply.enhanced = enhanced_;
    std::string joined;
    std::string_view rest = lines_;
    for (bool more = true; more && joined.size() < kMaxReplyText;) {
        const std::size_t end = rest.find('\n');
        std::string_view line = rest.substr(0, end);
        more = end != std::string_view::npos;
        if (more) rest.remove_prefix(end + 1);
        take_enhanced_status(code_, line);
        if (!joined.empty() && !line.empty()) joined += ' ';
        joined.append(line);
    }
    reply.text = printable(joined, kMaxReplyText);
    // An escaped octet takes four; of a text that is mostly that, a quarter says enough.
    if (reply.text.size() > kMaxReplyText) reply.text = printable(joined, kMaxReplyText / 4);
    return reply;
}

}  // namespace postfleet::smtp
