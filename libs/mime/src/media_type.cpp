#include "postfleet/mime/media_type.hpp"

#include "postfleet/base/text.hpp"

namespace postfleet::mime {

namespace {

// RFC 2045 §5.1: what a token cannot contain.
bool ends_token(char c) {
    return static_cast<unsigned char>(c) <= ' ' || c == 0x7f ||
           std::string_view("()<>@,;:\\\"/[]?=").find(c) != std::string_view::npos;
}

class Scanner {
public:
    explicit Scanner(std::string_view text) : text_(text) {}

    void skip_space_and_comments() {
        int depth = 0;
        for (; at_ < text_.size(); ++at_) {
            const char c = text_[at_];
            if (c == '(') ++depth;
            else if (c == ')' && depth > 0) --depth;
            else if (c == '\\' && depth > 0) ++at_;
            else if (depth == 0 && c != ' ' && c != '\t' && c != '\r' && c != '\n') return;
        }
    }

    bool take(char c) {
        skip_space_and_comments();
        if (at_ >= text_.size() || text_[at_] != c) return false;
        ++at_;
        return true;
    }

    std::string_view token() {
        skip_space_and_comments();
        const std::size_t start = std::min(at_, text_.size());
        while (at_ < text_.size() && !ends_token(text_[at_])) ++at_;
        return text_.substr(start, at_ - start);
    }

    std::string value() {
        if (!take('"')) return std::string(token());
        std::string out;
        for (; at_ < text_.size() && text_[at_] != '"'; ++at_) {
            if (text_[at_] == '\\' && at_ + 1 < text_.size()) ++at_;
            if (text_[at_] != '\r' && text_[at_] != '\n') out.push_back(text_[at_]);
        }
        ++at_;
        return out;
    }

    void skip_to_semicolon() {
        while (at_ < text_.size() && text_[at_] != ';') ++at_;
    }

private:
    std::string_view text_;
    std::size_t at_ = 0;
};

}  // namespace

MediaType parse_media_type(std::string_view value) {
    Scanner scanner(value);
    const std::string_view type = scanner.token();
    if (type.empty() || !scanner.take('/')) return {};
    const std::string_view subtype = scanner.token();
    if (subtype.empty()) return {};
    MediaType found{to_ascii_lower(type), to_ascii_lower(subtype), {}};
    for (scanner.skip_to_semicolon(); scanner.take(';'); scanner.skip_to_semicolon()) {
        const std::string_view name = scanner.token();
        if (!scanner.take('=')) continue;
        std::string parameter = scanner.value();
        if (ascii_iequals(name, "boundary") && found.boundary.empty()) found.boundary = std::move(parameter);
    }
    return found;
}

}  // namespace postfleet::mime
