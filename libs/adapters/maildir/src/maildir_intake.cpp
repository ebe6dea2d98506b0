#include "postfleet/maildir/maildir_intake.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <utility>

namespace postfleet::maildir {
namespace {

namespace fs = std::filesystem;

constexpr std::array kKinds{IntakeKind::Bounce, IntakeKind::Complaint, IntakeKind::Unsubscribe};

Error system_error(const std::string& what) {
    const ErrorKind kind = errno == ENOSPC || errno == EDQUOT ? ErrorKind::ResourceExhausted : ErrorKind::Unavailable;
    return {kind, what + ": " + std::strerror(errno)};
}

class File final {
public:
    File(const std::string& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0600)) {}
    ~File() {
        if (fd_ >= 0) ::close(fd_);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    explicit operator bool() const { return fd_ >= 0; }
    bool write(std::string_view text) const {
        while (!text.empty()) {
            const ssize_t written = ::write(fd_, text.data(), text.size());
            if (written < 0 && errno == EINTR) continue;
            if (written < 0) return false;
            text.remove_prefix(static_cast<std::size_t>(written));
        }
        return true;
    }
    bool sync() const { return ::fsync(fd_) == 0; }

private:
    int fd_;
};

Status sync_directory(const std::string& path) {
    const File directory(path, O_RDONLY | O_DIRECTORY);
    if (!directory || !directory.sync()) return system_error("cannot sync " + path);
    return {};
}

bool has_kind(const MailForUs& mail, IntakeKind kind) {
    return std::any_of(mail.recipients.begin(), mail.recipients.end(),
                       [kind](const MailForUs::Address& to) { return to.kind == kind; });
}

std::string envelope_of(const MailForUs& mail, IntakeKind kind) {
    std::string text = "Return-Path: <" + mail.reverse_path + ">\r\n";
    std::string tenants;
    for (const MailForUs::Address& to : mail.recipients) {
        if (to.kind != kind) continue;
        text += "Delivered-To: " + to.address + "\r\n";
        const std::string line = "X-Postfleet-Tenant: " + to.tenant + "\r\n";
        if (tenants.find(line) == std::string::npos) tenants += line;
    }
    return text + tenants;
}

template <class Visit>
void for_each_file(const std::string& folder, Visit&& visit) {
    std::error_code failed;
    for (fs::directory_iterator at(folder, failed), end; !failed && at != end; at.increment(failed)) {
        struct stat facts {};
        if (::lstat(at->path().c_str(), &facts) == 0 && S_ISREG(facts.st_mode)) visit(at->path(), facts);
    }
}

// A mail of several kinds is a file with each.
std::uint64_t octets_on_disk(const MailForUs& mail) {
    const auto files = std::count_if(kKinds.begin(), kKinds.end(), [&mail](IntakeKind k) { return has_kind(mail, k); });
    return mail.octets() * static_cast<std::uint64_t>(files);
}

std::string value_of(std::string_view head, std::string_view name) {
    const std::size_t at = head.find(name);
    if (at == std::string_view::npos) return {};
    const std::size_t begin = at + name.size();
    return std::string(head.substr(begin, head.find('\r', begin) - begin));
}

std::string head_of(const std::string& path) {
    std::string head(2048, '\0');
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return {};
    const ssize_t got = ::read(fd, head.data(), head.size());
    ::close(fd);
    head.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return head;
}

}  // namespace

Result<std::unique_ptr<MaildirIntake>> MaildirIntake::open(MaildirOptions options, Metrics& metrics, Log log) {
    std::unique_ptr<MaildirIntake> made(new MaildirIntake(std::move(options), metrics, log));
    if (Status ready = made->make_directories(); !ready) return ready.error();
    made->recount();
    // A new thread inherits the mask: signals are the main thread's.
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    made->writer_ = std::thread([intake = made.get()] { intake->run(); });
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    ::pthread_setname_np(made->writer_.native_handle(), "pf-intake");
    return made;
}

MaildirIntake::MaildirIntake(MaildirOptions options, Metrics& metrics, Log log)
    : options_(std::move(options)),
      log_(log),
      octets_gauge_(metrics.gauge("postfleet_intake_octets", "Mail for us that is kept, in octets.")),
      max_octets_(options_.max_octets) {
    for (const IntakeKind kind : kKinds) {
        kept_[static_cast<std::size_t>(kind)] = &metrics.counter(
            "postfleet_intake_mails_total", "Mail for us that was taken, by kind.", {{"kind", to_string(kind)}});
    }
}

MaildirIntake::~MaildirIntake() { stop(); }

std::string MaildirIntake::folder(IntakeKind kind, const char* part) const {
    return options_.directory + "/" + to_string(kind) + "/" + part;
}

Status MaildirIntake::make_directories() {
    for (const IntakeKind kind : kKinds) {
        for (const char* part : {"tmp", "new", "cur"}) {
            std::error_code failed;
            fs::create_directories(folder(kind, part), failed);
            if (failed) {
                return Error{ErrorKind::PermissionDenied,
                             "cannot make " + folder(kind, part) + ": " + failed.message()};
            }
        }
        // What was being written when the process ended.
        for_each_file(folder(kind, "tmp"), [](const fs::path& file, const struct stat&) { ::unlink(file.c_str()); });
        if (Status synced = sync_directory(options_.directory + "/" + to_string(kind)); !synced) return synced;
    }
    if (Status synced = sync_directory(options_.directory); !synced) return synced;
    return sync_directory(fs::path(options_.directory).parent_path());
}

void MaildirIntake::answer(Completion<Status>&& done, Status status) {
    Executor& on = *done.on;
    on.post([run = std::move(done.run), status = std::move(status)]() mutable { run(std::move(status)); });
}

void MaildirIntake::set_max_octets(std::uint64_t octets) {
    const std::lock_guard lock(mutex_);
    max_octets_ = octets;
}

void MaildirIntake::keep(MailForUs mail, Completion<Status> done) {
    const std::uint64_t octets = mail.octets();
    {
        const std::lock_guard lock(mutex_);
        if (!stopping_ && in_flight_ + octets <= options_.max_in_flight) {
            in_flight_ += octets;
            waiting_.push_back({std::move(mail), std::move(done)});
            arrived_.notify_one();
            return;
        }
        if (stopping_) return answer(std::move(done), Error{ErrorKind::Cancelled, "the process is stopping"});
    }
    answer(std::move(done), Error{ErrorKind::ResourceExhausted, "too much mail for us at once"});
}

void MaildirIntake::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        arrived_.notify_one();
    }
    if (writer_.joinable()) writer_.join();
}

