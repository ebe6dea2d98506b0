// SubmissionDesk: submissions of one shard on their way to being durable mail, and what became of each.
//
//   submit ─▶ key? ─claim▶ New, Pending ─▶ finish() ─▶ SubmissionTransaction ─▶ Accepted (its key is confirmed)
//                  │         └─ Done ─▶ Duplicate            └─ Refused (its key is released) or Later
//                  └─ under way here already ─▶ waits for that one
//
// An answer comes once, never inside submit(). A key whose claim nobody confirmed goes on under the message id that it
// has (`taken_as`), so that the hand-over drops what it took before. What became of a key is told until the port has it,
// as long as this lives and no more than kMostUntold keys wait.
//
// Threads: confined to its shard. Borrows what it is made from; it must outlive the answers of the ports, and is not
// destroyed inside one of its own.
#pragma once

#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "postfleet/ingest/submission_transaction.hpp"
#include "postfleet/mail/submission.hpp"
#include "postfleet/ports/key_claims.hpp"

namespace postfleet::ingest {

struct SubmissionOutcome {
    enum class Kind : std::uint8_t {
        Accepted,   // durable
        Duplicate,  // its key was used; `id` is the message of then
        Refused,    // it can never be sent like this
        Later,      // nothing is wrong with it, and nothing of it was kept, as far as is known
    };
    Kind kind = Kind::Later;
    MessageId id;         // not of Refused
    std::string problem;  // of Refused and Later, for people
};

// Who hands it in.
struct SubmissionSource {
    const char* kind = "queue";  // as MessageOrigin has it
    std::string name;
    std::string user;
    // As MessageOrigin has it. shared_ptr: a reload may drop the user.
    std::shared_ptr<const KnownUser> sends_as;
    std::optional<MessageId> taken_as;  // under what it is taken once, where it has no key
    std::optional<MessageId> id;        // that it had when it was tried before, likewise
    // What holds for it. shared_ptr: a reload replaces the rules while submissions work by the old ones.
    std::shared_ptr<const ListenerRules> rules;
    Duration idempotency_window = std::chrono::hours(24);
};

class SubmissionDesk final {
public:
    using Answer = UniqueFunction<void(SubmissionOutcome&&)>;
    static constexpr std::size_t kKeysAtOnce = 500, kMostUntold = 100'000;
    static constexpr Duration kTellAgain = std::chrono::seconds(1);

    // Without `keys` nothing that has a key is taken.
    SubmissionDesk(IntakeShard& shard, ListenerShared& listener, KeyClaims* keys)
        : shard_(shard), listener_(listener), keys_(keys) {}
    ~SubmissionDesk();
    SubmissionDesk(const SubmissionDesk&) = delete;
    SubmissionDesk& operator=(const SubmissionDesk&) = delete;

    void submit(Submission submission, SubmissionSource source, Answer answer);
    std::size_t under_way() const { return entries_.size(); }
    Admission admission() { return shard_.desk().admission(); }

private:
    struct Entry final : SubmissionDriver {
        Entry(SubmissionDesk& owner, Submission s, SubmissionSource from, Answer a)
            : desk(owner), submission(std::move(s)), source(std::move(from)), answer(std::move(a)) {}
        void on_progress() override { desk.settle(*this); }
        SubmissionDesk& desk;
        Submission submission;
        SubmissionSource source;
        Answer answer;
        std::list<Entry>::iterator self;
        std::optional<IdempotencyKey> key;
        MessageId id;
        std::unique_ptr<SubmissionTransaction> transaction;
    };
    // Keys that are told to the port together, one call at a time.
    struct KeyLine {
        std::deque<IdempotencyKey> waiting;
        bool is_asking = false;  // or waits to ask again
        bool has_failed = false;
    };
    using TellKeys = void (KeyClaims::*)(std::vector<IdempotencyKey>, Completion<Status>);

    void take_key(Entry& entry);
    void claim(Entry& entry);
    void send_claims();
    void on_verdicts(std::vector<Entry*> asked, Result<std::vector<KeyVerdict>> verdicts);
    void start(Entry& entry);
    void settle(Entry& entry);
    void answer_later(Entry& entry, SubmissionOutcome outcome);
    void finish(Entry& entry, SubmissionOutcome outcome);
    void free_key(const Entry& entry);
    void tell(KeyLine& line, TellKeys what);
    void on_told(KeyLine& line, TellKeys what, const std::vector<IdempotencyKey>& keys, const Status& told);

    IntakeShard& shard_;
    ListenerShared& listener_;
    KeyClaims* const keys_;
    std::list<Entry> entries_;
    std::list<Entry> finished_;  // until nothing of them is on the stack any more
    std::vector<Entry*> claiming_;
    bool is_claiming_ = false;
    // Keys that are under way, with those that wait for the one before them.
    std::map<IdempotencyKey, std::deque<Entry*>> busy_;
    KeyLine confirmed_, released_;
    // Shared with the completions of the ports, which may come when the desk has gone.
    std::shared_ptr<SubmissionDesk*> alive_ = std::make_shared<SubmissionDesk*>(this);
};

}  // namespace postfleet::ingest
