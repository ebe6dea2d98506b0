// Renditions: makes the octets that a transaction sends, where they are not simply the stored ones.
//
//   form_for(message, server) ─▶ as stored: nothing to do, nothing is asked
//   make(order) ─▶ cache ─▶ RenditionJob: chunk ─▶ Workers ─▶ next chunk from the spool … ─▶ Rendition
//
// What is merged has one reader and is not kept; as long as it is small and not signed, making it takes less time than
// handing it to a worker, and is done at once. A message is read chunk by chunk for its signature. Who rewrites one needs all of it at once: kMaxWorking octets of
// such content are at work at the same time, and one larger message when it is alone. What does not fit now is Busy.
//
// Threads: thread-safe; the work is done on the Workers' threads, the spool is read on the shard that asked.
// The shards and the Workers have stopped before it goes.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>

#include "postfleet/base/executor.hpp"
#include "postfleet/ports/spool.hpp"
#include "postfleet/ports/workers.hpp"
#include "postfleet/smtp/capabilities.hpp"
#include "rendition.hpp"
#include "rendition_cache.hpp"
#include "rendition_job.hpp"
#include "sender_metrics.hpp"

namespace postfleet::sender {

class Renditions final {
public:
    static constexpr std::uint64_t kMaxWorking = 64ull << 20;       // stored octets, read whole
    static constexpr std::uint64_t kMaxMergedAtOnce = 64ull << 10;  // stored octets

    Renditions(Spool& spool, Workers& workers, SenderMetrics& metrics);

    // Keys, rules and memory from here on; what was made by others is forgotten.
    void configure(SigningSetup setup);

    RenditionForm form_for(const Message& message, const smtp::Capabilities& server) const {
        // Mail that needs SMTPUTF8 is not converted: it goes as it is, or not at all (RFC 6531 §3.6).
        return {.seven_bit = message.body_type != BodyType::SevenBit && !server.eight_bit_mime && !message.smtputf8,
                .short_lines = message.has_long_lines,
                .is_signed = signs_.load(std::memory_order_relaxed),
                .is_merged = static_cast<bool>(message.merge)};
    }

    void make(RenditionOrder&& order, Completion<RenditionOutcome> done);

private:
    struct Shared;
    struct Running;

    std::shared_ptr<Shared> shared() const;
    void read_next(const std::shared_ptr<Running>& running);
    void submit(const std::shared_ptr<Running>& running, SharedOctets chunk);

    Spool& spool_;
    Workers& workers_;
    SenderMetrics& metrics_;
    std::atomic<bool> signs_{false};
    mutable std::mutex mutex_;
    std::shared_ptr<Shared> shared_;  // by mutex_; what is at work keeps the one it began with
};

}  // namespace postfleet::sender
