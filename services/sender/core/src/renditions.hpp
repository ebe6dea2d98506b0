// Renditions: makes the octets that a transaction sends, where they are not simply the stored ones.
//
//   form_for(message, server) ─▶ as stored: nothing to do, nothing is asked
//   make(order) ─▶ cache ─▶ [whole content read, chunk by chunk] ─▶ Workers ─▶ Rendition
//
// Who rewrites a message needs all of it at once: kMaxWorking octets of such content are at work at the same time,
// and one larger message when it is alone. What does not fit now is Busy.
//
// Threads: thread-safe; the work is done on the Workers' threads, the spool is read on the shard that asked.
// It outlives the shards; a task of the Workers owns what it needs, and may outlive this.
#pragma once

#include <atomic>
#include <memory>

#include "postfleet/base/executor.hpp"
#include "postfleet/ports/spool.hpp"
#include "postfleet/ports/workers.hpp"
#include "postfleet/smtp/capabilities.hpp"
#include "rendition.hpp"
#include "rendition_cache.hpp"

namespace postfleet::sender {

class Renditions final {
public:
    static constexpr std::uint64_t kMemory = 32ull << 20;      // of renditions kept for later attempts
    static constexpr std::uint64_t kMaxWorking = 64ull << 20;  // stored octets, read whole

    Renditions(Spool& spool, Workers& workers);

    RenditionForm form_for(const Message& message, const smtp::Capabilities& server) const {
        // Mail that needs SMTPUTF8 is not converted: it goes as it is, or not at all (RFC 6531 §3.6).
        return {.seven_bit = message.body_type != BodyType::SevenBit && !server.eight_bit_mime && !message.smtputf8};
    }

    struct Order {
        std::shared_ptr<const Message> message;
        SharedOctets first_chunk;
        RenditionForm form;
    };
    void make(Order&& order, Completion<RenditionOutcome> done);

private:
    struct Job;
    struct Shared;

    void read_rest(std::unique_ptr<Job> job);
    void submit(std::unique_ptr<Job> job);

    Spool& spool_;
    Workers& workers_;
    // shared_ptr: a task of the Workers may be at work when we go.
    const std::shared_ptr<Shared> shared_;
};

}  // namespace postfleet::sender
