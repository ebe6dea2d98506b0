#include "synced_log.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstring>

namespace postfleet::bench {

namespace {

constexpr off_t kRingOctets = off_t{256} << 20;
constexpr std::size_t kBlock = 1 << 20;

[[noreturn]] void fail(const char* doing) {
    fmt::print(stderr, "bare_forwarder: {} the log: {}\n", doing, std::strerror(errno));
    std::_Exit(1);
}

}  // namespace

Result<std::unique_ptr<SyncedLog>> SyncedLog::open(const std::string& path, net::LoopGroup& loops) {
    net::UniqueFd file(::open(path.c_str(), O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0600));
    const std::string zeros(kBlock, 'z');
    bool is_written = static_cast<bool>(file);
    for (off_t at = 0; is_written && at < kRingOctets; at += static_cast<off_t>(kBlock)) {
        is_written = ::pwrite(file.get(), zeros.data(), zeros.size(), at) == static_cast<ssize_t>(zeros.size());
    }
    if (!is_written || ::fsync(file.get()) != 0) {
        return Error{ErrorKind::Unavailable, fmt::format("{}: {}", path, std::strerror(errno))};
    }
    return std::unique_ptr<SyncedLog>(new SyncedLog(std::move(file), loops));
}

SyncedLog::SyncedLog(net::UniqueFd file, net::LoopGroup& loops)
    : file_(std::move(file)), loops_(loops), writer_([this] { run(); }) {}

SyncedLog::~SyncedLog() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_one();
    writer_.join();
}

void SyncedLog::append(unsigned shard, std::shared_ptr<const Mail> mail, Callback when_synced) {
    bool must_wake;
    {
        const std::lock_guard lock(mutex_);
        waiting_.push_back({shard, std::move(mail), std::move(when_synced)});
        must_wake = std::exchange(is_sleeping_, false);
    }
    if (must_wake) changed_.notify_one();
}

void SyncedLog::append_done(std::uint64_t number) {
    const std::lock_guard lock(mutex_);
    done_.push_back(number);
}

void SyncedLog::run() {
    std::vector<Record> group;
    std::vector<std::uint64_t> done;
    for (;;) {
        {
            std::unique_lock lock(mutex_);
            while (waiting_.empty() && !stopping_) {
                is_sleeping_ = true;
                changed_.wait(lock);
            }
            is_sleeping_ = false;
            if (stopping_) return;
            group.swap(waiting_);
            done.swap(done_);
        }
        write_group(group, done);
        if (::fdatasync(file_.get()) != 0) fail("syncing");
        complete(group);
        group.clear();
        done.clear();
    }
}

void SyncedLog::write_group(std::vector<Record>& group, const std::vector<std::uint64_t>& done) {
    std::vector<iovec> parts;
    const auto add = [&](const void* at, std::size_t octets) {
        if (octets > 0) parts.push_back({const_cast<void*>(at), octets});
    };
    add(done.data(), done.size() * sizeof(std::uint64_t));
    for (const Record& record : group) {
        add(&record.mail->number, sizeof record.mail->number);
        add(record.mail->envelope.data(), record.mail->envelope.size());
        add(record.mail->content.data(), record.mail->content.size());
    }
    for (std::size_t first = 0; first < parts.size(); first += IOV_MAX) {
        const std::size_t count = std::min<std::size_t>(parts.size() - first, IOV_MAX);
        std::size_t octets = 0;
        for (std::size_t i = first; i < first + count; ++i) octets += parts[i].iov_len;
        if (offset_ + static_cast<off_t>(octets) > kRingOctets) offset_ = 0;
        if (::pwritev(file_.get(), &parts[first], static_cast<int>(count), offset_) != static_cast<ssize_t>(octets)) {
            fail("writing");
        }
        offset_ += static_cast<off_t>(octets);
    }
}

void SyncedLog::complete(std::vector<Record>& group) {
    std::vector<std::vector<Callback>> by_shard(loops_.size());
    for (Record& record : group) by_shard[record.shard].push_back(std::move(record.when_synced));
    for (std::size_t shard = 0; shard < by_shard.size(); ++shard) {
        if (by_shard[shard].empty()) continue;
        loops_[shard].post([callbacks = std::move(by_shard[shard])]() mutable {
            for (Callback& callback : callbacks) callback();
        });
    }
}

}  // namespace postfleet::bench
