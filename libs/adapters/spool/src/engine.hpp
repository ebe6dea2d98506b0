// Engine: the parts of a RocksSpool, put together and started in order.
#pragma once

#include <condition_variable>
#include <mutex>

#include "housekeeper.hpp"
#include "postfleet/spool/rocks_spool.hpp"
#include "reader_pool.hpp"
#include "replay.hpp"
#include "spool_directory.hpp"
#include "store_reader.hpp"
#include "writer.hpp"

namespace postfleet::spool {

class RocksSpool::Engine {
public:
    static Result<std::unique_ptr<Engine>> open(RocksSpoolOptions options);
    ~Engine();

    // Runs `job` on a reader thread and its result on the executor of `done`.
    template <class T, class Job>
    void read(Completion<Result<T>> done, Job job);
    std::uint32_t taken_days() const;  // before today, that ids are remembered

    RocksSpoolOptions options;
    std::unique_ptr<SpoolDirectory> directory;
    Files& files;
    Counters counters;
    Condition condition;
    Outbox outbox;
    SegmentLog log;
    std::unique_ptr<Index> index;
    std::mutex maintenance;
    std::unique_ptr<StoreReader> reader;
    // Stopped in the reverse order: nothing is added to what still runs.
    std::unique_ptr<Writer> writer;
    std::unique_ptr<Housekeeper> housekeeper;
    std::unique_ptr<ReaderPool> readers;

private:
    Engine(RocksSpoolOptions options, std::unique_ptr<SpoolDirectory> directory);
    Status start();
    Status open_index(const std::vector<SegmentLog::Found>& found);
    // Applies the log to the index and leaves the log ready to go on.
    Status apply_log(std::vector<SegmentLog::Found> found, bool tail_is_confirmed);
    Status apply_group(const ReplayedGroup& group);
    Status rebuild_index();
    Status start_outbox();
    void start_threads();
    Parts parts();
};

template <class T, class Job>
void RocksSpool::Engine::read(Completion<Result<T>> done, Job job) {
    auto* on = done.on;
    // Shared by the job and, when there is no room for it, by the refusal.
    auto run = std::make_shared<UniqueFunction<void(Result<T>)>>(std::move(done.run));
    auto answer = [on, run](Result<T> result) {
        on->post([run, result = std::move(result)]() mutable { (*run)(std::move(result)); });
    };
    Callback work = [answer, job = std::move(job)]() mutable { answer(job()); };
    if (!readers->add(work)) {
        answer(Error{ErrorKind::ResourceExhausted, "spool: too many reads are waiting"});
    }
}

}  // namespace postfleet::spool
