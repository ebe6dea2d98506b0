#include "reader.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "postfleet/base/text.hpp"

namespace postfleet::config {

namespace {

bool is_name_octet(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

// Edits (insert, remove, replace, swap neighbours) between two words; Damerau-Levenshtein, restricted.
std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::vector<std::size_t>> rows(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
    for (std::size_t i = 0; i <= a.size(); ++i) rows[i][0] = i;
    for (std::size_t j = 0; j <= b.size(); ++j) rows[0][j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t replace = rows[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            std::size_t best = std::min({replace, rows[i - 1][j] + 1, rows[i][j - 1] + 1});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                best = std::min(best, rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    return rows[a.size()][b.size()];
}

bool has_reference(std::string_view text) { return text.find("${") != std::string_view::npos; }

}  // namespace

std::string Problem::to_string() const {
    std::string out;
    if (!origin.file.empty()) out += origin.to_string() + ": ";
    if (!key.empty()) out += key + ": ";
    return out + text;
}

void Reader::report(const Origin& origin, const std::string& path, std::string text) {
    problems_.push_back({origin, path, std::move(text)});
}

void Reader::report_value(const Node& node, const std::string& path, const std::string& what) {
    const bool hidden = has_reference(node.scalar);
    report(node.origin, path,
           fmt::format("'{}'{} {}", printable(node.scalar, 80), hidden ? " (from the environment)" : "", what));
}

bool Reader::has_problem(const std::string& path) const {
    return std::any_of(problems_.begin(), problems_.end(),
                       [&](const Problem& problem) { return problem.key.starts_with(path); });
}

std::span<const Node> Reader::items(const Node& node) {
    if (node.kind == Node::Kind::Sequence) return node.items;
    return {&node, 1};
}

std::optional<std::string> Reader::scalar(const Node& node, const std::string& path, std::string_view expected) {
    switch (node.kind) {
        case Node::Kind::Scalar:
            if (has_reference(node.scalar)) return expand(node, path);
            return node.scalar;
        case Node::Kind::Null:
            report(node.origin, path, fmt::format("has no value; must be {}", expected));
            return std::nullopt;
        case Node::Kind::Sequence:
            report(node.origin, path, fmt::format("is a list; must be {}", expected));
            return std::nullopt;
        case Node::Kind::Mapping:
            report(node.origin, path, fmt::format("is a mapping; must be {}", expected));
            return std::nullopt;
    }
    return std::nullopt;
}

std::optional<std::string> Reader::expand(const Node& node, const std::string& path) {
    const std::string_view text = node.scalar;
    std::string out;
    std::size_t at = 0;
    bool referenced = false;
    while (at < text.size()) {
        const auto dollar = text.find("${", at);
        if (dollar == std::string_view::npos) break;
        if (dollar > at && text[dollar - 1] == '$') {  // "$${": a plain "${"
            out.append(text.substr(at, dollar - 1 - at)).append("${");
            at = dollar + 2;
            continue;
        }
        out.append(text.substr(at, dollar - at));
        const auto end = text.find('}', dollar);
        const std::string name(text.substr(dollar + 2, end == std::string_view::npos ? 0 : end - dollar - 2));
        if (name.empty() || !std::all_of(name.begin(), name.end(), is_name_octet)) {
            report(node.origin, path,
                   fmt::format("'{}' has a broken reference; write ${{NAME}}, or $${{ for a plain ${{",
                               printable(text, 80)));
            return std::nullopt;
        }
        const auto value = environment_.variable ? environment_.variable(name) : std::nullopt;
        if (!value) {
            report(node.origin, path, fmt::format("the environment variable {} is not set", name));
            return std::nullopt;
        }
        out += *value;
        referenced = true;
        at = end + 1;
    }
    out.append(text.substr(at));
    if (referenced) config_.references[path] = node.scalar;
    return out;
}

void Reader::report_duplicate(const Node::Member& again, const Origin& first, const std::string& path) {
    report(again.origin, path, fmt::format("is defined twice; the first time at {}", first.to_string()));
}

std::string Reader::absolute_path(const std::string& path) const {
    if (path.empty() || path.front() == '/') return path;
    std::string_view rest = path;
    while (rest.starts_with("./")) rest.remove_prefix(2);
    std::string out = environment_.directory;
    if (!out.ends_with('/')) out += '/';
    return out.append(rest);
}

std::string nearest(std::string_view word, std::span<const std::string> words) {
    constexpr std::size_t kLongestWord = 64;
    if (word.size() > kLongestWord) return {};
    const auto folded = [](std::string_view text) {
        std::string out = to_ascii_lower(text);
        std::replace(out.begin(), out.end(), '-', '_');
        return out;
    };
    const auto lower = folded(word);
    std::string best;
    std::size_t best_distance = std::max<std::size_t>(1, word.size() / 4) + 1;
    for (const auto& candidate : words) {
        // Every octet more or less is an edit, so most candidates need no closer look.
        const auto longer = std::max(word.size(), candidate.size()), shorter = std::min(word.size(), candidate.size());
        if (longer - shorter >= best_distance) continue;
        const auto distance = edit_distance(lower, folded(candidate));
        if (distance < best_distance && distance < candidate.size()) {
            best_distance = distance;
            best = candidate;
        }
    }
    return best;
}

std::string suggestion(std::string_view word, std::span<const std::string> words) {
    const auto near = nearest(word, words);
    return near.empty() ? std::string{} : fmt::format("; did you mean '{}'?", near);
}

std::string yaml_text(std::string_view text) {
    std::string escaped(text);
    for (std::size_t at = 0; (at = escaped.find("${", at)) != std::string::npos; at += 3) escaped.insert(at, 1, '$');
    return yaml_verbatim(escaped);
}

std::string yaml_verbatim(std::string_view text) {
    const bool plain_first = !text.empty() && (is_name_octet(text.front()) || text.front() == '/');
    const bool plain = plain_first && std::all_of(text.begin(), text.end(), [](char c) {
                           return is_name_octet(c) || c == '.' || c == '-' || c == '/' || c == '+' || c == '@';
                       });
    static constexpr std::string_view kSpecial[] = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"};
    const bool special = std::any_of(std::begin(kSpecial), std::end(kSpecial),
                                     [&](std::string_view word) { return ascii_iequals(word, text); });
    if (plain && !special) return std::string(text);
    std::string out = "\"";
    for (const char c : text) {
        const auto octet = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (octet < 0x20 || octet == 0x7f) {
            out += fmt::format("\\x{:02x}", octet);
        } else {
            out += c;
        }
    }
    return out + '"';
}

}  // namespace postfleet::config
