#include "postfleet/standalone/table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "postfleet/base/require.hpp"

namespace postfleet::standalone {
namespace {

constexpr std::size_t kGap = 2;
constexpr std::size_t kLeastShrunk = 18;

const char* escape_of(Tone tone) {
    switch (tone) {
        case Tone::Plain: return "";
        case Tone::Faint: return "\x1b[2m";
        case Tone::Good: return "\x1b[32m";
        case Tone::Warning: return "\x1b[33m";
        case Tone::Bad: return "\x1b[31m";
        case Tone::Strong: return "\x1b[1m";
    }
    return "";
}

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

using Widths = std::vector<std::size_t>;  // 0: the column is not shown

std::size_t total_of(const Widths& widths) {
    std::size_t sum = 0;
    for (const std::size_t width : widths) sum += width == 0 ? 0 : width + kGap;
    return sum == 0 ? 0 : sum - kGap;
}

// Makes long columns narrow, leaves out what still does not fit, and gives the rest of the room back.
Widths fit(const Widths& natural, const std::vector<Table::Column>& columns, std::size_t room) {
    if (total_of(natural) <= room) return natural;
    Widths widths = natural;
    for (std::size_t i = 0; i < widths.size(); ++i) {
        if (columns[i].shrinks) widths[i] = std::min(widths[i], kLeastShrunk);
    }
    while (total_of(widths) > room) {
        std::size_t least = columns.size();
        for (std::size_t i = 1; i < columns.size(); ++i) {  // the first column names the row: it stays
            if (widths[i] != 0 && (least == columns.size() || columns[i].keep < columns[least].keep)) least = i;
        }
        if (least == columns.size()) break;
        widths[least] = 0;
    }
    for (std::size_t i = 0; i < widths.size() && total_of(widths) < room; ++i) {
        if (widths[i] != 0) widths[i] = std::min(natural[i], widths[i] + room - total_of(widths));
    }
    return widths;
}

}  // namespace

std::string paint(std::string_view text, Tone tone, const Style& style) {
    if (!style.colour || tone == Tone::Plain || text.empty()) return std::string(text);
    return fmt::format("{}{}\x1b[0m", escape_of(tone), text);
}

std::size_t display_width(std::string_view text) {
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return !is_continuation(c); }));
}

std::string cut(std::string_view text, std::size_t width) {
    if (display_width(text) <= width) return std::string(text);
    if (width == 0) return {};
    std::size_t end = 0, seen = 0;
    while (end < text.size()) {
        if (!is_continuation(text[end]) && seen++ == width - 1) break;
        ++end;
    }
    return fmt::format("{}…", text.substr(0, end));
}

void Table::add_row(std::vector<Cell> cells) {
    require(cells.size() == columns_.size());
    rows_.push_back(std::move(cells));
}

std::string Table::render(const Style& style) const {
    Widths widths;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        std::size_t width = display_width(columns_[i].title);
        for (const auto& row : rows_) width = std::max(width, display_width(row[i].text));
        widths.push_back(width);
    }
    if (style.width > 0) widths = fit(widths, columns_, style.width);
    const auto last_shown = static_cast<std::size_t>(
        widths.rend() - std::find_if(widths.rbegin(), widths.rend(), [](std::size_t w) { return w != 0; }));

    std::string out;
    const auto put = [&](std::size_t i, std::string_view text, Tone tone) {
        if (widths[i] == 0) return;
        const std::string shown = cut(text, widths[i]);
        const std::string padding(widths[i] - display_width(shown), ' ');
        const bool right = columns_[i].align == Align::Right;
        if (right) out += padding;
        out += paint(shown, tone, style);
        if (i + 1 == last_shown) return;
        if (!right) out += padding;
        out.append(kGap, ' ');
    };
    for (std::size_t i = 0; i < columns_.size(); ++i) put(i, columns_[i].title, Tone::Strong);
    out += '\n';
    for (const auto& row : rows_) {
        for (std::size_t i = 0; i < columns_.size(); ++i) put(i, row[i].text, row[i].tone);
        // Blanks at the end of a line are in the way of whoever pipes it on.
        while (out.ends_with(' ')) out.pop_back();
        out += '\n';
    }
    return out;
}

std::string show_count(std::uint64_t count) {
    const std::string digits = std::to_string(count);
    std::string text;
    for (std::size_t i = 0; i < digits.size(); ++i) {
        if (i > 0 && (digits.size() - i) % 3 == 0) text.push_back(',');
        text.push_back(digits[i]);
    }
    return text;
}

std::string show_rate(double per_second) {
    if (per_second >= 1'000) return show_count(static_cast<std::uint64_t>(per_second + 0.5));
    return fmt::format("{:.1f}", per_second);
}

std::string show_size(std::uint64_t octets) {
    constexpr std::array<const char*, 5> kUnits{"KiB", "MiB", "GiB", "TiB", "PiB"};
    if (octets < 1'024) return fmt::format("{} octets", octets);
    double size = static_cast<double>(octets) / 1'024;
    std::size_t unit = 0;
    // 1023.95 would be shown as 1024.0.
    while (size >= 1'023.95 && unit + 1 < kUnits.size()) {
        size /= 1'024;
        ++unit;
    }
    return size < 99.95 ? fmt::format("{:.1f} {}", size, kUnits[unit]) : fmt::format("{:.0f} {}", size, kUnits[unit]);
}

std::string show_age(double seconds) {
    struct Unit {
        std::uint64_t seconds;
        char letter;
    };
    constexpr std::array<Unit, 4> kUnits{{{86'400, 'd'}, {3'600, 'h'}, {60, 'm'}, {1, 's'}}};
    const auto left = static_cast<std::uint64_t>(std::max(seconds, 0.0));
    for (std::size_t i = 0; i < kUnits.size(); ++i) {
        const std::uint64_t n = left / kUnits[i].seconds;
        if (n == 0) continue;
        const std::uint64_t rest = left % kUnits[i].seconds;
        const bool alone = i + 1 == kUnits.size() || rest < kUnits[i + 1].seconds;
        if (alone) return fmt::format("{}{}", n, kUnits[i].letter);
        return fmt::format("{}{}{}{}", n, kUnits[i].letter, rest / kUnits[i + 1].seconds, kUnits[i + 1].letter);
    }
    return "0s";
}

}  // namespace postfleet::standalone
