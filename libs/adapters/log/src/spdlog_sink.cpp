#include "postfleet/log/spdlog_sink.hpp"

#include <sys/stat.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "postfleet/base/time.hpp"

namespace postfleet {
namespace {

constexpr std::size_t kShards = 8;
constexpr std::size_t kFlushOctets = 64 * 1024;
constexpr auto kFlushInterval = std::chrono::milliseconds(50);
constexpr auto kMovedCheckInterval = std::chrono::seconds(1);
// "time=2026-11-22T10:11:12.345678Z": what lines of several threads are ordered by.
constexpr std::size_t kTimeOctets = 32;

struct alignas(64) Shard {
    std::mutex mutex;
    std::string text;  // whole lines
};

// Joins buffers that are each in order of time. Few buffers, so a linear search for the smallest is enough.
std::string merge_by_time(const std::array<std::string, kShards>& buffers) {
    std::string merged;
    std::array<std::string_view, kShards> rest;
    std::size_t total = 0;
    std::size_t filled = 0;
    for (std::size_t i = 0; i < kShards; ++i) {
        rest[i] = buffers[i];
        total += rest[i].size();
        filled += rest[i].empty() ? 0 : 1;
    }
    merged.reserve(total);
    while (filled > 0) {
        std::size_t first = kShards;
        for (std::size_t i = 0; i < kShards; ++i) {
            if (rest[i].empty()) continue;
            if (first == kShards || rest[i].substr(0, kTimeOctets) < rest[first].substr(0, kTimeOctets)) first = i;
        }
        const std::size_t length = filled == 1 ? rest[first].size() : rest[first].find('\n') + 1;
        merged.append(rest[first].substr(0, length));
        rest[first].remove_prefix(length);
        if (rest[first].empty()) --filled;
    }
    return merged;
}

}  // namespace

class SpdlogSink::Writer {
public:
    explicit Writer(SpdlogSinkOptions options) : options_(std::move(options)) {}

