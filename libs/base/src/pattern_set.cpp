#include "postfleet/base/pattern_set.hpp"

#include <algorithm>

#include "postfleet/base/text.hpp"

namespace postfleet {

namespace {

std::uint32_t key_at(const char* octets) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(octets[0])) << 16 |
           static_cast<std::uint32_t>(static_cast<unsigned char>(octets[1])) << 8 |
           static_cast<std::uint32_t>(static_cast<unsigned char>(octets[2]));
}

std::size_t hash_of(std::uint32_t key) { return (key * 2654435761u) >> 18; }  // 14 bits

}  // namespace

Result<PatternSet> PatternSet::compile(std::span<const std::string> texts) {
    PatternSet set;
    set.patterns_.reserve(texts.size());
    for (const std::string& text : texts) {
        auto pattern = Pattern::compile(text);
        if (!pattern) return pattern.error();
        set.index(static_cast<std::uint32_t>(set.patterns_.size()), text);
        set.patterns_.push_back(std::move(*pattern));
    }
    std::stable_sort(set.literals_.begin(), set.literals_.end(),
                     [](const Literal& a, const Literal& b) { return a.key < b.key; });
    return set;
}

void PatternSet::index(std::uint32_t number, std::string_view text) {
    std::vector<std::string> literals = required_literals(text);
    if (literals.empty()) always_.push_back(number);
    for (std::string& literal : literals) {
        const std::uint32_t key = key_at(literal.data());
        keys_.set(hash_of(key));
        literals_.push_back({key, number, std::move(literal)});
    }
}

std::vector<std::uint32_t> PatternSet::candidates(std::string_view subject) const {
    const std::string lower = to_ascii_lower(subject.substr(0, Pattern::kMaxSubjectOctets));
    const std::string_view text = lower;
    std::vector<std::uint32_t> found = always_;
    for (std::size_t at = 0; at + 3 <= text.size(); ++at) {
        const std::uint32_t key = key_at(text.data() + at);
        if (!keys_.test(hash_of(key))) continue;
        auto literal = std::lower_bound(literals_.begin(), literals_.end(), key,
                                        [](const Literal& a, std::uint32_t b) { return a.key < b; });
        for (; literal != literals_.end() && literal->key == key; ++literal) {
            if (text.substr(at).starts_with(literal->text)) found.push_back(literal->pattern);
        }
    }
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    return found;
}

std::optional<std::size_t> PatternSet::first_match(std::string_view subject) const {
    std::optional<std::size_t> first;
    visit_matches(subject, [&](std::size_t number) {
        first = number;
        return false;
    });
    return first;
}

}  // namespace postfleet
