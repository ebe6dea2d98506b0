#include "postfleet/merge/name_collector.hpp"

#include <catch2/catch.hpp>

namespace postfleet::merge {
namespace {

std::string collected(std::string_view text, std::size_t piece) {
    NameCollector names;
    for (std::size_t at = 0; at < text.size(); at += piece) names.take(text.substr(at, piece));
    std::string all;
    for (const auto& use : names.uses()) all += std::to_string(use.at) + use.name + " ";
    return all;
}

}  // namespace

TEST_CASE("the variables of a text are found with their places, however it is cut") {
    const std::string text = "[A][[b] [c [d1] []\r\n[[[e][*to] [" + std::string(70, 'x') + "] [f]";
    const std::string all = "0a 11d1 22e 25*to 104f ";
    for (std::size_t piece = 1; piece <= text.size(); ++piece) {
        INFO(piece);
        CHECK(collected(text, piece) == all);
    }
}

TEST_CASE("a text of nothing but variables is too much at some point, and costs no more memory from there on") {
    NameCollector names;
    std::string text;
    for (int i = 0; i < 1000; ++i) text += "[a]";
    for (int i = 0; i < 20; ++i) names.take(text);
    CHECK_FALSE(names.is_too_much());
    for (int i = 0; i < 100; ++i) names.take(text);
    CHECK(names.is_too_much());
    CHECK(names.uses().size() == NameCollector::kMaxUses + 1);
}

}  // namespace postfleet::merge