    ~Writer() {
        {
            std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        wake_.notify_all();
        if (thread_.joinable()) thread_.join();
    }

    Status start() {
        if (Status opened = open_logger(); !opened) return opened;
        thread_ = std::thread([this] { run(); });
        return {};
    }

    void append(LogLevel level, std::string&& line) {
        const std::size_t octets = line.size() + 1;
        const std::size_t before = buffered_.fetch_add(octets, std::memory_order_seq_cst);
        if (before + octets > options_.max_buffered) {
            buffered_.fetch_sub(octets, std::memory_order_relaxed);
            dropped_.fetch_add(1, std::memory_order_relaxed);
            return;
        }
        lines_.fetch_add(1, std::memory_order_relaxed);
        line.push_back('\n');
        {
            Shard& shard = shards_[std::hash<std::thread::id>{}(std::this_thread::get_id()) % kShards];
            std::lock_guard lock(shard.mutex);
            shard.text.append(line);
        }
        // Exactly one caller crosses each threshold, so a busy process wakes the writer once per flush.
        const bool crossed = before < kFlushOctets && before + octets >= kFlushOctets;
        if (idle_.load(std::memory_order_seq_cst) || crossed || level == LogLevel::Error) {
            wake(crossed || level == LogLevel::Error ? Urgency::Now : Urgency::Soon);
        }
    }

    void flush() {
        std::unique_lock lock(mutex_);
        const std::uint64_t wanted = ++flushes_wanted_;
        wake_.notify_all();
        flushed_.wait(lock, [&] { return flushes_done_ >= wanted; });
    }

    Statistics statistics() const {
        return {lines_.load(std::memory_order_relaxed), dropped_.load(std::memory_order_relaxed),
                write_errors_.load(std::memory_order_relaxed)};
    }

private:
    enum class Urgency { Soon, Now };

    void wake(Urgency urgency) {
        {
            std::lock_guard lock(mutex_);
            pending_ = true;
            if (urgency == Urgency::Now) hurry_ = true;
            idle_.store(false, std::memory_order_release);
        }
        wake_.notify_all();
    }

    void run() {
        pthread_setname_np(pthread_self(), "log");
        std::unique_lock lock(mutex_);
        for (;;) {
            if (!pending_ && buffered_.load(std::memory_order_acquire) == 0) {
                // Announce the sleep first, look again after it: a line that came in between is seen here,
                // a later one sees the announcement.
                idle_.store(true, std::memory_order_seq_cst);
                if (buffered_.load(std::memory_order_seq_cst) == 0) wake_.wait(lock, [&] { return woken(); });
                idle_.store(false, std::memory_order_release);
            }
            wake_.wait_for(lock, kFlushInterval,
                           [&] { return hurry_ || stopping_ || flushes_wanted_ > flushes_done_; });
            const bool last = stopping_;
            const std::uint64_t wanted = flushes_wanted_;
            pending_ = hurry_ = false;
            lock.unlock();
            write_out();
            lock.lock();
            flushes_done_ = wanted;
            flushed_.notify_all();
            if (last) return;
        }
    }

    bool woken() const { return pending_ || stopping_ || flushes_wanted_ > flushes_done_; }

    void write_out() {
        std::array<std::string, kShards> taken;
        std::size_t octets = 0;
        for (std::size_t i = 0; i < kShards; ++i) {
            std::lock_guard lock(shards_[i].mutex);
            taken[i].swap(shards_[i].text);
            octets += taken[i].size();
        }
        std::string text = merge_by_time(taken);
        report_dropped(text);
        if (!text.empty()) {
            reopen_if_moved();
            text.pop_back();  // spdlog ends what it is given
            logger_->log(spdlog::level::info, spdlog::string_view_t(text.data(), text.size()));
            logger_->flush();
        }
        buffered_.fetch_sub(octets, std::memory_order_release);
    }

    void report_dropped(std::string& text) {
        const std::uint64_t dropped = dropped_.load(std::memory_order_relaxed);
        if (dropped == dropped_told_) return;
        text += "time=" + format_rfc3339(wall_clock_now()) +
                " level=warning event=log-lines-dropped count=" + std::to_string(dropped - dropped_told_) + "\n";
        dropped_told_ = dropped;
    }

    Status open_logger() {
        try {
            std::shared_ptr<spdlog::sinks::sink> sink;
            if (options_.path.empty()) {
                sink = std::make_shared<spdlog::sinks::stderr_sink_st>();
            } else {
                sink = std::make_shared<spdlog::sinks::rotating_file_sink_st>(options_.path, options_.rotate_size,
                                                                              options_.keep);
            }
            logger_ = std::make_unique<spdlog::logger>("postfleet", std::move(sink));
            logger_->set_pattern("%v");
            logger_->set_error_handler(
                [this](const std::string&) { write_errors_.fetch_add(1, std::memory_order_relaxed); });
        } catch (const spdlog::spdlog_ex& failure) {
            return Error{ErrorKind::Unavailable, "log file " + options_.path + ": " + failure.what()};
        }
        inode_ = inode();
        next_moved_check_ = steady_clock_now() + kMovedCheckInterval;
        return {};
    }

    // Of the file that has the name now; 0 when there is none.
    ::ino_t inode() const {
        struct ::stat there {};
        return !options_.path.empty() && ::stat(options_.path.c_str(), &there) == 0 ? there.st_ino : 0;
    }

    // After logrotate has renamed the file, spdlog would go on writing to the old one for ever.
    void reopen_if_moved() {
        if (options_.path.empty() || steady_clock_now() < next_moved_check_) return;
        next_moved_check_ = steady_clock_now() + kMovedCheckInterval;
        if (inode() == inode_) return;
        if (!open_logger()) write_errors_.fetch_add(1, std::memory_order_relaxed);
    }

    const SpdlogSinkOptions options_;
    std::array<Shard, kShards> shards_;
    std::atomic<std::size_t> buffered_{0};
    std::atomic<bool> idle_{false};
    std::atomic<std::uint64_t> lines_{0}, dropped_{0}, write_errors_{0};

    std::mutex mutex_;
    std::condition_variable wake_, flushed_;
    bool pending_ = false, hurry_ = false, stopping_ = false;
    std::uint64_t flushes_wanted_ = 0, flushes_done_ = 0;

    // The writer thread's own.
    std::unique_ptr<spdlog::logger> logger_;
    std::uint64_t dropped_told_ = 0;
    ::ino_t inode_ = 0;
    SteadyTime next_moved_check_{};
    std::thread thread_;
};

SpdlogSink::SpdlogSink(std::unique_ptr<Writer> writer) : writer_(std::move(writer)) {}
SpdlogSink::~SpdlogSink() = default;

Result<std::unique_ptr<SpdlogSink>> SpdlogSink::open(SpdlogSinkOptions options) {
    auto writer = std::make_unique<Writer>(std::move(options));
    if (Status started = writer->start(); !started) return started.error();
    return std::unique_ptr<SpdlogSink>(new SpdlogSink(std::move(writer)));
}

void SpdlogSink::write(LogLevel level, std::string&& line) { writer_->append(level, std::move(line)); }
void SpdlogSink::flush() { writer_->flush(); }
SpdlogSink::Statistics SpdlogSink::statistics() const { return writer_->statistics(); }

}  // namespace postfleet
