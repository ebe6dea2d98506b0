// NameHolder: whether this process may send under its sender's name (DESIGN section 5, "Ownership"; decision 0041).
//
//   waiting ──granted──▶ resting (after a takeover) ──▶ holding ──refused──▶ lost, for good
//                                                        │  ▲
//                            stood still for kStandstill ▼  │ a router says that it is still ours
//                                                      in doubt
//
// A grant does not expire, and an owner goes on while no router answers. What must not happen is that a process which
// was stopped (SIGSTOP, a suspended machine, a debugger) wakes after a takeover and sends. So the right to begin
// transactions is moved on every kBeat, by kStandstill; who has not been able to do that for so long stood still, sends
// nothing, and asks first. And who gets a name that another one had waits kTakeoverRest before it begins: time for an old
// owner that runs to be told.
//
// Threads: confined to `on`, but may_start() and obstacle(), which are thread-safe. Errors: none.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "postfleet/base/executor.hpp"
#include "postfleet/base/log.hpp"
#include "postfleet/mail/ownership.hpp"
#include "postfleet/ports/sender_claims.hpp"

namespace postfleet::sender {

struct NameHolderPorts {
    Executor& on;
    SenderClaims& claims;
    std::function<SteadyTime()> clock;  // that goes on while the machine sleeps
    std::function<void(SteadyTime until)> allow_until;
    std::function<void(const std::string& why)> lost;  // once: the process has to end
    Log log;
};

class NameHolder final : public std::enable_shared_from_this<NameHolder> {
public:
    static constexpr Duration kBeat = std::chrono::seconds(1);
    static constexpr Duration kStandstill = std::chrono::seconds(10);
    static constexpr Duration kTakeoverRest = std::chrono::seconds(15);

    NameHolder(NameHolderPorts ports, SenderClaim claim);

    // What the router says, now or later.
    void on_granted(const SenderGrant& grant);
    void on_refused(const std::string& why);
    void stop();

    bool may_start() const { return may_start_.load(); }
    std::uint64_t epoch() const { return claim_.epoch; }  // on `on`; 0: it was never granted
    // Why nothing is sent, for people; empty: the name is ours.
    std::string obstacle() const;

private:
    void beat();
    void ask();
    void on_verdict(const Result<SenderVerdict>& verdict);
    void lose(const std::string& why);
    void set_obstacle(std::string text);

    NameHolderPorts ports_;
    SenderClaim claim_;
    std::optional<SenderGrant> grant_;
    SteadyTime last_beat_{}, begins_at_{};
    bool was_refused_ = false, in_doubt_ = false, asking_ = false, stopped_ = false, is_beating_ = false;
    std::atomic<bool> may_start_{false};
    mutable std::mutex mutex_;
    std::string obstacle_ = "no router has granted the sender's name yet";
};

}  // namespace postfleet::sender
