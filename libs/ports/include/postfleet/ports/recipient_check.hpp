// RecipientCheck (port): which recipients are on the suppression lists, asked of whoever keeps these.
//
//  * has_any() is false while the lists are known to be empty: then nobody needs to be asked. An addition elsewhere is
//    known within a second or two. Who answers no more may have additions: it is true again.
//  * check() answers within seconds: as many answers, in the order of the questions.
//
// Threads: thread-safe. Never blocks: completions run on the executor named.
// Errors: Unavailable, DeadlineExceeded: nobody answers, at once while that is known; ResourceExhausted: too many ask.
#pragma once

#include <optional>
#include <vector>

#include "postfleet/base/executor.hpp"
#include "postfleet/base/result.hpp"
#include "postfleet/mail/suppression.hpp"

namespace postfleet {

class RecipientCheck {
public:
    using Answers = std::vector<std::optional<Suppression>>;

    virtual ~RecipientCheck() = default;
    virtual bool has_any() const = 0;
    virtual void check(std::vector<SuppressionQuestion> questions, Completion<Result<Answers>> done) = 0;
};

}  // namespace postfleet
