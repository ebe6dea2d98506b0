// ConfirmedSending: publishes on a thread that may wait, as a ReportSink does: so many at once, all confirmed at the end.
//
//   send()       hands one message over; waits while `window` of them are not confirmed
//   await_all()  ok when each since the last await_all() was confirmed
//
// After an error from either, what was sent since the last await_all() is to be sent again; confirms of it that come
// later are nobody's. A message that can never be published (too large) is no error: it is told to `refused`.
//
// Confirms are run by the thread that waits, so nothing here is locked but the list of those that have come.
// Threads: confined, except finish_by(). Owns the publisher, whose completions never come after its end.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "postfleet/base/executor.hpp"
#include "postfleet/ports/broker.hpp"

namespace postfleet::reporting {

class ConfirmedSending final {
public:
    struct Options {
        std::size_t window = 1'000;
        Duration deadline = std::chrono::seconds(35);  // longer than a publisher waits for a confirm
    };

    ConfirmedSending(std::unique_ptr<BrokerPublisher> publisher, Options options);
    ~ConfirmedSending();
    ConfirmedSending(const ConfirmedSending&) = delete;
    ConfirmedSending& operator=(const ConfirmedSending&) = delete;

    Status send(BrokerAddress to, BrokerMessage message, std::function<void(const std::string& why)> refused);
    Status await_all();
    void finish_by(SteadyTime when);

private:
    // Where completions arrive; they run when somebody waits.
    class Inbox;

    Status wait_until_unconfirmed(std::size_t at_most);
    void on_confirm(std::uint64_t turn, const Status& status, const std::function<void(const std::string&)>& refused);
    Error give_up(Error error);

    const Options options_;
    std::atomic<SteadyTime::rep> finish_by_;
    std::unique_ptr<Inbox> inbox_;
    std::uint64_t turn_ = 0;  // grows when what was sent is given up
    std::size_t unconfirmed_ = 0;
    Status failed_;
    std::unique_ptr<BrokerPublisher> publisher_;  // destroyed before the inbox
};

}  // namespace postfleet::reporting
