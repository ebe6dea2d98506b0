// SqliteStateStore: the StateStore in a SQLite file, for a single machine.
//
// Calls wait in a line of at most kMostWaiting and are carried out one after the other on a thread of its own, each in
// one transaction (WAL, synchronous FULL). What still waits when it is destroyed is carried out first.
//
// Threads: thread-safe. open() and orders() block on the disk.
// Errors of open(): Corruption (the file is damaged), AlreadyExists (another process has it), InvalidArgument (of a
// newer program, or no database of ours), Unavailable (it cannot be opened). The texts say how to mend it.
#pragma once

#include <memory>
#include <string>

#include "postfleet/ports/state_store.hpp"

namespace postfleet::sqlite {

class SqliteStateStore final : public StateStore {
public:
    static constexpr std::size_t kMostWaiting = 1'000;

    static Result<std::unique_ptr<SqliteStateStore>> open(const std::string& path);
    ~SqliteStateStore() override;

    void add_orders(std::vector<Order> orders, Completion<Result<std::vector<OrderId>>> done) override;
    void remove_orders(std::vector<OrderId> orders, Completion<Status> done) override;
    void update_order(Order order, Completion<Status> done) override;
    Result<std::vector<Order>> orders() override;

private:
    class Impl;
    explicit SqliteStateStore(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace postfleet::sqlite
