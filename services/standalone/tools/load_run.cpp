// run_load: the load as a program: signals, progress bar, report.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "load.hpp"
#include "tool_signals.hpp"

namespace postfleet::tools {

namespace {

constexpr int kBarWidth = 30;
constexpr Duration kRedraw = std::chrono::milliseconds(200);

// One line that is drawn over: how far, how fast, how long still.
class ProgressBar {
public:
    explicit ProgressBar(bool is_on) : is_on_(is_on), start_(steady_clock_now()) {}
    ~ProgressBar() { clear(); }

    void update(const Load& load) {
        const SteadyTime now = steady_clock_now();
        if (!is_on_ || now < next_draw_) return;
        next_draw_ = now + kRedraw;
        const LoadOptions& options = load.options();
        const double seconds = std::chrono::duration<double>(now - start_).count();
        const auto done = static_cast<double>(load.messages_finished());
        const double rate = seconds > 0 ? done / seconds : 0;
        double fraction = 0;
        if (options.messages != 0) fraction = done / static_cast<double>(options.messages);
        if (options.duration > Duration::zero()) {
            fraction = std::max(fraction, seconds / std::chrono::duration<double>(options.duration).count());
        }
        fraction = std::min(fraction, 1.0);
        const auto filled = static_cast<std::size_t>(fraction * kBarWidth);
        const double left = fraction > 0 ? seconds / fraction - seconds : 0;
        fmt::print(stderr, "\r[{}{}] {:3.0f} %  {:.0f} messages  {:.0f}/s  {:.0f} s left   ", std::string(filled, '#'),
                   std::string(kBarWidth - filled, '.'), fraction * 100, done, rate, left);
        std::fflush(stderr);
        is_drawn_ = true;
    }
    void clear() {
        if (std::exchange(is_drawn_, false)) fmt::print(stderr, "\r{:90}\r", "");
    }

private:
    const bool is_on_;
    bool is_drawn_ = false;
    SteadyTime start_;
    SteadyTime next_draw_{};
};

}  // namespace

int run_load(const LoadOptions& options) {
    const BlockedSignals signals;
    Result<std::unique_ptr<Load>> load = Load::open(options);
    if (!load) {
        fmt::print(stderr, "postfleet load: {}\n", load.error().text);
        return 1;
    }
    if ((*load)->sink() != nullptr && !options.json) {
        fmt::print(stderr, "sink listens on {}\n", (*load)->sink_address().to_string());
    }
    ProgressBar bar(options.progress || ::isatty(STDERR_FILENO) == 1);
    LoadReport report = run_to_end(**load, [&](const Load& running) {
        bar.update(running);
        return !signals.wait(Duration::zero());
    });
    bar.clear();
    fmt::print("{}", format_load_report(report, options.json));
    return report.is_good() ? 0 : 1;
}

}  // namespace postfleet::tools
