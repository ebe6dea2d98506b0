// Preloaded into a process under test (LD_PRELOAD): kills it at a chosen call, makes calls fail, moves its clock,
// slows its syncs, and writes a journal of everything that the disk was told, from which power_loss.py builds what a
// disk may hold after the power went. The process itself is the one that is shipped and knows of nothing.
//
//   POSTFLEET_FAULTS_BASE     the directory that is watched; its subdirectory "data" is the data directory
//   POSTFLEET_FAULTS_CONTROL  a file of one page, mapped (faults.hpp)
//   POSTFLEET_FAULTS_JOURNAL  where the journal goes; without it there is none
#include "faults.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace postfleet::torture {

namespace {

template <typename Function>
Function* real(const char* name) {
    auto* found = ::dlsym(RTLD_NEXT, name);
    if (found == nullptr) ::abort();
    return reinterpret_cast<Function*>(found);
}
// The real call, looked up once.
#define REAL(name)                                                \
    (*[] {                                                        \
        static auto* const found = real<decltype(::name)>(#name); \
        return found;                                             \
    }())

class Faults {
public:
    Faults() {
        if (const char* base = std::getenv("POSTFLEET_FAULTS_BASE")) base_ = base;
        if (const char* path = std::getenv("POSTFLEET_FAULTS_CONTROL")) {
            int file = REAL(open)(path, O_RDWR | O_CLOEXEC);
            void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
            if (page == MAP_FAILED) ::abort();
            control_ = static_cast<Control*>(page);
        }
        if (const char* path = std::getenv("POSTFLEET_FAULTS_JOURNAL")) {
            journal_ = REAL(open)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
            if (journal_ < 0) ::abort();
            note(Mark::Start, "", 0, 0);
        }
    }

    bool journals() const { return journal_ >= 0; }
    std::int64_t clock_offset() const { return control_ ? control_->clock_offset.load(std::memory_order_relaxed) : 0; }

    bool watches(std::string_view path) const {
        return !base_.empty() && path.starts_with(base_) && (path.size() == base_.size() || path[base_.size()] == '/');
    }

    Place place_of(std::string_view path) const {
        path.remove_prefix(base_.size());
        if (!path.starts_with("/data")) return Place::Reports;
        if (path.find("/log/") != path.npos) return Place::Log;
        return path.find("/index/") != path.npos ? Place::Index : Place::Data;
    }

    // Counts a call and says what is to happen to it.
    Strike meet(Place place, Operation operation) {
        if (control_ == nullptr) return Strike::None;
        auto p = static_cast<std::uint32_t>(place), o = static_cast<std::uint32_t>(operation);
        control_->calls[p * kOperations + o].fetch_add(1);
        auto strike = static_cast<Strike>(control_->strike.load());
        if (strike == Strike::None || control_->place != p || control_->operation != o) return Strike::None;
        if (strike == Strike::Tear && torn_.exchange(false)) return Strike::Fail;
        if (control_->countdown.fetch_sub(1) > 0) return Strike::None;
        auto left = control_->times.load();
        while (left > 0 && !control_->times.compare_exchange_weak(left, left - 1)) {
        }
        if (left == 0) return Strike::None;
        control_->struck.fetch_add(1);
        if (strike == Strike::KillBefore) die();
        return strike;
    }

    int error() const { return static_cast<int>(control_->error.load()); }

    void tear_again() { torn_ = true; }

    static void after(Strike strike) {
        if (strike == Strike::KillAfter) die();
    }

    void delay_sync() const {
        auto wait = control_ ? control_->sync_delay.load(std::memory_order_relaxed) : 0;
        if (wait <= 0) return;
        timespec left{wait / 1'000'000'000, wait % 1'000'000'000};
        while (::nanosleep(&left, &left) != 0 && errno == EINTR) {
        }
    }

    std::uint64_t note(Mark what, std::string_view path, std::uint64_t inode, std::int64_t offset,
                       const iovec* parts = nullptr, int count = 0) {
        if (!journals()) return 0;
        Entry entry{kEntry, static_cast<std::uint16_t>(what), static_cast<std::uint16_t>(path.size()), 0, inode,
                    offset};
        std::vector<iovec> all{{&entry, sizeof entry}, {const_cast<char*>(path.data()), path.size()}};
        for (int i = 0; i < count; i++) {
            entry.octets += parts[i].iov_len;
            all.push_back(parts[i]);
        }
        std::string flat;
        for (const auto& part : all) flat.append(static_cast<const char*>(part.iov_base), part.iov_len);
        std::lock_guard lock(mutex_);
        if (REAL(write)(journal_, flat.data(), flat.size()) != static_cast<ssize_t>(flat.size())) ::abort();
        return ordinal_++;
    }

private:
    [[noreturn]] static void die() {
        ::kill(::getpid(), SIGKILL);
        for (;;) ::pause();
    }

    std::string base_;
    Control* control_ = nullptr;
    int journal_ = -1;
    std::atomic<bool> torn_{false};
    std::mutex mutex_;
    std::uint64_t ordinal_ = 0;
};

// Made at the first call, which comes before main(), and never destroyed: calls go on until the very end.
Faults& faults() {
    static auto* const the = new Faults;
    return *the;
}

// What a descriptor is, asked anew at every call: slow, and always right.
struct Target {
    bool watched = false;
    std::string path;
    std::uint64_t inode = 0;
    std::int64_t size = 0;
    bool directory = false;
    Place place = Place::Data;
};

Target target_of(int descriptor) {
    Target target;
    struct stat facts {};
    const int kept = errno;
    if (::fstat(descriptor, &facts) != 0 || !(S_ISREG(facts.st_mode) || S_ISDIR(facts.st_mode))) {
        errno = kept;
        return target;
    }
    char link[64], path[4096];
    std::snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    auto size = ::readlink(link, path, sizeof path);
    errno = kept;
    if (size <= 0) return target;
    target.path.assign(path, static_cast<std::size_t>(size));
    if (target.path.ends_with(" (deleted)")) target.path.resize(target.path.size() - 10);
    target.watched = faults().watches(target.path);
    if (!target.watched) return target;
    target.inode = facts.st_ino;
    target.size = facts.st_size;
    target.directory = S_ISDIR(facts.st_mode);
    target.place = faults().place_of(target.path);
    return target;
}

std::int64_t position(int descriptor, const Target& target) {
    if ((::fcntl(descriptor, F_GETFL) & O_APPEND) != 0) return target.size;
    return ::lseek(descriptor, 0, SEEK_CUR);
}

template <typename Call>
ssize_t do_write(int descriptor, const iovec* parts, int count, std::int64_t offset, bool positioned, Call call) {
    auto target = target_of(descriptor);
    if (!target.watched) return call();
    if (!positioned) offset = position(descriptor, target);
    auto strike = faults().meet(target.place, Operation::Write);
    if (strike == Strike::Fail) return errno = faults().error(), -1;
    if (strike == Strike::Tear) {  // like a disk with little room: some octets, and no more at the next call
        iovec half = parts[0];
        half.iov_len = (half.iov_len + 1) / 2;
        faults().tear_again();
        faults().note(Mark::Write, target.path, target.inode, offset, &half, 1);
        return positioned ? REAL(pwrite)(descriptor, half.iov_base, half.iov_len, offset)
                          : REAL(write)(descriptor, half.iov_base, half.iov_len);
    }
    // Noted before it is made: an unsynced write may be on the disk or not, at any time.
    faults().note(Mark::Write, target.path, target.inode, offset, parts, count);
    auto done = call();
    if (done >= 0) Faults::after(strike);
    return done;
}

template <typename Call>
int do_sync(int descriptor, Call call) {
    auto target = target_of(descriptor);
    if (!target.watched) return call();
    auto strike = faults().meet(target.place, target.directory ? Operation::SyncDirectory : Operation::Sync);
    if (strike == Strike::Fail || strike == Strike::Tear) return errno = faults().error(), -1;
    auto begun = faults().note(Mark::SyncBegun, target.path, target.inode, 0);
    faults().delay_sync();
    int done = call();
    if (done == 0) {
        faults().note(Mark::SyncDone, target.path, target.inode, static_cast<std::int64_t>(begun));
        Faults::after(strike);
    }
    return done;
}

std::string absolute(const char* path) {
    if (path[0] == '/') return path;
    char here[4096];
    return ::getcwd(here, sizeof here) == nullptr ? path : std::string(here) + "/" + path;
}

template <typename Call>
int do_open(const char* name, int flags, Call call) {
    auto path = absolute(name);
    if (!faults().watches(path) || (flags & (O_CREAT | O_TRUNC)) == 0) return call();
    const bool existed = ::access(path.c_str(), F_OK) == 0;
    auto strike = existed ? Strike::None : faults().meet(faults().place_of(path), Operation::Create);
    if (strike == Strike::Fail || strike == Strike::Tear) return errno = faults().error(), -1;
    int descriptor = call();
    if (descriptor < 0) return descriptor;
    auto target = target_of(descriptor);
    if (!existed) faults().note(Mark::Create, path, target.inode, 0);
    else if ((flags & O_TRUNC) != 0) faults().note(Mark::Truncate, path, target.inode, 0);
    Faults::after(strike);
    return descriptor;
}

template <typename Call>
int do_name(Mark mark, Operation operation, const std::string& path, const std::string& entry, Call call) {
    if (!faults().watches(path)) return call();
    auto strike = faults().meet(faults().place_of(path), operation);
    if (strike == Strike::Fail || strike == Strike::Tear) return errno = faults().error(), -1;
    faults().note(mark, entry, 0, 0);
    int done = call();
    if (done == 0) Faults::after(strike);
    return done;
}

// A reply ends a message when it has one of these.
bool carries(const iovec* parts, int count, std::string_view sign) {
    for (int i = 0; i < count; i++) {
        std::string_view part(static_cast<const char*>(parts[i].iov_base),
                              std::min<std::size_t>(parts[i].iov_len, 8192));
        if (part.starts_with('2') && part.find(sign) != part.npos) return true;
    }
    return false;
}
constexpr std::string_view kOurs = "Ok: queued as ", kTheirs = "taken: ";

ssize_t resize(int descriptor, std::int64_t size, Mark mark) {
    auto target = target_of(descriptor);
    if (target.watched) faults().note(mark, target.path, target.inode, size);
    return 0;
}

}  // namespace

}  // namespace postfleet::torture

