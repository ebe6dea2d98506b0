// AskWindow: how many DNS questions may be open at the same time, so that an outage of the name servers is neither
// made worse nor ends in a stampede.
//
//   open: kWidest ──kOutageAfter failures in a row──▶ probing: kProbes ──an answer──▶ grows by one for every answer
//                                                                                     (twofold each round trip)
//
// Any answer ends a run of failures, so that some domains whose own servers are broken do not slow down the rest.
//
// Threads: externally locked.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace postfleet::sender {

class AskWindow {
public:
    static constexpr std::size_t kWidest = 500;
    static constexpr std::size_t kProbes = 8;
    static constexpr std::size_t kOutageAfter = 50;

    enum class Answer : std::uint8_t { Came, Failed, NotAsked };

    bool may_ask() const { return open_ < width_; }
    void on_asked() { ++open_; }
    void on_answer(Answer answer) {
        --open_;
        if (answer == Answer::Failed) {
            if (++failures_in_a_row_ >= kOutageAfter) width_ = kProbes;
        } else if (answer == Answer::Came) {
            failures_in_a_row_ = 0;
            width_ = std::min(kWidest, width_ + 1);
        }
    }
    std::size_t open() const { return open_; }
    std::size_t width() const { return width_; }

private:
    std::size_t open_ = 0;
    std::size_t width_ = kWidest;
    std::size_t failures_in_a_row_ = 0;
};

}  // namespace postfleet::sender
