// Control: SenderControl over the engine. Orders that must outlive the process (pauses) are notes in the spool.
//
// Works on the first shard, queue by queue, each for a short time under its lock. Pauses are rules over queues
// (site and virtual MTA, each a name or "*"), so that they hold for queues that come later, too.
//
// Threads: thread-safe.
#pragma once

#include <atomic>

#include "engine.hpp"

namespace postfleet::sender {

class Control final : public SenderControl {
public:
    static constexpr std::size_t kMostListed = 100'000;
    static constexpr std::size_t kRemoveAtOnce = 500;

    explicit Control(Engine& engine) : engine_(engine) {}

    // Before traffic: the pauses of earlier.
    void restore_pauses();

    void status(Completion<SenderStatus> done) override;
    void list_queues(Completion<std::vector<QueueStatus>> done) override;
    void list_virtual_mtas(Completion<std::vector<VirtualMtaStatus>> done) override;
    void list_limits(Completion<std::vector<LimitStatus>> done) override;
    void list_tasks(MailSelector which, std::size_t limit, Completion<Result<std::vector<QueuedTask>>> done) override;
    void pause(MailSelector which, std::string who, std::string why, Completion<Result<std::uint64_t>> done) override;
    void resume(MailSelector which, Completion<Result<std::uint64_t>> done) override;
    void retry(MailSelector which, Completion<Result<std::uint64_t>> done) override;
    void disable_source(SourceSelector which, std::optional<Duration> duration, std::string who, std::string why,
                        Completion<Result<std::uint64_t>> done) override;
    void enable_source(SourceSelector which, Completion<Result<std::uint64_t>> done) override;
    void set_mode(MailSelector which, QueueModeOrder mode, std::string who, std::string why,
                  Completion<Result<std::uint64_t>> done) override;
    void remove(MailSelector which, std::string who, std::string why, Completion<Result<std::uint64_t>> done) override;

private:
    std::vector<std::shared_ptr<VirtualMta>> with_address(const SourceSelector& which, const IpAddress& source) const;
    struct Removal;
    struct Listing;
    std::vector<QueueStatus> queue_statuses(SteadyTime now) const;
    void finish_listing(const std::shared_ptr<Listing>& listing, Result<std::vector<Task>> tasks);
    void remove_some(const std::shared_ptr<Removal>& removal, Shard& shard);
    void apply_pauses();

    Engine& engine_;
};

}  // namespace postfleet::sender