using namespace postfleet::torture;

extern "C" {

int open(const char* path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
    va_end(more);
    return do_open(path, flags, [&] { return REAL(open)(path, flags, mode); });
}

int open64(const char* path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
    va_end(more);
    return do_open(path, flags, [&] { return REAL(open)(path, flags, mode); });
}

FILE* fopen(const char* path, const char* mode) {
    FILE* file = nullptr;
    do_open(path,
            mode[0] == 'r'   ? 0
            : mode[0] == 'w' ? O_CREAT | O_TRUNC
                             : O_CREAT,
            [&] {
                file = REAL(fopen)(path, mode);
                return file == nullptr ? -1 : ::fileno(file);
            });
    return file;
}

FILE* fopen64(const char* path, const char* mode) { return fopen(path, mode); }

ssize_t write(int descriptor, const void* octets, size_t count) {
    iovec part{const_cast<void*>(octets), count};
    return do_write(descriptor, &part, 1, 0, false, [&] { return REAL(write)(descriptor, octets, count); });
}

ssize_t writev(int descriptor, const iovec* parts, int count) {
    return do_write(descriptor, parts, count, 0, false, [&] { return REAL(writev)(descriptor, parts, count); });
}

ssize_t pwrite(int descriptor, const void* octets, size_t count, off_t offset) {
    iovec part{const_cast<void*>(octets), count};
    return do_write(descriptor, &part, 1, offset, true,
                    [&] { return REAL(pwrite)(descriptor, octets, count, offset); });
}

ssize_t pwrite64(int descriptor, const void* octets, size_t count, off64_t offset) {
    return pwrite(descriptor, octets, count, offset);
}

ssize_t pwritev(int descriptor, const iovec* parts, int count, off_t offset) {
    return do_write(descriptor, parts, count, offset, true,
                    [&] { return REAL(pwritev)(descriptor, parts, count, offset); });
}

ssize_t pwritev64(int descriptor, const iovec* parts, int count, off64_t offset) {
    return pwritev(descriptor, parts, count, offset);
}

int fsync(int descriptor) {
    return do_sync(descriptor, [&] { return REAL(fsync)(descriptor); });
}

int fdatasync(int descriptor) {
    return do_sync(descriptor, [&] { return REAL(fdatasync)(descriptor); });
}

int ftruncate(int descriptor, off_t size) noexcept {
    resize(descriptor, size, Mark::Truncate);
    return REAL(ftruncate)(descriptor, size);
}

int ftruncate64(int descriptor, off64_t size) noexcept { return ftruncate(descriptor, size); }

int fallocate(int descriptor, int mode, off_t offset, off_t size) {
    if ((mode & FALLOC_FL_KEEP_SIZE) == 0) resize(descriptor, offset + size, Mark::Allocate);
    return REAL(fallocate)(descriptor, mode, offset, size);
}

int fallocate64(int descriptor, int mode, off64_t offset, off64_t size) {
    return fallocate(descriptor, mode, offset, size);
}

int rename(const char* from, const char* to) noexcept {
    auto target = absolute(to);
    return do_name(Mark::Rename, Operation::Rename, target, absolute(from) + '\0' + target,
                   [&] { return REAL(rename)(from, to); });
}

int unlink(const char* name) noexcept {
    auto path = absolute(name);
    return do_name(Mark::Remove, Operation::Remove, path, path, [&] { return REAL(unlink)(name); });
}

// A sanitizer calls it, with the folder of its reports, before there is memory to be had or a lock to be taken.
int mkdir(const char* name, mode_t mode) noexcept {
    if (::access(name, F_OK) == 0) return errno = EEXIST, -1;
    auto path = absolute(name);
    return do_name(Mark::MakeDirectory, Operation::Create, path, path, [&] { return REAL(mkdir)(name, mode); });
}

ssize_t sendmsg(int socket, const msghdr* message, int flags) {
    auto call = [&] { return REAL(sendmsg)(socket, message, flags); };
    const auto count = static_cast<int>(message->msg_iovlen);
    if (!carries(message->msg_iov, count, kOurs)) return call();
    auto strike = faults().meet(Place::Smtp, Operation::ReplySent);
    faults().note(Mark::ReplySent, "", 0, 0, message->msg_iov, count);
    auto done = call();
    if (done >= 0) Faults::after(strike);
    return done;
}

ssize_t recv(int socket, void* to, size_t size, int flags) {
    auto got = REAL(recv)(socket, to, size, flags);
    if (got <= 0) return got;
    iovec part{to, static_cast<std::size_t>(got)};
    if (!carries(&part, 1, kTheirs)) return got;
    // It has been received, so before and after are the same here: nothing was done with it yet.
    faults().note(Mark::ReplyReceived, "", 0, 0, &part, 1);
    Faults::after(faults().meet(Place::Smtp, Operation::ReplyReceived));
    return got;
}

int clock_gettime(clockid_t clock, timespec* to) noexcept {
    int done = REAL(clock_gettime)(clock, to);
    if (done != 0 || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) return done;
    auto moved = faults().clock_offset();
    if (moved == 0) return done;
    auto all = to->tv_sec * 1'000'000'000LL + to->tv_nsec + moved;
    *to = {all / 1'000'000'000, all % 1'000'000'000};
    return done;
}

int gettimeofday(timeval* to, void*) noexcept {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    *to = {now.tv_sec, now.tv_nsec / 1000};
    return 0;
}

time_t time(time_t* to) noexcept {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    if (to != nullptr) *to = now.tv_sec;
    return now.tv_sec;
}
}
