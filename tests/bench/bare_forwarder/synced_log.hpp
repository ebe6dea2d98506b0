// SyncedLog: one file, one writer thread, group commit: what waits is written and synced together.
//
// A ring of written blocks (overwriting them is cheaper than growing a file), so nothing is ever removed and
// nothing could be recovered: enough to pay what durability costs, and no more. One wake-up per loop and group.
//
// Threads: append() from any loop; completions run on the loop named in the record.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "postfleet/net/loop_group.hpp"
#include "postfleet/net/unique_fd.hpp"

namespace postfleet::bench {

struct Mail {
    std::string envelope;  // MAIL and RCPT commands as they came, each with its line end
    unsigned recipients = 0;
    std::string content;  // with the final dot
    std::uint64_t number = 0;
};

class SyncedLog {
public:
    static Result<std::unique_ptr<SyncedLog>> open(const std::string& path, net::LoopGroup& loops);
    ~SyncedLog();

    void append(unsigned shard, std::shared_ptr<const Mail> mail, Callback when_synced);
    void append_done(std::uint64_t number);  // written with the next group, nobody waits

private:
    struct Record {
        unsigned shard;
        std::shared_ptr<const Mail> mail;
        Callback when_synced;
    };

    SyncedLog(net::UniqueFd file, net::LoopGroup& loops);
    void run();
    void write_group(std::vector<Record>& group, const std::vector<std::uint64_t>& done);
    void complete(std::vector<Record>& group);

    net::UniqueFd file_;
    net::LoopGroup& loops_;
    off_t offset_ = 0;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<Record> waiting_;
    std::vector<std::uint64_t> done_;
    bool is_sleeping_ = false;
    bool stopping_ = false;
    std::thread writer_;
};

}  // namespace postfleet::bench
