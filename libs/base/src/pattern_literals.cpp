// required_literals: reads just enough of a pattern to know octets that it cannot do without.

#include <algorithm>
#include <optional>

#include "postfleet/base/pattern_set.hpp"
#include "postfleet/base/text.hpp"

namespace postfleet {

namespace {

constexpr std::size_t kShortest = 3;

bool is_alphanumeric(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// Escapes of one letter that stand for a class, a place or a control octet.
bool is_simple_escape(char c) { return std::string_view("bBAzZGdDsSwWhHvVnrtfeaR").find(c) != std::string_view::npos; }

class Reader {
public:
    explicit Reader(std::string_view pattern) : rest_(pattern) {}

    std::vector<std::string> read() {
        while (!rest_.empty() && good_) step();
        end_branch();
        return good_ ? std::move(branches_) : std::vector<std::string>{};
    }

private:
    void step() {
        const char c = take();
        switch (c) {
            case '\\': return escape();
            case '[': return skip_class();
            case '(': return skip_group();
            case ')': good_ = false; return;
            case '|': return end_branch();
            case '.':
            case '^':
            case '$': return end_run();
            case '?':
            case '*':
            case '{': return drop_last(c);
            case '+': return end_run();
            default: run_ += c;
        }
    }

    char take() {
        const char c = rest_.front();
        rest_.remove_prefix(1);
        return c;
    }

    void escape() {
        if (rest_.empty()) return void(good_ = false);
        const char c = take();
        if (!is_alphanumeric(c)) {
            run_ += c;
        } else if (is_simple_escape(c)) {
            end_run();
        } else {
            good_ = false;  // \x41, \Q…\E, references: their octets are not what they look like
        }
    }

    // What was just read may be absent.
    void drop_last(char quantifier) {
        if (!run_.empty()) run_.pop_back();
        end_run();
        if (quantifier != '{') return;
        // {2}, {2,}, {2,5}; another brace stands for itself, which is not needed here.
        const std::size_t end = rest_.find('}');
        if (end == std::string_view::npos ||
            rest_.substr(0, end).find_first_not_of("0123456789,") != std::string_view::npos) {
            good_ = false;
            return;
        }
        rest_.remove_prefix(end + 1);
    }

    void skip_class() {
        end_run();
        if (!rest_.empty() && rest_.front() == '^') take();
        if (!rest_.empty() && rest_.front() == ']') take();
        while (!rest_.empty()) {
            const char c = take();
            if (c == ']') return;
            if (c == '\\') {
                if (rest_.empty()) break;
                const char escaped = take();
                if (escaped == 'Q' || escaped == 'E') break;
            }
            if (c == '[' && !rest_.empty() && (rest_.front() == ':' || rest_.front() == '.' || rest_.front() == '=')) {
                const std::size_t end = rest_.find(std::string{rest_.front(), ']'}, 1);
                if (end == std::string_view::npos) break;
                rest_.remove_prefix(end + 2);
            }
        }
        good_ = false;
    }

    // Groups may hold alternatives or be optional: nothing of them is used. Options inside a group could change
    // what follows, so only the plain kinds are passed over.
    void skip_group() {
        end_run();
        if (rest_.starts_with("*")) return void(good_ = false);
        if (rest_.starts_with("?")) {
            static constexpr std::string_view kPlain[] = {"?:", "?=", "?!", "?>", "?<=", "?<!"};
            const auto* plain = std::find_if(std::begin(kPlain), std::end(kPlain),
                                             [&](std::string_view kind) { return rest_.starts_with(kind); });
            if (plain == std::end(kPlain)) return void(good_ = false);
        }
        int depth = 1;
        while (!rest_.empty() && depth > 0 && good_) {
            const char c = take();
            if (c == '(') {
                if (rest_.starts_with("*")) good_ = false;
                ++depth;
            } else if (c == ')') {
                --depth;
            } else if (c == '[') {
                skip_class();
            } else if (c == '\\') {
                if (rest_.empty()) break;
                const char escaped = take();
                if (escaped == 'Q' || escaped == 'E') good_ = false;
            }
        }
        if (depth > 0) good_ = false;
        if (!rest_.empty() && (rest_.front() == '?' || rest_.front() == '*' || rest_.front() == '{')) drop_last(take());
    }

    void end_run() {
        if (run_.size() > best_.size()) best_ = run_;
        run_.clear();
    }

    void end_branch() {
        end_run();
        if (best_.size() < kShortest) good_ = false;
        branches_.push_back(to_ascii_lower(best_));
        best_.clear();
    }

    std::string_view rest_;
    std::string run_, best_;
    std::vector<std::string> branches_;
    bool good_ = true;
};

}  // namespace

std::vector<std::string> required_literals(std::string_view pattern) { return Reader(pattern).read(); }

}  // namespace postfleet
