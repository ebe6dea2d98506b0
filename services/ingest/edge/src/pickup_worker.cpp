#include "pickup_worker.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "postfleet/base/text.hpp"

namespace postfleet::ingest {
namespace {

// Apart from the numbers of the shards; nothing looks it up.
constexpr unsigned kLoopNumber = 1'000'000;

Counter& files(Metrics& metrics, const std::string& pickup, const char* result) {
    return metrics.counter("postfleet_pickup_files_total", "Files of pickup directories, by what became of them.",
                           {{"pickup", pickup}, {"result", result}});
}

}  // namespace

PickupCounters::PickupCounters(Metrics& metrics, const std::string& pickup)
    : accepted(files(metrics, pickup, "accepted")),
      bad(files(metrics, pickup, "bad")),
      known(files(metrics, pickup, "known")),
      recovered(metrics.counter("postfleet_pickup_recovered_files_total",
                                "Files that an earlier process had claimed and this one took again: after a power loss "
                                "a second copy is possible.",
                                {{"pickup", pickup}})),
      troubles(metrics.counter("postfleet_pickup_troubles_total", "Operations on files that failed; tried again.",
                               {{"pickup", pickup}})),
      claimed(metrics.gauge("postfleet_pickup_claimed_files", "Files that are under way or wait for another try.",
                            {{"pickup", pickup}})) {}

Result<std::unique_ptr<PickupWorker>> PickupWorker::create(const PickupDependencies& dependencies, Setup setup) {
    auto loop = net::EpollLoop::create(kLoopNumber);
    if (!loop) return loop.error();
    net::UniqueFd watch(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    constexpr std::uint32_t kEvents = IN_MOVED_TO | IN_CREATE | IN_CLOSE_WRITE | IN_ONLYDIR;
    if (watch && ::inotify_add_watch(watch.get(), setup.directory->path().c_str(), kEvents) < 0) watch.reset();
    return std::unique_ptr<PickupWorker>(
        new PickupWorker(dependencies, std::move(setup), std::move(*loop), std::move(watch)));
}

PickupWorker::PickupWorker(const PickupDependencies& dependencies, Setup setup, std::unique_ptr<net::EpollLoop> loop,
                           net::UniqueFd watch)
    : log_(dependencies.log),
      pickup_(std::move(setup.pickup)),
      rules_(std::move(setup.rules)),
      directory_(std::move(setup.directory)),
      loop_(std::move(loop)),
      watch_(std::move(watch)),
      shared_(dependencies.metrics, pickup_.name, limits_),
      counters_(dependencies.metrics, pickup_.name),
      ingest_counters_(dependencies.metrics),
      handover_(dependencies.handover),
      intake_(*loop_, dependencies.handover, ingest_counters_, dependencies.log, dependencies.seed,
              HandoverDesk::kForever) {}

PickupWorker::~PickupWorker() { stop(); }

void PickupWorker::settle_leftovers() {
    const SteadyTime now = steady_clock_now();
    for (Claim& claim : directory_->leftovers(kFilesAtOnce)) {
        take({.claim = std::move(claim), .not_before = now, .since = now, .is_left_over = true});
    }
    if (entries_.empty()) return;
    is_settling_ = true;
    const TimerId limit = loop_->schedule_at(now + kLongestAsk, [this] { end_settling(); });
    loop_->run();
    loop_->cancel(limit);
}

void PickupWorker::end_settling() {
    if (std::exchange(is_settling_, false)) loop_->stop();
}

void PickupWorker::start() {
    loop_->post([this] { begin(); });
    // A new thread inherits the mask: signals are the main thread's.
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { loop_->run(); });
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    ::pthread_setname_np(thread_.native_handle(), "pf-pickup");
}

void PickupWorker::stop() {
    if (!thread_.joinable()) return;
    loop_->stop();
    thread_.join();
    entries_.clear();
}

void PickupWorker::use(const config::Pickup& pickup, std::shared_ptr<const ListenerRules> rules) {
    loop_->post([this, pickup, rules = std::move(rules)]() mutable {
        pickup_ = std::move(pickup);
        rules_ = std::move(rules);
        is_draining_ = false;
        pump();
    });
}

void PickupWorker::drain(Callback quiet) {
    loop_->post([this, quiet = std::move(quiet)]() mutable {
        is_draining_ = true;
        if (entries_.empty()) quiet();
        else when_quiet_ = std::move(quiet);
    });
}

void PickupWorker::begin() {
    if (!watch_ || !loop_->watch(watch_.get(), EPOLLIN, *this)) {
        watch_.reset();
        log_.line(LogLevel::Warning, "pickup-not-told")
            .field("pickup", pickup_.name)
            .field("text", "the kernel does not tell of new files here; the directory is looked at every " +
                               format_duration(pickup_.rescan_interval));
    }
    pump();
}

void PickupWorker::on_events(std::uint32_t) {
    alignas(inotify_event) char buffer[16 * 1024];
    for (;;) {
        const ssize_t got = ::read(watch_.get(), buffer, sizeof buffer);
        if (got <= 0) break;
        for (ssize_t at = 0; at < got;) {
            const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
            on_change(event->mask, event->len > 0 ? std::string_view(event->name) : std::string_view());
            at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
        }
    }
    pump();
}

// Only a file that was moved in is known to be finished.
void PickupWorker::on_change(std::uint32_t mask, std::string_view name) {
    if ((mask & IN_ISDIR) != 0 || name.starts_with('.')) return;
    if ((mask & IN_MOVED_TO) != 0 && arrived_.size() < kNamesKept) {
        arrived_.emplace_back(name);
    } else if ((mask & (IN_Q_OVERFLOW | IN_MOVED_TO)) != 0) {
        is_scanning_ = true;
    } else {
        scan_at_ = std::min(scan_at_, loop_->now() + pickup_.settle_time);
    }
}

bool PickupWorker::is_ignored(std::string_view name) const {
    return name.starts_with('.') || std::any_of(pickup_.ignore.begin(), pickup_.ignore.end(),
                                                [name](const std::string& end) { return name.ends_with(end); });
}

// Claims what there is room for, makes the claims durable, and only then begins.
void PickupWorker::pump() {
    if (is_draining_) return;
    const SteadyTime now = loop_->now();
    if (scan_at_ <= now) {
        is_scanning_ = true;
        scan_at_ = now + pickup_.rescan_interval;
    }
    std::vector<Waiting> batch = gather();
    if (!batch.empty()) {
        const Status synced = directory_->sync();
        trouble(synced);
        for (Waiting& waiting : batch) {
            if (synced) take(std::move(waiting));
            else waiting_.push_back(std::move(waiting));
        }
        if (!synced) paused_until_ = now + kPause;
    }
    counters_.claimed.set(static_cast<std::int64_t>(entries_.size() + waiting_.size()));
    look_at(scan_at_);
    if (paused_until_ > now) look_at(paused_until_);
    for (const Waiting& waiting : waiting_) look_at(std::max({waiting.not_before, paused_until_, now + kShortest}));
}

std::vector<PickupWorker::Waiting> PickupWorker::gather() {
    std::vector<Waiting> batch;
    const SteadyTime now = loop_->now();
    if (paused_until_ > now) return batch;
    if (!intake_.desk().admission().open) {
        paused_until_ = now + kPause;
        return batch;
    }
    const auto due = std::partition(waiting_.begin(), waiting_.end(),
                                    [now](const Waiting& waiting) { return waiting.not_before > now; });
    std::move(due, waiting_.end(), std::back_inserter(batch));
    waiting_.erase(due, waiting_.end());
    gather_new(batch);
    return batch;
}

void PickupWorker::gather_new(std::vector<Waiting>& batch) {
    const WallTime wall_now = loop_->wall_now();
    const std::size_t most = std::max(batch.size(), room());
    while (batch.size() < most && !arrived_.empty()) {
        const std::string name = std::move(arrived_.front());
        arrived_.pop_front();
        if (is_ignored(name) || !directory_->changed_at(name)) continue;
        if (!claim(name, batch)) return;
    }
    while (batch.size() < most && is_scanning_) {
        const std::optional<std::string> name = directory_->next_name();
        if (!name) {
            is_scanning_ = false;
            return;
        }
        if (is_ignored(*name)) continue;
        const std::optional<WallTime> changed = directory_->changed_at(*name);
        if (!changed) continue;
        if (*changed > wall_now - std::chrono::duration_cast<WallTime::duration>(pickup_.settle_time) &&
            *changed <= wall_now + std::chrono::minutes(1)) {  // the loop's time is that of its turn: a little old
            scan_at_ = std::min(scan_at_, loop_->now() + pickup_.settle_time);
            continue;
        }
        if (!claim(*name, batch)) return;
    }
}

// False: it is no use to go on now.
bool PickupWorker::claim(const std::string& name, std::vector<Waiting>& batch) {
    auto claimed = directory_->claim(name, intake_.next_id());
    if (!claimed) {
        trouble(claimed.error());
        paused_until_ = loop_->now() + kPause;
        is_scanning_ = true;
        return false;
    }
    const SteadyTime now = loop_->now();
    if (*claimed) batch.push_back({.claim = std::move(**claimed), .not_before = now, .since = now});
    return true;
}

void PickupWorker::take(Waiting waiting) {
    Entry& entry = entries_.emplace_back(*this, std::move(waiting));
    entry.self = std::prev(entries_.end());
    if (entry.waited.is_left_over) ask_whether_known(entry);
    else open(entry);
}

void PickupWorker::ask_whether_known(Entry& entry) {
    handover_.holds(entry.waited.claim.id, {loop_.get(), [this, &entry](Result<bool> held) {
                                                if (!held) {
                                                    log_.line(LogLevel::Warning, "pickup-trouble")
                                                        .field("pickup", pickup_.name)
                                                        .field("text", held.error().text);
                                                    keep_for_later(entry, kPause);
                                                } else if (*held) {
                                                    counters_.known.add();
                                                    remove(entry.waited.claim);
                                                    forget(entry);
                                                } else {
                                                    counters_.recovered.add();
                                                    entry.waited.is_left_over = false;
                                                    if (is_settling_) keep_for_later(entry, {});
                                                    else open(entry);
                                                }
                                            }});
}

void PickupWorker::open(Entry& entry) {
    entry.file = std::make_unique<PickupFile>(entry.waited.claim, PickupFile::Context{.directory = *directory_,
                                                                                      .shard = intake_,
                                                                                      .listener = shared_,
                                                                                      .rules = rules_,
                                                                                      .driver = entry,
                                                                                      .scratch = loop_->scratch()});
    settle(entry, entry.file->start());
}

void PickupWorker::settle(Entry& entry, PickupFile::Outcome outcome) {
    switch (outcome) {
        case PickupFile::Outcome::Pending: return;
        case PickupFile::Outcome::Accepted:
            counters_.accepted.add();
            remove(entry.waited.claim);
            return forget(entry);
        case PickupFile::Outcome::Bad: return reject(entry, entry.file->why());
        case PickupFile::Outcome::Later: paused_until_ = loop_->now() + kPause; return keep_for_later(entry, kPause);
        case PickupFile::Outcome::Trouble:
            trouble(Error{ErrorKind::Unavailable, printable(entry.waited.claim.original) + ": " + entry.file->why()});
            return keep_for_later(entry, kPause);
        case PickupFile::Outcome::Changed:
            if (loop_->now() - entry.waited.since < kLongestChange) return keep_for_later(entry, pickup_.settle_time);
            return reject(entry, "it was still being written after " + format_duration(kLongestChange));
    }
}

void PickupWorker::reject(Entry& entry, const std::string& why) {
    const auto rejected = directory_->reject(entry.waited.claim, why);
    if (!rejected) {
        trouble(rejected.error());
        return keep_for_later(entry, kPause);
    }
    counters_.bad.add();
    log_.line(LogLevel::Warning, "pickup-refused")
        .field("pickup", pickup_.name)
        .field("file", entry.waited.claim.original)
        .field("reason", why)
        .field("moved_to", directory_->bad_path() + "/" + *rejected);
    forget(entry);
}

void PickupWorker::keep_for_later(Entry& entry, Duration pause) {
    entry.waited.not_before = loop_->now() + pause;
    waiting_.push_back(entry.waited);
    forget(entry);
}

// Not at once: this may be inside a call of its transaction.
void PickupWorker::forget(Entry& entry) {
    loop_->post([this, self = entry.self] {
        entries_.erase(self);
        if (is_settling_) {
            if (entries_.empty()) end_settling();
            return;
        }
        if (!entries_.empty()) {
            if (room() >= kFilesAtOnce / 2) pump();
            return;
        }
        if (when_quiet_) std::exchange(when_quiet_, {})();
        pump();
        if (entries_.empty() && std::exchange(is_unsynced_, false)) trouble(directory_->sync());
    });
}

void PickupWorker::remove(const Claim& claim) {
    trouble(directory_->remove(claim));
    is_unsynced_ = true;
}

void PickupWorker::trouble(const Status& status) {
    if (status) return;
    counters_.troubles.add();
    log_.line(LogLevel::Error, "pickup-trouble").field("pickup", pickup_.name).field("text", status.error().text);
}

void PickupWorker::look_at(SteadyTime when) {
    if (when >= timer_at_) return;
    loop_->cancel(timer_);
    timer_at_ = when;
    timer_ = loop_->schedule_at(when, [this] {
        timer_at_ = SteadyTime::max();
        pump();
    });
}

}  // namespace postfleet::ingest
