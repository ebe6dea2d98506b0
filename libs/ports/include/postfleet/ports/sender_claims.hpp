// SenderClaims (port): who is which sender (mail/ownership.hpp has the rules).
//
// A grant does not expire. Who claims again with what it has gets the same grant, at no cost; so an owner may ask now
// and then whether it is still the owner.
//
// Threads: thread-safe. Never blocks: completions run on the executor named.
// Errors: Unavailable, ResourceExhausted, DeadlineExceeded. A refusal is no error but a verdict.
#pragma once

#include <string>
#include <vector>

#include "postfleet/base/executor.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/mail/ownership.hpp"

namespace postfleet {

class SenderClaims {
public:
    virtual ~SenderClaims() = default;
    virtual void claim_sender(SenderClaim claim, Completion<Result<SenderVerdict>> done) = 0;
    // The name is free again. NotFound: it is held with another epoch.
    virtual void release_sender(std::string sender, std::uint64_t epoch, Completion<Status> done) = 0;
    // The name goes to the spool that is named, or (empty) to the one that was refused last; its next claim is granted,
    // and the former owner's is refused. NotFound: nobody was refused.
    virtual void take_over_sender(SenderTakeover takeover, Completion<Result<SenderGrant>> done) = 0;
    virtual void list_senders(Completion<Result<std::vector<SenderRecord>>> done) = 0;
};

}  // namespace postfleet
