#include "postfleet/bounce/classifier.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "postfleet/base/require.hpp"
#include "postfleet/base/text.hpp"

namespace postfleet::bounce {

Result<std::vector<CategoryPattern>> parse_category_patterns(std::string_view text, std::string_view file) {
    constexpr std::string_view kBlank = " \t";
    std::vector<CategoryPattern> out;
    for (int number = 1; !text.empty(); ++number) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        if (line.empty() || line.front() == '#') continue;
        const std::size_t gap = line.find_first_of(kBlank);
        const std::size_t begin = gap == std::string_view::npos ? gap : line.find_first_not_of(kBlank, gap);
        const auto category = parse_bounce_category(line.substr(0, gap));
        if (!category || begin == std::string_view::npos) {
            return Error{ErrorKind::InvalidArgument, std::string(file) + ":" + std::to_string(number) +
                                                         ": must be a bounce category, white space and a pattern"};
        }
        out.push_back({std::string(line.substr(begin)), *category, Origin{std::string(file), number, 1}});
    }
    return out;
}

Result<Classifier> Classifier::compile(std::vector<CategoryPattern> own) {
    auto shipped = parse_category_patterns(shipped_patterns_text(), kShippedFile);
    require(shipped.has_value());  // a test compiles it
    Classifier made;
    made.patterns_ = std::move(own);
    std::move(shipped->begin(), shipped->end(), std::back_inserter(made.patterns_));
    std::vector<std::string> texts;
    texts.reserve(made.patterns_.size());
    for (const CategoryPattern& pattern : made.patterns_) texts.push_back(pattern.reply);
    auto set = PatternSet::compile(texts);
    if (!set) return set.error();
    made.set_ = std::move(*set);
    return made;
}

const std::shared_ptr<const Classifier>& Classifier::shipped() {
    static const auto made = std::make_shared<const Classifier>(compile({}).value());
    return made;
}

Classifier::Finding Classifier::find(const Reply& reply, SmtpPhase phase) const {
    // Our own words (code 0) are about us: nothing in them is a remote server's.
    if (reply.code != 0) {
        if (const auto first = set_.first_match(reply.to_string())) {
            return {patterns_[*first].category, &patterns_[*first]};
        }
    }
    return {categorize(reply, phase), nullptr};
}

BounceFacts Classifier::classify(const Reply& reply, SmtpPhase phase) const {
    const Category category = find(reply, phase).category;
    return {type_of(category), to_string(category), false};
}

}  // namespace postfleet::bounce
