#include "tree.hpp"

#include <fmt/format.h>

namespace postfleet::config {

const Origin* origin_of(const Config& config, const Shown& shown) {
    const auto found = config.origins.find(shown.path);
    return found == config.origins.end() ? nullptr : &found->second;
}

std::string visible_text(const Config& config, const Shown& shown) {
    const auto reference = config.references.find(shown.path);
    return reference == config.references.end() ? shown.text : yaml_verbatim(reference->second);
}

std::string inline_text(const Config& config, const Shown& shown) {
    if (shown.shape == Shown::Shape::Value) return visible_text(config, shown);
    std::vector<std::string> texts;
    for (const auto& child : shown.children) {
        if (origin_of(config, child) == nullptr) continue;
        auto text = inline_text(config, child);
        texts.push_back(shown.shape == Shown::Shape::List ? text
                                                          : fmt::format("{}: {}", yaml_verbatim(child.name), text));
    }
    const bool is_list = shown.shape == Shown::Shape::List;
    return fmt::format("{}{}{}", is_list ? '[' : '{', fmt::join(texts, ", "), is_list ? ']' : '}');
}

}  // namespace postfleet::config
