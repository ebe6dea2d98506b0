// Classifier: the bounce category of a reply: the operator's patterns, then those we ship, then what the enhanced
// status, the phase and the code say (classify.hpp).
//
// A pattern is looked for in the reply as one line, "550 5.1.1 no such user". The first one that matches decides;
// the shipped ones stand in libs/bounce/shipped-patterns.txt and are part of the program. One pattern cannot make a
// bad address of a refusal that is about the sender: type_of() depends on the category alone.
//
// A few microseconds per reply (base/pattern_set.hpp), and only failures are classified.
// Threads: immutable once compiled; thread-safe. Errors: compile() names the pattern that is wrong.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/base/document.hpp"
#include "postfleet/base/pattern_set.hpp"
#include "postfleet/bounce/classify.hpp"

namespace postfleet::bounce {

struct CategoryPattern {
    std::string reply;
    Category category = Category::Other;
    Origin origin;  // where it stands
};

// Of the file: one per line, "category pattern"; '#' begins a comment line. InvalidArgument names the line.
Result<std::vector<CategoryPattern>> parse_category_patterns(std::string_view text, std::string_view file);
std::string_view shipped_patterns_text();
inline constexpr std::string_view kShippedFile = "shipped-patterns.txt";

class Classifier final {
public:
    // `own` come before the shipped ones.
    static Result<Classifier> compile(std::vector<CategoryPattern> own);
    // The shipped patterns alone; made once.
    static const std::shared_ptr<const Classifier>& shipped();

    struct Finding {
        Category category = Category::Other;
        const CategoryPattern* pattern = nullptr;  // null: the status, phase or code decided
    };
    Finding find(const Reply& reply, SmtpPhase phase) const;
    BounceFacts classify(const Reply& reply, SmtpPhase phase) const;
    std::span<const CategoryPattern> patterns() const { return patterns_; }

private:
    std::vector<CategoryPattern> patterns_;
    PatternSet set_;
};

}  // namespace postfleet::bounce
