#include "postfleet/standalone/table.hpp"

#include <catch2/catch.hpp>

using namespace postfleet::standalone;

namespace {

Table queues() {
    Table table({{"QUEUE", Table::Align::Left, 100, true},
                 {"READY", Table::Align::Right, 90},
                 {"BOUNCED", Table::Align::Right, 10},
                 {"STATE", Table::Align::Left, 50, true}});
    table.add_row({{"google/promo-1"}, {"12,345"}, {"0"}, {"paused by root: wrong campaign"}});
    table.add_row({{"x/y"}, {"1"}, {"7"}, {}});
    return table;
}

}  // namespace

TEST_CASE("columns align, numbers to the right, nothing trails") {
    CHECK(queues().render({}) ==
          "QUEUE            READY  BOUNCED  STATE\n"
          "google/promo-1  12,345        0  paused by root: wrong campaign\n"
          "x/y                  1        7\n");
}

TEST_CASE("a narrow terminal shortens the long columns first, then leaves out the least important one") {
    CHECK(queues().render({.width = 51}) ==
          "QUEUE            READY  BOUNCED  STATE\n"
          "google/promo-1  12,345        0  paused by root: w…\n"
          "x/y                  1        7\n");
    CHECK(queues().render({.width = 42}) ==
          "QUEUE            READY  STATE\n"
          "google/promo-1  12,345  paused by root: w…\n"
          "x/y                  1\n");
}

TEST_CASE("the first column stays even where nothing fits") {
    CHECK(queues().render({.width = 3}) == "QUEUE\ngoogle/promo-1\nx/y\n");
}

TEST_CASE("room that is left goes to the first columns that were shortened") {
    Table table({{"A", Table::Align::Left, 10, true}, {"B", Table::Align::Left, 10, true}});
    table.add_row({{std::string(30, 'a')}, {std::string(30, 'b')}});
    CHECK(table.render({.width = 45}) ==
          "A" + std::string(26, ' ') + "B\n" + std::string(24, 'a') + "…  " + std::string(17, 'b') + "…\n");
}

TEST_CASE("colour is outside the widths") {
    Table table({{"A"}, {"B"}});
    table.add_row({{"x", Tone::Bad}, {"y"}});
    CHECK(table.render({.colour = true}) == "\x1b[1mA\x1b[0m  \x1b[1mB\x1b[0m\n\x1b[31mx\x1b[0m  y\n");
    CHECK(table.render({.colour = false}) == "A  B\nx  y\n");
}

TEST_CASE("text of several octets counts by its characters") {
    CHECK(display_width("größe") == 5);
    CHECK(cut("größenordnung", 5) == "größ…");
    CHECK(cut("größe", 5) == "größe");
    CHECK(cut("abc", 0).empty());
}

TEST_CASE("counts, rates and ages read well") {
    CHECK(show_count(0) == "0");
    CHECK(show_count(999) == "999");
    CHECK(show_count(1'234'567) == "1,234,567");
    CHECK(show_rate(0) == "0.0");
    CHECK(show_rate(83.33) == "83.3");
    CHECK(show_rate(12'345.6) == "12,346");
    CHECK(show_age(0.4) == "0s");
    CHECK(show_age(45) == "45s");
    CHECK(show_age(192 * 60) == "3h12m");
    CHECK(show_age(2 * 86'400 + 300) == "2d");
    CHECK(show_age(86'400 + 4 * 3'600 + 59) == "1d4h");
    CHECK(show_age(-3) == "0s");
}
