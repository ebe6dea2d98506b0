#include "postfleet/config/diff.hpp"

#include <fmt/format.h>

#include <map>
#include <utility>

#include "tree.hpp"

namespace postfleet::config {

namespace {

// A name and which one of several of the same name: two general shaping rules, two equal bindings.
using Identity = std::pair<std::string, int>;

std::vector<Identity> identities(const std::vector<Shown>& children) {
    std::map<std::string, int> counts;
    std::vector<Identity> out;
    for (const auto& child : children) out.emplace_back(child.name, counts[child.name]++);
    return out;
}

class Comparison {
public:
    Comparison(const Config& before, const Config& now) : before_(before), now_(now) {}

    void compare_children(const Shown& before, const Shown& now, const std::string& path, bool needs_restart) {
        const auto old_names = identities(before.children);
        const auto new_names = identities(now.children);
        std::map<Identity, const Shown*> old_children;
        for (std::size_t i = 0; i < old_names.size(); ++i) old_children[old_names[i]] = &before.children[i];

        std::vector<Identity> common;
        for (std::size_t i = 0; i < new_names.size(); ++i) {
            const auto& child = now.children[i];
            const auto at = path_of(path, now.shape, new_names[i], has_reference(now_, child));
            const auto known = old_children.find(new_names[i]);
            const bool restart = needs_restart || child.needs_restart;
            if (known == old_children.end()) {
                add({Change::Kind::Added, at, "", inline_text(now_, child), place(now_, child), restart});
                continue;
            }
            compare(*known->second, child, at, restart);
            old_children.erase(known);
            common.push_back(new_names[i]);
        }
        for (std::size_t i = 0; i < old_names.size(); ++i) {
            if (!old_children.contains(old_names[i])) continue;
            const auto& child = before.children[i];
            add({Change::Kind::Removed, path_of(path, before.shape, old_names[i], has_reference(before_, child)),
                 inline_text(before_, child), "", place(before_, child), needs_restart || child.needs_restart});
        }
        if (now.shape == Shown::Shape::List) check_order(old_names, common, path, place(now_, now), needs_restart);
    }

    std::vector<Change> changes;

private:
    void compare(const Shown& before, const Shown& now, const std::string& path, bool needs_restart) {
        if (now.shape != Shown::Shape::Value) {
            compare_children(before, now, path, needs_restart);
            return;
        }
        if (before.text == now.text) return;
        auto old_text = visible_text(before_, before);
        auto new_text = visible_text(now_, now);
        if (old_text == new_text) new_text += " (another value)";
        add({Change::Kind::Changed, path, std::move(old_text), std::move(new_text), place(now_, now), needs_restart});
    }

    void check_order(const std::vector<Identity>& old_names, const std::vector<Identity>& common,
                     const std::string& path, const Origin& origin, bool needs_restart) {
        std::size_t next = 0;
        for (const auto& name : old_names) {
            if (next < common.size() && name == common[next]) ++next;
        }
        if (next != common.size()) add({Change::Kind::Reordered, path, "", "", origin, needs_restart});
    }

    // Whether something in it came from the environment.
    static bool has_reference(const Config& config, const Shown& shown) {
        const auto at = config.references.lower_bound(shown.path);
        return at != config.references.end() && at->first.starts_with(shown.path);
    }

    static std::string path_of(const std::string& path, Shown::Shape shape, const Identity& child, bool is_hidden) {
        if (shape != Shown::Shape::List) return path.empty() ? child.first : path + "." + child.first;
        const auto name = is_hidden ? "…" : child.first.empty() ? "general" : child.first;
        return child.second == 0 ? fmt::format("{}[{}]", path, name)
                                 : fmt::format("{}[{} #{}]", path, name, child.second + 1);
    }

    static Origin place(const Config& config, const Shown& shown) {
        const auto* origin = origin_of(config, shown);
        return origin == nullptr ? Origin{} : *origin;
    }

    void add(Change change) { changes.push_back(std::move(change)); }

    const Config& before_;
    const Config& now_;
};

}  // namespace

std::string Change::to_string() const {
    std::string out = path + ": ";
    switch (kind) {
        case Kind::Changed: out += before + " → " + after; break;
        case Kind::Added: out += "added " + after; break;
        case Kind::Removed: out += "removed " + before; break;
        case Kind::Reordered: out += "in another order"; break;
    }
    if (!origin.file.empty() && kind != Kind::Removed) out += fmt::format(" ({}:{})", origin.file, origin.line);
    return out;
}

std::vector<Change> diff(const Config& before, const Config& now) {
    Comparison comparison(before, now);
    Shown old_root{.shape = Shown::Shape::Mapping, .children = effective_tree(before)};
    Shown new_root{.shape = Shown::Shape::Mapping, .children = effective_tree(now)};
    comparison.compare_children(old_root, new_root, "", false);
    return std::move(comparison.changes);
}

}  // namespace postfleet::config
