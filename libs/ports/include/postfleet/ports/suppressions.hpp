// Suppressions (port): the lists of those who get nothing (mail/suppression.hpp), of which there may be millions.
//
// Adding what is there replaces it; removing what is not there is ok. A suppression whose time is over is as good as
// removed.
//
// Threads: thread-safe. Never blocks: completions run on the executor named. Errors: as OrderStore's.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "postfleet/base/executor.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/mail/suppression.hpp"

namespace postfleet {

// Where a listing goes on: after this one, in the order of tenant and target.
struct SuppressionPage {
    SuppressionKey after;
    std::size_t limit = 1'000;
};

class Suppressions {
public:
    virtual ~Suppressions() = default;
    virtual void add_suppressions(std::vector<Suppression> suppressions, Completion<Status> done) = 0;
    virtual void remove_suppressions(std::vector<SuppressionKey> keys, Completion<Status> done) = 0;
    // As many answers, in their order: the suppression that covers the recipient, if there is one. The tenant's own goes
    // before everybody's, the address's before the domain's.
    virtual void find_suppressions(std::vector<SuppressionQuestion> questions,
                                   Completion<Result<std::vector<std::optional<Suppression>>>> done) = 0;
    virtual void list_suppressions(SuppressionPage page, Completion<Result<std::vector<Suppression>>> done) = 0;
};

}  // namespace postfleet
