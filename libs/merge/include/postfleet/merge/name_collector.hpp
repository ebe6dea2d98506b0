// NameCollector: which variables a text uses, and where, while it arrives in pieces.
//
// A text with more than kMaxUses uses is_too_much(), and what comes then is not remembered.
// Threads: confined. Units: octets from the beginning of the text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace postfleet::merge {

class NameCollector final {
public:
    static constexpr std::size_t kMaxUses = 20'000;

    struct Use {
        std::uint64_t at = 0;
        std::string name;  // in lower case
    };

    void take(std::string_view piece);

    const std::vector<Use>& uses() const { return uses_; }
    bool is_too_much() const { return uses_.size() > kMaxUses; }

private:
    void scan(std::string_view text);

    std::uint64_t at_ = 0;  // where `rest_` begins
    std::string rest_;      // may be the beginning of a name
    std::vector<Use> uses_;
};

}  // namespace postfleet::merge
