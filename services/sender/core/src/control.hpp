// Control: SenderControl over the engine and its order desk.
//
// Works on the first shard, queue by queue, each for a short time under its lock.
//
// Threads: thread-safe.
#pragma once

#include "engine.hpp"
#include "order_desk.hpp"

namespace postfleet::sender {

class Control final : public SenderControl {
public:
    static constexpr std::size_t kMostListed = 100'000;

    Control(Engine& engine, OrderDesk& desk) : engine_(engine), desk_(desk) {}

    void status(Completion<SenderStatus> done) override;
    void list_queues(Completion<std::vector<QueueStatus>> done) override;
    void list_virtual_mtas(Completion<std::vector<VirtualMtaStatus>> done) override;
    void list_limits(Completion<std::vector<LimitStatus>> done) override;
    void list_tasks(MailSelector which, std::size_t limit, Completion<Result<std::vector<QueuedTask>>> done) override;
    void count(MailSelector which, Completion<Result<MailCount>> done) override;
    void give(std::vector<Order> orders, Completion<Result<std::vector<Order>>> done) override;
    void withdraw(std::vector<OrderId> orders, Completion<Result<std::vector<Order>>> done) override;
    void resume(MailSelector which, Completion<Result<std::vector<Order>>> done) override;
    void list_orders(OrderFilter filter, Completion<std::vector<Order>> done) override;
    void retry(MailSelector which, Completion<Result<MailCount>> done) override;
    void disable_source(SourceSelector which, std::optional<Duration> duration, std::string who, std::string why,
                        Completion<Result<std::uint64_t>> done) override;
    void enable_source(SourceSelector which, Completion<Result<std::uint64_t>> done) override;
    void begin_trace(TraceRequest request, Completion<Result<std::uint64_t>> done) override;
    void read_trace(std::uint64_t trace, Completion<Result<TracePart>> done) override;
    void set_mode(MailSelector which, QueueModeOrder mode, std::string who, std::string why,
                  Completion<Result<std::uint64_t>> done) override;

private:
    std::vector<std::shared_ptr<VirtualMta>> with_address(const SourceSelector& which, const IpAddress& source) const;
    struct Listing;
    std::vector<QueueStatus> queue_statuses(const Executor& clock) const;
    void finish_listing(const std::shared_ptr<Listing>& listing, Result<std::vector<Spool::Loaded>> loaded);

    Engine& engine_;
    OrderDesk& desk_;
};

}  // namespace postfleet::sender
