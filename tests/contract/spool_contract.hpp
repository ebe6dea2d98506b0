// The promises of the ports Spool and EventLog, as checks that every implementation passes.
//
//   TEST_CASE("…") { spool_contract([] { return std::make_unique<MySpoolUnderTest>(); }); }
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "postfleet/ports/event_log.hpp"
#include "postfleet/ports/spool.hpp"
#include "postfleet/support/manual_executor.hpp"

namespace postfleet::contract {

class SpoolUnderTest {
public:
    virtual ~SpoolUnderTest() = default;
    virtual Spool& spool() = 0;
    virtual EventLog& events() = 0;
    virtual void restart() = 0;  // a new process with the same store
};

// Calls, and waits for the completion on an executor that this thread drives.
class SpoolCaller {
public:
    explicit SpoolCaller(Spool& spool) : spool_(spool) {}
    Status commit(SpoolBatch batch);
    Status append(MessageId id, std::uint32_t chunk, SharedOctets octets);
    Result<Spool::Loaded> load(TaskKey key);
    Result<bool> has_message(MessageId id);
    Result<bool> was_taken(MessageId taken_as);
    Result<SharedOctets> read_chunk(MessageId id, std::uint32_t chunk);
    Result<std::vector<Task>> load_tasks(std::vector<TaskKey> keys);
    Result<std::vector<Spool::Loaded>> load_facts(std::vector<TaskKey> keys);
    Status put_note(std::string name, std::string value);
    std::vector<Task> scan();
    support::ManualExecutor& executor() { return executor_; }

private:
    template <class T, class Start>
    T wait_for(Start&& start);
    Spool& spool_;
    support::ManualExecutor executor_;
};

void spool_contract(const std::function<std::unique_ptr<SpoolUnderTest>()>& make);

}  // namespace postfleet::contract
