#include "postfleet/mime/address_domains.hpp"

#include <utility>

#include "postfleet/mail/address.hpp"

namespace postfleet::mime {
namespace {

enum class Kind { Word, Quoted, Literal, Special, End, Error };

struct Token {
    Kind kind = Kind::End;
    std::string_view text;
    bool is(char special) const { return kind == Kind::Special && text.front() == special; }
    bool is_word() const { return kind == Kind::Word || kind == Kind::Quoted; }
};

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool is_special(char c) { return std::string_view("<>@,;:.").find(c) != std::string_view::npos; }
bool ends_word(char c) { return is_space(c) || is_special(c) || c == '"' || c == '(' || c == ')' || c == '[' || c == ']'; }
bool is_control(char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; }

class Lexer {
public:
    explicit Lexer(std::string_view text) : text_(text) {}

    Token next() {
        if (!skip_white_space_and_comments()) return {Kind::Error, {}};
        if (at_ == text_.size()) return {};
        const char c = text_[at_];
        if (c == '"') return enclosed('"', Kind::Quoted);
        if (c == '[') return enclosed(']', Kind::Literal);
        const std::size_t start = at_;
        if (is_special(c)) return {Kind::Special, text_.substr(at_++, 1)};
        while (at_ < text_.size() && !ends_word(text_[at_])) {
            if (is_control(text_[at_]) || text_[at_] == '\\') return {Kind::Error, {}};
            ++at_;
        }
        if (at_ == start) return {Kind::Error, {}};  // ")" or "]"
        return {Kind::Word, text_.substr(start, at_ - start)};
    }

private:
    bool skip_white_space_and_comments() {
        std::size_t depth = 0;
        for (; at_ < text_.size(); ++at_) {
            const char c = text_[at_];
            if (depth == 0 && c != '(' && !is_space(c)) return true;
            if (c == '(' && ++depth > kMaxCommentDepth) return false;
            if (c == ')') --depth;
            if (c == '\\' && ++at_ == text_.size()) return false;
        }
        return depth == 0;
    }

    Token enclosed(char end, Kind kind) {
        const std::size_t start = at_++;
        for (; at_ < text_.size(); ++at_) {
            if (text_[at_] == '\\') ++at_;
            else if (text_[at_] == end) return {kind, text_.substr(start, ++at_ - start)};
        }
        return {Kind::Error, {}};
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

class Parser {
public:
    explicit Parser(std::string_view value) : lexer_(value) { advance(); }

    std::optional<std::vector<std::string>> parse() {
        bool in_group = false;
        while (token_.kind != Kind::End) {
            if (token_.is(',')) {
                advance();
                continue;
            }
            if (token_.is(';') && in_group) {
                in_group = false;
                advance();
                if (token_.kind != Kind::End && !token_.is(',')) return std::nullopt;
                continue;
            }
            const bool has_words = skip_words();
            if (token_.is(':') && has_words && !in_group) {
                in_group = true;
                advance();
                continue;
            }
            const bool good = token_.is('<') ? take_angle() : token_.is('@') && has_words && take_domain();
            if (!good) return std::nullopt;
            if (token_.kind != Kind::End && !token_.is(',') && !token_.is(';')) return std::nullopt;
            if (token_.is(';') && !in_group) return std::nullopt;
        }
        if (in_group) return std::nullopt;
        return std::move(domains_);
    }

private:
    void advance() { token_ = lexer_.next(); }

    bool skip_words() {
        bool any = false;
        for (; token_.is_word() || token_.is('.'); advance()) any = true;
        return any;
    }

    // "<" [route ":"] local-part "@" domain ">"
    bool take_angle() {
        advance();
        if (token_.is('@') && !skip_route()) return false;
        if (!skip_words() || !token_.is('@') || !take_domain() || !token_.is('>')) return false;
        advance();
        return true;
    }

    bool skip_route() {
        while (!token_.is(':')) {
            if (!token_.is('@') && !token_.is(',') && !token_.is('.') && token_.kind != Kind::Word) return false;
            advance();
        }
        advance();
        return true;
    }

    bool take_domain() {
        advance();  // the "@"
        if (token_.kind == Kind::Literal) {
            domains_.emplace_back(token_.text);
            advance();
            return true;
        }
        std::string name;
        for (; token_.kind == Kind::Word || token_.is('.'); advance()) {
            // Two words without a dot between them are no domain.
            if (token_.kind == Kind::Word && !name.empty() && name.back() != '.') return false;
            name += token_.text;
        }
        auto domain = normalize_domain(name);
        if (!domain) return false;
        domains_.push_back(std::move(*domain));
        return true;
    }

    Lexer lexer_;
    Token token_;
    std::vector<std::string> domains_;
};

}  // namespace

std::optional<std::vector<std::string>> address_domains(std::string_view value) { return Parser(value).parse(); }

}  // namespace postfleet::mime