// What was taken before stop() is still written.
void MaildirIntake::run() {
    for (;;) {
        std::vector<Pending> group;
        {
            std::unique_lock lock(mutex_);
            arrived_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
            if (waiting_.empty()) return;
            group.swap(waiting_);
        }
        write_group(std::move(group));
    }
}

void MaildirIntake::write_group(std::vector<Pending> group) {
    std::vector<Status> results;
    results.reserve(group.size());
    for (const Pending& pending : group) results.push_back(write_mail(pending.mail));
    if (Status synced = sync_new(group); !synced) {
        // Whether they are there after a power loss is not known: so they are not, and will be sent again.
        for (std::size_t i = 0; i < group.size(); ++i) {
            if (!std::exchange(results[i], synced)) continue;
            remove(group[i].mail);
        }
    }
    for (std::size_t i = 0; i < group.size(); ++i) {
        {
            const std::lock_guard lock(mutex_);
            in_flight_ -= group[i].mail.octets();
            octets_gauge_.set(static_cast<std::int64_t>(kept_octets_));
        }
        if (results[i]) {
            for (const MailForUs::Address& to : group[i].mail.recipients)
                kept_[static_cast<std::size_t>(to.kind)]->add();
        } else if (results[i].error().kind != ErrorKind::ResourceExhausted) {
            log_.line(LogLevel::Error, "intake-failed").field("text", results[i].error().text);
        }
        answer(std::move(group[i].done), std::move(results[i]));
    }
}

