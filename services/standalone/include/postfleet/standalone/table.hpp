// Table: rows for people: aligned, cut to the terminal, with colour only where it helps.
//
// Too wide for the style's width: shrinking columns give way first, then whole columns, those with the lowest
// `keep` before the others. Without a width (output into a file or a pipe) nothing is cut.
// Threads: a value type. Units: columns of a terminal; a code point counts as one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace postfleet::standalone {

struct Style {
    unsigned width = 0;  // 0: unlimited
    bool colour = false;
};

enum class Tone { Plain, Faint, Good, Warning, Bad, Strong };
std::string paint(std::string_view text, Tone tone, const Style& style);

class Table final {
public:
    enum class Align { Left, Right };
    struct Column {
        std::string title;
        Align align = Align::Left;
        int keep = 10;  // which columns go last when there is no room
        bool shrinks = false;
    };
    struct Cell {
        std::string text = {};
        Tone tone = Tone::Plain;
    };

    explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
    void add_row(std::vector<Cell> cells);
    std::size_t rows() const { return rows_.size(); }
    // With a line of titles; ends with a line end.
    std::string render(const Style& style) const;

private:
    std::vector<Column> columns_;
    std::vector<std::vector<Cell>> rows_;
};

std::size_t display_width(std::string_view text);
// Cut to `width` with an ellipsis where something is missing.
std::string cut(std::string_view text, std::size_t width);

// "12,345"
std::string show_count(std::uint64_t count);
// "83.3", "1,204"
std::string show_rate(double per_second);
// "73.4 GiB", "12 MiB", "512 octets"
std::string show_size(std::uint64_t octets);
// At most two units: "3h12m", "2d4h", "45s", "0s"
std::string show_age(double seconds);

}  // namespace postfleet::standalone
