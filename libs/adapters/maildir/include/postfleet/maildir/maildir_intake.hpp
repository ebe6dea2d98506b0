// MaildirIntake: keeps mail for us in files, one Maildir per kind (FeedbackIntake; https://cr.yp.to/proto/maildir.html).
//
//   <directory>/bounce/{tmp,new,cur}   <directory>/complaint/…   <directory>/unsubscribe/…
//
// A mail is one file `<message id>.eml`, with its envelope in front of its own header: Return-Path, Delivered-To per
// recipient, X-Postfleet-Tenant. So every program that reads Maildirs can work on it, and takes away what it has done
// with. It is written to tmp, synced, renamed into new, and the directory synced: then the keep() is complete.
//
// One thread writes whatever waits as a group, with one sync of the directories. Bounds: octets on their way to the disk
// (more: ResourceExhausted), and octets kept; what others have taken away is noticed when it is full, at most every kRecount.
// Two kinds in one mail are two files.
//
// Threads: thread-safe. list() and statistics() read directories and block. stop() writes and answers what waits; keep()
// after it answers Cancelled. Errors: open(): directories that cannot be made.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "postfleet/base/log.hpp"
#include "postfleet/base/metrics.hpp"
#include "postfleet/ports/feedback_intake.hpp"

namespace postfleet::maildir {

struct MaildirOptions {
    std::string directory;
    std::uint64_t max_octets = 1ull << 30;
    std::uint64_t max_in_flight = 64ull << 20;
};

class MaildirIntake final : public FeedbackIntake {
public:
    static Result<std::unique_ptr<MaildirIntake>> open(MaildirOptions options, Metrics& metrics, Log log);
    ~MaildirIntake() override;
    MaildirIntake(const MaildirIntake&) = delete;
    MaildirIntake& operator=(const MaildirIntake&) = delete;

    void keep(MailForUs mail, Completion<Status> done) override;
    void stop();
    void set_max_octets(std::uint64_t octets);

    struct Kept {
        IntakeKind kind = IntakeKind::Bounce;
        std::string id, path, reverse_path, recipient;  // the first recipient
        std::uint64_t octets = 0;
        WallTime received_at{};
    };
    // The oldest ones of each kind.
    std::vector<Kept> list(std::size_t limit_of_each) const;
    struct Statistics {
        std::uint64_t mails = 0, octets = 0, max_octets = 0;
    };
    Statistics statistics() const;

private:
    static constexpr Duration kRecount = std::chrono::seconds(2);

    struct Pending {
        MailForUs mail;
        Completion<Status> done;
    };

    MaildirIntake(MaildirOptions options, Metrics& metrics, Log log);
    Status make_directories();
    void run();
    void write_group(std::vector<Pending> group);
    Status sync_new(const std::vector<Pending>& group) const;
    Status write_mail(const MailForUs& mail);
    void remove(const MailForUs& mail);
    bool take_room(std::uint64_t octets);
    void recount();
    std::string folder(IntakeKind kind, const char* part) const;
    static void answer(Completion<Status>&& done, Status status);

    const MaildirOptions options_;
    const Log log_;
    std::array<Counter*, kIntakeKinds> kept_{};
    Gauge& octets_gauge_;

    mutable std::mutex mutex_;  // everything below
    std::condition_variable arrived_;
    std::vector<Pending> waiting_;
    std::uint64_t in_flight_ = 0;
    std::uint64_t kept_octets_ = 0;
    std::uint64_t max_octets_ = 0;
    bool stopping_ = false;

    SteadyTime counted_at_{};  // the writer's
    std::thread writer_;
};

}  // namespace postfleet::maildir
