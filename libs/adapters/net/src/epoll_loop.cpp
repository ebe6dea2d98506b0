#include "postfleet/net/epoll_loop.hpp"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "postfleet/base/require.hpp"
#include "tcp_stream.hpp"

namespace postfleet::net {

namespace {

constexpr int kEventsPerTurn = 256;
constexpr std::uint64_t kWakeEvent = UINT64_MAX;
// Tasks that tasks post run in the same turn, so that a chain of hand-overs does not cost a system call
// per link, but only so many times: sockets must not wait for a task that reposts itself.
constexpr int kTaskRoundsPerTurn = 8;

std::uint64_t pack(PollId id) { return (static_cast<std::uint64_t>(id.generation) << 32) | id.slot; }
PollId unpack(std::uint64_t packed) {
    return {static_cast<std::uint32_t>(packed), static_cast<std::uint32_t>(packed >> 32)};
}

// epoll_pwait2 waits to the nanosecond, which pacing needs. Kernels before 5.11, sandboxes that filter calls by
// name and Valgrind do not have it; there a wait ends up to a millisecond late, which slows a rate and never exceeds it.
int wait_for_events(int epoll, std::array<epoll_event, kEventsPerTurn>& events, Duration wait) {
    static std::atomic<bool> in_milliseconds{false};
    const bool for_ever = wait == Duration::max();
    if (!in_milliseconds.load(std::memory_order_relaxed)) {
        timespec timeout{};
        if (!for_ever) {
            timeout.tv_sec = static_cast<time_t>(wait.count() / 1'000'000'000);
            timeout.tv_nsec = static_cast<long>(wait.count() % 1'000'000'000);
        }
        const int ready = ::epoll_pwait2(epoll, events.data(), kEventsPerTurn, for_ever ? nullptr : &timeout, nullptr);
        if (ready >= 0 || (errno != ENOSYS && errno != EPERM)) return ready;
        in_milliseconds.store(true, std::memory_order_relaxed);
    }
    constexpr Duration kLongest = std::chrono::hours(24);
    const int milliseconds =
        for_ever ? -1
                 : static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(std::min(wait, kLongest)).count());
    return ::epoll_wait(epoll, events.data(), kEventsPerTurn, milliseconds);
}

void count(std::atomic<std::uint64_t>& counter, std::uint64_t n) {
    counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

}  // namespace

Result<std::unique_ptr<EpollLoop>> EpollLoop::create(unsigned shard) {
    UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
    UniqueFd wake(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    epoll_event event{};
    // Edge-triggered: every write is an edge of its own, so the counter never has to be read.
    event.events = EPOLLIN | EPOLLET;
    event.data.u64 = kWakeEvent;
    if (!epoll || !wake || ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) != 0) {
        return Error{
            ErrorKind::ResourceExhausted,
            fmt::format("event loop {}: {}; raise the limit of open files (ulimit -n)", shard, std::strerror(errno))};
    }
    return std::unique_ptr<EpollLoop>(new EpollLoop(shard, std::move(epoll), std::move(wake)));
}

EpollLoop::EpollLoop(unsigned shard, UniqueFd epoll, UniqueFd wake)
    : shard_(shard),
      epoll_(std::move(epoll)),
      wake_(std::move(wake)),
      scratch_(std::make_unique_for_overwrite<char[]>(kScratchOctets)),
      now_(steady_clock_now()) {}

EpollLoop::~EpollLoop() { require(runner_.load() == std::thread::id()); }

void EpollLoop::run() {
    require(runner_.load() == std::thread::id());
    runner_.store(std::this_thread::get_id());
    while (!std::exchange(stopping_, false)) run_turn(Duration::max());
    runner_.store(std::thread::id());
}

void EpollLoop::stop() {
    post([this] { stopping_ = true; });
}

Duration EpollLoop::time_to_wait(Duration longest) {
    if (!ready_.empty() || !local_tasks_.empty() || !inbox_.is_empty()) return Duration::zero();
    if (timers_.next_due() == SteadyTime::max()) return longest;
    return std::clamp<Duration>(timers_.next_due() - steady_clock_now(), Duration::zero(), longest);
}

void EpollLoop::run_turn(Duration longest) {
    Duration wait = time_to_wait(longest);
    if (wait > Duration::zero() && !inbox_.prepare_to_sleep()) wait = Duration::zero();
    std::array<epoll_event, kEventsPerTurn> events;
    const int ready = wait_for_events(epoll_.get(), events, wait);
    require(ready >= 0 || errno == EINTR);
    if (wait > Duration::zero()) inbox_.awake();
    now_ = steady_clock_now();
    wall_is_read_ = false;
    count(turns_, 1);
    count(events_, static_cast<std::uint64_t>(std::max(ready, 0)));

    for (const epoll_event& event : std::span(events).first(static_cast<std::size_t>(std::max(ready, 0)))) {
        if (event.data.u64 != kWakeEvent) dispatch(unpack(event.data.u64), event.events);
    }
    dispatch_ready();
    run_due_timers();
    run_tasks();
}

void EpollLoop::dispatch(PollId id, std::uint32_t epoll_events) {
    if (is_watching(id)) slots_[id.slot].pollable->on_events(epoll_events);
}

void EpollLoop::dispatch_ready() {
    // What they ask for now is for the next turn.
    ready_now_.swap(ready_);
    for (const PollId id : ready_now_) dispatch(id, 0);
    ready_now_.clear();
}

void EpollLoop::run_due_timers() {
    // A timer that sets another one for "now" gets it in the next turn.
    for (std::size_t left = timers_.size(); left > 0; --left) {
        Callback task = timers_.take_due(now_);
        if (!task) break;
        task();
    }
}

void EpollLoop::run_tasks() {
    for (int round = 0; round < kTaskRoundsPerTurn; ++round) {
        if (local_tasks_.empty() && inbox_.is_empty()) return;
        for (const bool from_inbox : {true, false}) {
            if (from_inbox) {
                if (inbox_.is_empty()) continue;
                inbox_.take(running_tasks_);
            } else {
                running_tasks_.swap(local_tasks_);
            }
            for (Callback& task : running_tasks_) task();
            count(tasks_, running_tasks_.size());
            running_tasks_.clear();
        }
    }
}

void EpollLoop::post(Callback task) {
    if (runner_.load(std::memory_order_relaxed) == std::this_thread::get_id()) {
        local_tasks_.push_back(std::move(task));
        return;
    }
    if (inbox_.push(std::move(task))) {
        wakeups_.fetch_add(1, std::memory_order_relaxed);
        const std::uint64_t one = 1;
        const auto written = ::write(wake_.get(), &one, sizeof one);
        require(written == sizeof one);
    }
}

TimerId EpollLoop::schedule_at(SteadyTime when, Callback task) { return timers_.insert(when, std::move(task)); }

void EpollLoop::cancel(TimerId timer) { timers_.cancel(timer); }

WallTime EpollLoop::wall_now() const {
    if (!wall_is_read_) {
        wall_now_ = clock_.read(wall_clock_now(), steady_clock_with_suspend());
        wall_is_read_ = true;
    }
    return wall_now_;
}

bool EpollLoop::is_current_thread() const {
    const std::thread::id runner = runner_.load(std::memory_order_relaxed);
    return runner == std::this_thread::get_id() || runner == std::thread::id();
}

std::unique_ptr<Stream> EpollLoop::connect(const ConnectRequest& request, StreamHandler& handler) {
    return TcpStream::connect(*this, request, handler);
}

PollId EpollLoop::take_slot(Pollable& pollable) {
    std::uint32_t index;
    if (free_slots_.empty()) {
        index = static_cast<std::uint32_t>(slots_.size());
        slots_.emplace_back();
    } else {
        index = free_slots_.back();
        free_slots_.pop_back();
    }
    slots_[index].pollable = &pollable;
    return {index, slots_[index].generation};
}

PollId EpollLoop::watch_nothing(Pollable& pollable) { return take_slot(pollable); }

Result<PollId> EpollLoop::watch(int fd, std::uint32_t epoll_events, Pollable& pollable) {
    const PollId id = take_slot(pollable);
    epoll_event event{};
    event.events = epoll_events;
    event.data.u64 = pack(id);
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
        const int error = errno;
        unwatch(id, -1);
        return Error{ErrorKind::ResourceExhausted,
                     fmt::format("epoll: {}; raise fs.epoll.max_user_watches", std::strerror(error))};
    }
    return id;
}

void EpollLoop::unwatch(PollId id, int fd) {
    if (!is_watching(id)) return;
    if (fd >= 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
    Slot& slot = slots_[id.slot];
    slot.pollable = nullptr;
    if (++slot.generation == 0) slot.generation = 1;
    free_slots_.push_back(id.slot);
}

EpollLoop::Statistics EpollLoop::statistics() const {
    return {turns_.load(std::memory_order_relaxed), events_.load(std::memory_order_relaxed),
            tasks_.load(std::memory_order_relaxed), wakeups_.load(std::memory_order_relaxed)};
}

}  // namespace postfleet::net
