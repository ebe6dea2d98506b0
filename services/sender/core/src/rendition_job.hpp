// RenditionJob: the making of one rendition, step by step, in memory that is bounded: pieces of content come in, one
// outcome comes out.
//
//   take(chunk 0), take(chunk 1) … until is_done() ─▶ outcome()
//
// What is only signed is hashed piece by piece and forgotten. What is rewritten is gathered first.
// Threads: one thread at a time; blocks while it computes.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "message_signer.hpp"
#include "rendition.hpp"

namespace postfleet::sender {

struct RenditionOrder {
    // Of a text that is merged, and whom it is for.
    struct Merge {
        std::shared_ptr<const Message> message;
        Recipient recipient;
    };

    std::shared_ptr<const Message> message;  // as it is for its recipients
    SharedOctets first_chunk;
    RenditionForm form;
    WallTime now{};              // of signatures
    std::optional<Merge> merge;  // form.is_merged
};

class RenditionJob final {
public:
    RenditionJob(RenditionOrder order, std::shared_ptr<const SigningSetup> signing);

    void take(std::string_view chunk);
    bool is_done() const { return outcome_.has_value(); }
    const RenditionOutcome& outcome() const { return *outcome_; }

    const RenditionOrder& order() const { return order_; }
    RenditionKey key() const { return {order_.message->id, order_.form}; }
    std::uint32_t next_chunk() const { return chunks_; }
    std::size_t signatures() const { return signer_ ? signer_->signatures() : 0; }

private:
    bool is_whole() const { return chunks_ == order_.message->content_chunks; }
    bool is_rewritten() const { return order_.form.is_rewritten(); }
    void rewrite(std::string_view content);
    // On the first octets of what goes out; false: it is done.
    bool begin_signing(std::string_view content);
    void finish();
    void refuse(EnhancedStatus status, std::string text);
    void fail(std::string reason);

    const RenditionOrder order_;
    const std::shared_ptr<const SigningSetup> signing_;
    std::uint32_t chunks_ = 0;  // taken so far
    std::string gathered_;
    SharedOctets rewritten_;
    std::optional<MessageSigner> signer_;
    std::optional<RenditionOutcome> outcome_;
};

}  // namespace postfleet::sender
