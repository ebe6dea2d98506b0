// spool_bench: what the spool costs. A shard keeps `outstanding` acceptances waiting for their commit; when one is
// committed its outcome is committed too (nobody waits for that), and the next message comes. One reader follows
// the events. Prints messages a second, CPU of the process per message, the size of groups and the latency.
//
//   spool_bench [directory] [messages] [octets …]
//   spool_bench [directory] backlog [messages]     what a large backlog costs: memory, disk, and time to start
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>
#include <vector>

#include "postfleet/spool/rocks_spool.hpp"
#include "postfleet/support/spool_samples.hpp"

namespace {

using namespace postfleet;

class StderrSink final : public LogSink {
public:
    void write(LogLevel, std::string&& line) override { fmt::print(stderr, "{}\n", line); }
};

// A shard that does nothing but run what is posted.
class Inbox final : public Executor {
public:
    void post(Callback task) override {
        std::lock_guard lock(mutex_);
        posts_.push_back(std::move(task));
        if (posts_.size() == 1) wake_.notify_one();
    }
    TimerId schedule_at(SteadyTime, Callback) override { return {}; }
    void cancel(TimerId) override {}
    SteadyTime now() const override { return steady_clock_now(); }
    WallTime wall_now() const override { return wall_clock_now(); }
    bool is_current_thread() const override { return true; }
    unsigned shard() const override { return 0; }

    template <class Holds>
    void run_until(Holds&& holds) {
        std::deque<Callback> now;
        while (!holds()) {
            {
                std::unique_lock lock(mutex_);
                wake_.wait(lock, [&] { return !posts_.empty(); });
                now.swap(posts_);
            }
            wakes++;
            for (auto& task : now) task();
            now.clear();
        }
    }
    std::size_t wakes = 0;

private:
    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<Callback> posts_;
};

double cpu_seconds() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Whether a message may be offered again, so that its id is looked for and remembered.
enum class Ids { Forgotten, Remembered };

class Run {
public:
    Run(spool::RocksSpool& spool, std::size_t octets, std::size_t total, std::size_t undelivered_every, Ids ids)
        : spool_(spool),
          content_(support::sample_content(1, octets)),
          total_(total),
          every_(undelivered_every),
          ids_(ids) {
        latencies_.reserve(total);
    }

    void go(std::size_t outstanding, std::uint64_t& next_id) {
        next_id_ = &next_id;
        for (std::size_t i = 0; i < outstanding; i++) accept();
        inbox_.run_until([&] { return ended_ == total_ && accepted_ == total_; });
    }
    double percentile(double part) {
        std::ranges::sort(latencies_);
        return latencies_.empty()
                   ? 0
                   : latencies_[static_cast<std::size_t>(part * static_cast<double>(latencies_.size() - 1))];
    }
    std::size_t wakes() const { return inbox_.wakes; }

private:
    void accept() {
        if (begun_ == total_) return;
        begun_++;
        auto id = support::sample_id((*next_id_)++);
        auto message = std::make_shared<Message>(template_message_);
        message->id = id;
        auto task = template_task_;
        task.key.message = id;
        SpoolBatch batch;
        batch.events.push_back(event(message, EventType::Accepted));
        batch.put_messages.push_back({message, content_});
        batch.put_tasks.push_back(std::move(task));
        if (ids_ == Ids::Remembered) batch.taken_as = id;
        auto began = steady_clock_now();
        spool_.commit(
            std::move(batch),
            {&inbox_, [this, message, began](Status status) {
                 if (!status) std::abort();
                 accepted_++;
                 latencies_.push_back(std::chrono::duration<double, std::micro>(steady_clock_now() - began).count());
                 deliver(message);
                 accept();
             }});
    }

