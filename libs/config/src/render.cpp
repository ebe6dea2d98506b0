#include "postfleet/config/render.hpp"

#include <fmt/format.h>

#include "tree.hpp"

namespace postfleet::config {

namespace {

constexpr std::size_t kCommentColumn = 56;

class Renderer {
public:
    explicit Renderer(const Config& config) : config_(config) {}

    // `prefix` stands before the first child instead of the indentation: "  - ".
    void render(const std::vector<Shown>& children, std::size_t indent, std::string prefix = {}) {
        for (const auto& child : children) {
            auto line = prefix.empty() ? std::string(indent, ' ') : std::exchange(prefix, {});
            line += yaml_verbatim(child.name) + ":";
            if (child.shape == Shown::Shape::Value) {
                write(line + " " + visible_text(config_, child), child);
            } else if (child.children.empty()) {
                write(line + " {}", child);
            } else {
                out += line + "\n";
                if (child.shape == Shown::Shape::Mapping) render(child.children, indent + 2);
                else
                    for (const auto& element : child.children)
                        render(element.children, indent + 4, std::string(indent + 2, ' ') + "- ");
            }
        }
    }

    std::string out;

private:
    void write(std::string line, const Shown& shown) {
        const auto* origin = origin_of(config_, shown);
        const auto comment =
            origin == nullptr ? std::string("default") : fmt::format("{}:{}", origin->file, origin->line);
        out += fmt::format("{:<{}}  # {}\n", line, kCommentColumn, comment);
    }

    const Config& config_;
};

}  // namespace

std::string render(const Config& config) {
    Renderer renderer(config);
    renderer.render(effective_tree(config), 0);
    return fmt::format("# The effective configuration, version {}.\n", config.version) + renderer.out;
}

}  // namespace postfleet::config