Status MaildirIntake::sync_new(const std::vector<Pending>& group) const {
    Status synced;
    for (const IntakeKind kind : kKinds) {
        const bool is_touched = std::any_of(group.begin(), group.end(),
                                            [kind](const Pending& pending) { return has_kind(pending.mail, kind); });
        if (!is_touched) continue;
        if (Status done = sync_directory(folder(kind, "new")); !done) synced = std::move(done);
    }
    return synced;
}

Status MaildirIntake::write_mail(const MailForUs& mail) {
    if (!take_room(octets_on_disk(mail))) {
        return Error{ErrorKind::ResourceExhausted, "the store of mail for us is full"};
    }
    const std::string name = mail.id.to_string() + ".eml";
    for (const IntakeKind kind : kKinds) {
        if (!has_kind(mail, kind)) continue;
        const std::string path = folder(kind, "tmp") + "/" + name;
        const File file(path, O_WRONLY | O_CREAT | O_EXCL);
        bool good = file && file.write(envelope_of(mail, kind)) && file.write(mail.prepended_header);
        for (const SharedOctets& part : mail.content) good = good && file.write(*part);
        good = good && file.sync() && ::rename(path.c_str(), (folder(kind, "new") + "/" + name).c_str()) == 0;
        if (good) continue;
        Status failed = system_error("cannot keep " + path);
        ::unlink(path.c_str());
        remove(mail);  // all kinds, or none
        return failed;
    }
    return {};
}

void MaildirIntake::remove(const MailForUs& mail) {
    for (const IntakeKind kind : kKinds) {
        if (has_kind(mail, kind)) ::unlink((folder(kind, "new") + "/" + mail.id.to_string() + ".eml").c_str());
    }
    const std::lock_guard lock(mutex_);
    kept_octets_ -= std::min(kept_octets_, octets_on_disk(mail));
}

// What others took away is only seen by counting again.
bool MaildirIntake::take_room(std::uint64_t octets) {
    const auto take = [&] {
        const std::lock_guard lock(mutex_);
        if (kept_octets_ + octets > max_octets_) return false;
        kept_octets_ += octets;
        return true;
    };
    if (take()) return true;
    if (steady_clock_now() - counted_at_ < kRecount) return false;
    recount();
    return take();
}

void MaildirIntake::recount() {
    const Statistics now = statistics();
    counted_at_ = steady_clock_now();
    const std::lock_guard lock(mutex_);
    kept_octets_ = now.octets;
    octets_gauge_.set(static_cast<std::int64_t>(kept_octets_));
}

MaildirIntake::Statistics MaildirIntake::statistics() const {
    Statistics sum;
    for (const IntakeKind kind : kKinds) {
        for (const char* part : {"new", "cur"}) {
            for_each_file(folder(kind, part), [&sum](const fs::path&, const struct stat& facts) {
                ++sum.mails;
                sum.octets += static_cast<std::uint64_t>(facts.st_size);
            });
        }
    }
    const std::lock_guard lock(mutex_);
    sum.max_octets = max_octets_;
    return sum;
}

std::vector<MaildirIntake::Kept> MaildirIntake::list(std::size_t limit_of_each) const {
    std::vector<Kept> all;
    for (const IntakeKind kind : kKinds) {
        std::vector<Kept> of_kind;
        for (const char* part : {"cur", "new"}) {
            for_each_file(folder(kind, part), [&](const fs::path& path, const struct stat& facts) {
                Kept& kept = of_kind.emplace_back();
                kept.kind = kind;
                kept.id = path.stem();
                kept.path = path;
                kept.octets = static_cast<std::uint64_t>(facts.st_size);
                kept.received_at = from_unix_microseconds(std::int64_t{facts.st_mtim.tv_sec} * 1'000'000);
            });
        }
        // Ids are in the order of arrival.
        std::sort(of_kind.begin(), of_kind.end(), [](const Kept& a, const Kept& b) { return a.id < b.id; });
        if (of_kind.size() > limit_of_each) of_kind.resize(limit_of_each);
        for (Kept& kept : of_kind) {
            const std::string head = head_of(kept.path);
            kept.reverse_path = value_of(head, "Return-Path: ");
            kept.recipient = value_of(head, "Delivered-To: ");
            all.push_back(std::move(kept));
        }
    }
    return all;
}

}  // namespace postfleet::maildir