    void deliver(const std::shared_ptr<const Message>& message) {
        if (every_ != 0 && accepted_ % every_ == 0) {
            ended_++;
            return;
        }
        SpoolBatch batch;
        batch.urgency = SpoolBatch::Urgency::Outcome;
        batch.remove_tasks.push_back({message->id, 0});
        batch.remove_messages.push_back({message->id, 1});
        batch.events.push_back(event(message, EventType::Delivered));
        spool_.commit(std::move(batch), {&inbox_, [this](Status status) {
                                             if (!status) std::abort();
                                             ended_++;
                                         }});
    }

    Event event(const std::shared_ptr<const Message>& message, EventType type) {
        auto event = type == EventType::Delivered ? template_event_ : accepted_event_;
        event.message = message;
        event.type = type;
        event.id = make_event_id(message->id, 0, 1, type);
        return event;
    }

    static Event plain_event() {
        auto event = support::sample_event(1, EventType::Accepted);
        event.delivery.reset();
        event.bounce.reset();
        event.reason.clear();
        return event;
    }

    spool::RocksSpool& spool_;
    SharedOctets content_;
    const std::size_t total_, every_;
    const Ids ids_;
    Message template_message_ = *support::sample_message(1);
    Task template_task_ = [] {
        auto task = support::sample_task(1);
        task.recipients.pop_back();
        return task;
    }();
    Event template_event_ = support::sample_event(1), accepted_event_ = plain_event();
    std::uint64_t* next_id_ = nullptr;
    Inbox inbox_;
    std::size_t begun_ = 0, accepted_ = 0, ended_ = 0;
    std::vector<double> latencies_;
};

void measure(spool::RocksSpool& spool, std::size_t octets, std::size_t outstanding, std::size_t messages,
             std::size_t undelivered_every, std::uint64_t& next_id, Ids ids = Ids::Forgotten) {
    auto before = spool.statistics();
    auto cpu = cpu_seconds();
    auto began = steady_clock_now();
    Run run(spool, octets, messages, undelivered_every, ids);
    run.go(outstanding, next_id);
    auto seconds = std::chrono::duration<double>(steady_clock_now() - began).count();
    cpu = cpu_seconds() - cpu;
    auto after = spool.statistics();
    auto count = static_cast<double>(messages);
    auto groups = static_cast<double>(after.synced_writes - before.synced_writes);
    fmt::print(
        "{:>7} octets {:>4} outstanding  {:>7.0f} messages/s  {:>5.1f} us CPU/message  {:>5.1f} messages/group  "
        "commit p50 {:>5.0f} us p99 {:>6.0f} us  {:>4.2f} shard wake-ups/message{}{}\n",
        octets, outstanding, count / seconds, cpu / count * 1e6, count / groups, run.percentile(0.5),
        run.percentile(0.99), static_cast<double>(run.wakes()) / count,
        undelivered_every != 0 ? fmt::format("  1 in {} stays", undelivered_every) : "",
        ids == Ids::Remembered ? "  ids are remembered" : "");
}

std::uint64_t resident_octets() {
    std::ifstream file("/proc/self/statm");
    std::uint64_t all = 0, resident = 0;
    file >> all >> resident;
    return resident * 4096;
}

std::uint64_t octets_below(const std::filesystem::path& path) {
    std::uint64_t octets = 0;
    for (auto& entry : std::filesystem::recursive_directory_iterator(path)) {
        if (entry.is_regular_file()) octets += entry.file_size();
    }
    return octets;
}

// Commits `count` batches, at most 512 of them at a time.
template <class Make>
void commit_all(spool::RocksSpool& spool, std::uint64_t count, Make make) {
    Inbox inbox;
    std::uint64_t begun = 0, done = 0;
    while (done < count) {
        while (begun < count && begun - done < 512) {
            spool.commit(make(begun++), {&inbox, [&](Status status) {
                                             if (!status) std::abort();
                                             done++;
                                         }});
        }
        inbox.run_until([&] { return begun == count ? done == count : begun - done < 256; });
    }
}

std::unique_ptr<spool::RocksSpool> open_without_readers(const spool::RocksSpoolOptions& options) {
    auto opened = spool::RocksSpool::open(options);
    if (!opened || !(*opened)->keep_only_cursors({})) std::abort();
    return *std::move(opened);
}

// A backlog of messages of 2 kB, then a start on it, then its delivery to the end.
void measure_backlog(const spool::RocksSpoolOptions& options, std::uint64_t messages) {
    auto began = steady_clock_now();
    auto seconds = [&] { return std::chrono::duration<double>(steady_clock_now() - began).count(); };
    auto state = [&] {
        return fmt::format("{} MiB resident, {} MiB on disk", resident_octets() >> 20,
                           octets_below(options.directory) >> 20);
    };
    {
        auto spool = open_without_readers(options);
        commit_all(*spool, messages, [](std::uint64_t n) { return support::sample_acceptance(n); });
        fmt::print("{} messages of 2000 octets accepted in {:.1f} s; {}\n", messages, seconds(), state());
    }
    began = steady_clock_now();
    auto spool = open_without_readers(options);
    auto opened = seconds();
    std::uint64_t tasks = 0;
    if (!spool->scan_tasks([&](Task&&) { tasks++; })) std::abort();
    fmt::print("opened in {:.2f} s, {} tasks scanned in {:.1f} s; {}\n", opened, tasks, seconds() - opened, state());
    began = steady_clock_now();
    commit_all(*spool, messages, [](std::uint64_t n) { return support::sample_outcome(n); });
    fmt::print("delivered in {:.1f} s; {}\n", seconds(), state());
    // The log follows at its own pace: segments are looked at again after at most a minute.
    began = steady_clock_now();
    while (octets_below(options.directory) > std::uint64_t{512} << 20 && seconds() < 180) {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    fmt::print("after {:.0f} s more: {}\n", seconds(), state());
}

}  // namespace

int main(int argc, char** argv) {
    StderrSink errors;
    spool::RocksSpoolOptions options;
    options.directory = argc > 1 ? argv[1] : "/var/tmp/postfleet-spool-bench";
    options.log = Log(errors, LogLevel::Warning);
    std::filesystem::remove_all(options.directory);
    if (argc > 2 && std::string_view(argv[2]) == "backlog") {
        measure_backlog(options, argc > 3 ? std::stoull(argv[3]) : 1'000'000);
        std::filesystem::remove_all(options.directory);
        return 0;
    }
    std::size_t messages = argc > 2 ? std::stoul(argv[2]) : 60'000;
    std::vector<std::size_t> sizes;
    for (int i = 3; i < argc; i++) sizes.push_back(std::stoul(argv[i]));
    if (sizes.empty()) sizes = {2048, 10240, 51200};
    auto opened = spool::RocksSpool::open(options);
    if (!opened) {
        fmt::print(stderr, "{}\n", opened.error().text);
        return 1;
    }
    auto& spool = **opened;
    std::uint64_t next_id = 1;

    auto cursor = spool.open_cursor("bench");
    std::atomic<bool> stopping{false};
    std::thread follower([&] {
        auto at = cursor ? *cursor : 0;
        while (!stopping) {
            spool.wait(at, steady_clock_now() + std::chrono::milliseconds(100));
            auto events = spool.read(at, 1000);
            if (!events || events->empty()) continue;
            at = events->back().number;
            (void)spool.advance("bench", at).has_value();
        }
    });
    for (auto octets : sizes) {
        for (std::size_t outstanding : {1, 20, 64, 256}) {
            measure(spool, octets, outstanding, outstanding == 1 ? messages / 6 : messages, 0, next_id);
        }
    }
    for (std::size_t outstanding : {20, 64}) {
        measure(spool, sizes.back(), outstanding, messages, 0, next_id, Ids::Remembered);
        measure(spool, sizes.back(), outstanding, messages, 0, next_id);
    }
    measure(spool, 10240, 20, messages, 20, next_id);
    stopping = true;
    follower.join();
    opened->reset();
    std::filesystem::remove_all(options.directory);
    return 0;
}
