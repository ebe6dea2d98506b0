#include "postfleet/runtime/main_loop.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

namespace postfleet::runtime {
namespace {

constexpr auto kTick = std::chrono::seconds(1);

::sigset_t our_signals() {
    ::sigset_t set;
    ::sigemptyset(&set);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&set, signal);
    return set;
}

}  // namespace

Result<std::unique_ptr<MainLoop>> MainLoop::create() {
    std::signal(SIGPIPE, SIG_IGN);
    const ::sigset_t set = our_signals();
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    const int signals = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    const int wake = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (signals < 0 || wake < 0) {
        const int error = errno;
        if (signals >= 0) ::close(signals);
        return Error{ErrorKind::ResourceExhausted, std::string("cannot watch for signals: ") + std::strerror(error)};
    }
    return std::unique_ptr<MainLoop>(new MainLoop(signals, wake));
}

MainLoop::~MainLoop() {
    ::close(signals_);
    ::close(wake_);
}

void MainLoop::run(Hooks hooks) {
    hooks_ = std::move(hooks);
    next_tick_ = steady_clock_now() + kTick;
    while (stops_ == 0) {
        turn(next_tick_);
        tick_if_due();
    }
}

MainLoop::Awaited MainLoop::await(SteadyTime deadline, const std::function<bool()>& finished) {
    const int stops_before = std::max(stops_, 1);
    for (;;) {
        if (finished()) return Awaited::Finished;
        if (stops_ > stops_before) return Awaited::Hurried;
        if (steady_clock_now() >= deadline) return Awaited::TimedOut;
        turn(std::min(deadline, next_tick_));
        tick_if_due();
    }
}

void MainLoop::tick_if_due() {
    const SteadyTime now = steady_clock_now();
    if (now < next_tick_) return;
    next_tick_ = now + kTick;
    if (hooks_.on_tick) hooks_.on_tick();
}

void MainLoop::post(Callback task) {
    {
        std::lock_guard lock(mutex_);
        tasks_.push_back(std::move(task));
    }
    [[maybe_unused]] const int written = ::eventfd_write(wake_, 1);
}

void MainLoop::request_stop() {
    {
        std::lock_guard lock(mutex_);
        stop_requested_ = true;
    }
    [[maybe_unused]] const int written = ::eventfd_write(wake_, 1);
}

void MainLoop::turn(SteadyTime until) {
    std::array<::pollfd, 2> polled{{{signals_, POLLIN, 0}, {wake_, POLLIN, 0}}};
    const Duration left = std::clamp<Duration>(until - steady_clock_now(), Duration::zero(), std::chrono::hours(1));
    const ::timespec wait{std::chrono::duration_cast<std::chrono::seconds>(left).count(),
                          (left % std::chrono::seconds(1)).count()};
    if (::ppoll(polled.data(), polled.size(), &wait, nullptr) <= 0) return;
    if (polled[0].revents != 0) read_signals();
    if (polled[1].revents != 0) run_tasks();
}

void MainLoop::read_signals() {
    ::signalfd_siginfo signal{};
    while (::read(signals_, &signal, sizeof signal) == static_cast<::ssize_t>(sizeof signal)) {
        if (signal.ssi_signo == SIGHUP) {
            if (stops_ == 0 && hooks_.on_reload) hooks_.on_reload();
        } else {
            ++stops_;
            if (stop_reason_.empty()) stop_reason_ = signal.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT";
        }
    }
}

void MainLoop::run_tasks() {
    ::eventfd_t ignored = 0;
    ::eventfd_read(wake_, &ignored);
    std::vector<Callback> tasks;
    {
        std::lock_guard lock(mutex_);
        tasks.swap(tasks_);
        if (std::exchange(stop_requested_, false)) {
            ++stops_;
            if (stop_reason_.empty()) stop_reason_ = "a request";
        }
    }
    for (Callback& task : tasks) task();
}

}  // namespace postfleet::runtime
