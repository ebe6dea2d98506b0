#include "ask_window.hpp"

#include <catch2/catch.hpp>

using namespace postfleet::sender;
using Answer = AskWindow::Answer;

namespace {

// As many questions as may be, then one answer to each.
std::size_t round_trip(AskWindow& window, Answer answer) {
    while (window.may_ask()) window.on_asked();
    const std::size_t asked = window.open();
    for (std::size_t i = 0; i < asked; ++i) window.on_answer(answer);
    return asked;
}

}  // namespace

TEST_CASE("an outage leaves a few probes, and after it questions come back step by step", "[F50]") {
    AskWindow window;
    CHECK(round_trip(window, Answer::Came) == AskWindow::kWidest);
    CHECK(round_trip(window, Answer::Failed) == AskWindow::kWidest);
    for (int i = 0; i < 10; ++i) CHECK(round_trip(window, Answer::Failed) == AskWindow::kProbes);
    std::size_t before = round_trip(window, Answer::Came);
    while (before < AskWindow::kWidest) {
        const std::size_t next = round_trip(window, Answer::Came);
        CHECK(next <= 2 * before);
        CHECK(next > before);
        before = next;
    }
}

TEST_CASE("domains whose own servers are broken are no outage") {
    AskWindow window;
    for (int i = 0; i < 10'000; ++i) {
        window.on_asked();
        window.on_answer(i % 20 == 0 ? Answer::Came : Answer::Failed);
    }
    CHECK(window.width() == AskWindow::kWidest);
}

TEST_CASE("answers that need no name server say nothing of them") {
    AskWindow window;
    for (std::size_t i = 0; i < 3 * AskWindow::kOutageAfter; ++i) {
        window.on_asked();
        window.on_answer(i % 2 == 0 ? Answer::Failed : Answer::NotAsked);
    }
    CHECK(window.width() == AskWindow::kProbes);
    CHECK(window.open() == 0);
}
