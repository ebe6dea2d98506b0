// VerifyPool: the PasswordVerifier port over a few threads of its own.
//
//   verify() ── remembered as right ──▶ Match, without a hash
//       └── queue (max_waiting) ──▶ a thread hashes ──▶ Match (remembered) | NoMatch
//             └── full ──▶ Busy
//
// First come, first served. Destroying the pool finishes the checks at work, answers Busy to those that wait, and
// joins the threads; the executors named in completions outlive it.
//
// Threads: thread-safe; blocks only in its own threads and in the destructor.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "postfleet/base/digests.hpp"
#include "postfleet/base/time.hpp"
#include "postfleet/password/password_hash.hpp"
#include "postfleet/ports/password_verifier.hpp"

namespace postfleet::password {

struct VerifyPoolSettings {
    unsigned threads = 2;           // each holds one hash's memory while it works
    std::size_t max_waiting = 100;  // at two threads and 25 ms, who is last waits 1.3 s
    std::size_t max_remembered = 10'000;
    Duration remember_for = std::chrono::minutes(5);
    HashCost decoy_cost;  // of users that do not exist: that of most who do
};

class VerifyPool final : public PasswordVerifier {
public:
    VerifyPool(const Digests& digests, const VerifyPoolSettings& settings);
    ~VerifyPool() override;
    VerifyPool(const VerifyPool&) = delete;
    VerifyPool& operator=(const VerifyPool&) = delete;

    void verify(std::shared_ptr<const StoredPassword> stored, Secret password,
                Completion<PasswordVerdict> done) override;

    struct Statistics {
        std::uint64_t hashed = 0;      // checks made
        std::uint64_t remembered = 0;  // answered without one
        std::uint64_t busy = 0;
        std::size_t waiting = 0;  // now
    };
    Statistics statistics() const;

private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

}  // namespace postfleet::password
