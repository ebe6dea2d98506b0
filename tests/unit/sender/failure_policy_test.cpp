#include "failure_policy.hpp"

#include <catch2/catch.hpp>
#include <vector>

using namespace postfleet;
using namespace postfleet::sender;
using namespace std::chrono_literals;
using smtp::Ending;

namespace {

constexpr auto kKeep = SessionEffect::Keep;
constexpr auto kClose = SessionEffect::Close;
constexpr auto kNone = QueueEffect::None;
constexpr auto kBackOff = QueueEffect::BackOff;

AttemptEnd replied(SmtpPhase phase, int code, EnhancedStatus enhanced = {}) {
    AttemptEnd end;
    end.phase = phase;
    end.reply = Reply{code, enhanced, ""};
    return end;
}

AttemptEnd ended(Ending ending, SmtpPhase phase, EnhancedStatus enhanced = {}) {
    AttemptEnd end = replied(phase, 0, enhanced);
    end.ending = ending;
    return end;
}

const std::vector kTransaction{SmtpPhase::Mail, SmtpPhase::Rcpt, SmtpPhase::Data, SmtpPhase::Body,
                               SmtpPhase::EndOfData};
const std::vector kOpening{SmtpPhase::Connect, SmtpPhase::Greeting, SmtpPhase::Ehlo, SmtpPhase::StartTls,
                           SmtpPhase::Auth};

}  // namespace

TEST_CASE("only a positive reply to the message delivers") {
    CHECK(judge(replied(SmtpPhase::EndOfData, 250)) == Verdict{Disposition::Delivered, kNone, kKeep});
    CHECK(judge(replied(SmtpPhase::EndOfData, 299)) == Verdict{Disposition::Delivered, kNone, kKeep});
}

TEST_CASE("4xx defers and 5xx bounces, in every phase of a transaction") {
    for (const SmtpPhase phase : kTransaction) {
        CAPTURE(to_string(phase));
        for (const int code : {400, 421, 450, 451, 452, 499}) {
            CAPTURE(code);
            CHECK(judge(replied(phase, code)).disposition == Disposition::Deferred);
        }
        for (const int code : {500, 550, 553, 554, 599}) {
            CAPTURE(code);
            CHECK(judge(replied(phase, code)) == Verdict{Disposition::Bounced, kNone, kKeep});
        }
        CHECK(judge(replied(phase, 421)).session == kClose);
    }
}

TEST_CASE("before a session is open nothing bounces, and the queue backs off") {
    for (const SmtpPhase phase : kOpening) {
        CAPTURE(to_string(phase));
        for (const int code : {421, 450, 550, 554}) {
            CHECK(judge(replied(phase, code)) == Verdict{Disposition::Deferred, kBackOff, kClose});
        }
        CHECK(judge(ended(Ending::Lost, phase)) == Verdict{Disposition::Deferred, kBackOff, kClose});
        CHECK(judge(ended(Ending::Garbage, phase)) == Verdict{Disposition::Deferred, kBackOff, kClose});
    }
    CHECK(judge(ended(Ending::Lost, SmtpPhase::Resolve)) == Verdict{Disposition::Deferred, kBackOff, kClose});
}

TEST_CASE("a domain that can take no mail bounces") {
    CHECK(judge(ended(Ending::Refused, SmtpPhase::Resolve, {5, 1, 2})).disposition == Disposition::Bounced);
    CHECK(judge(ended(Ending::Refused, SmtpPhase::Resolve, {5, 1, 10})).disposition == Disposition::Bounced);
}

TEST_CASE("a loss defers, in every phase") {
    for (const SmtpPhase phase : kTransaction) {
        CHECK(judge(ended(Ending::Lost, phase)) == Verdict{Disposition::Deferred, kNone, kClose});
        CHECK(judge(ended(Ending::Garbage, phase)) == Verdict{Disposition::Deferred, kNone, kClose});
        CHECK(judge(ended(Ending::Aborted, phase)) == Verdict{Disposition::Deferred, kNone, kClose});
    }
}

TEST_CASE("a used connection that closes before it dealt with the transaction costs no attempt") {
    for (AttemptEnd end : {ended(Ending::Lost, SmtpPhase::Mail), replied(SmtpPhase::Mail, 421)}) {
        end.fresh_connection = false;
        end.touched = false;
        CHECK(judge(end) == Verdict{Disposition::NotTried, kNone, kClose});
        end.touched = true;
        CHECK(judge(end).disposition == Disposition::Deferred);
        end.touched = false;
        end.fresh_connection = true;
        CHECK(judge(end).disposition == Disposition::Deferred);
    }
}

TEST_CASE("too many recipients: the others go in the next transaction, if this one brought somebody home") {
    for (AttemptEnd end : {replied(SmtpPhase::Rcpt, 452), replied(SmtpPhase::Rcpt, 452, {4, 5, 3}),
                           replied(SmtpPhase::Rcpt, 552), replied(SmtpPhase::Rcpt, 552, {5, 5, 3})}) {
        CHECK(judge(end).disposition == Disposition::Deferred);
        end.others_accepted = true;
        CHECK(judge(end) == Verdict{Disposition::NotTried, kNone, kKeep});
    }
    AttemptEnd full = replied(SmtpPhase::Rcpt, 452, {4, 2, 2});
    full.others_accepted = true;
    CHECK(judge(full).disposition == Disposition::Deferred);
    CHECK(judge(replied(SmtpPhase::Rcpt, 552, {5, 2, 2})).disposition == Disposition::Bounced);
}

TEST_CASE("a message that the server cannot take bounces without being sent") {
    CHECK(judge(ended(Ending::Refused, SmtpPhase::Mail, {5, 3, 4})) == Verdict{Disposition::Bounced, kNone, kKeep});
}

TEST_CASE("every phase, ending and kind of reply has a verdict") {
    for (int phase = 0; phase <= static_cast<int>(SmtpPhase::Quit); ++phase) {
        for (int ending = 0; ending <= static_cast<int>(Ending::Aborted); ++ending) {
            for (const int code : {0, 220, 250, 354, 421, 450, 550}) {
                AttemptEnd end = replied(static_cast<SmtpPhase>(phase), code);
                end.ending = static_cast<Ending>(ending);
                const Verdict verdict = judge(end);
                // Nothing but a positive reply to the message delivers.
                if (verdict.disposition == Disposition::Delivered) {
                    CHECK(end.phase == SmtpPhase::EndOfData);
                    CHECK(end.ending == Ending::Replied);
                    CHECK(code / 100 == 2);
                }
            }
        }
    }
}

TEST_CASE("the retry list: the last entry repeats, and never beyond the expiry") {
    const std::vector<Duration> list{10min, 30min, 2h};
    const WallTime now = from_unix_microseconds(0);
    CHECK(next_due(1, list, now, WallTime::max()) == now + 10min);
    CHECK(next_due(2, list, now, WallTime::max()) == now + 30min);
    CHECK(next_due(3, list, now, WallTime::max()) == now + 2h);
    CHECK(next_due(4, list, now, WallTime::max()) == now + 2h);
    CHECK(next_due(65535, list, now, WallTime::max()) == now + 2h);
    CHECK(next_due(3, list, now, now + 1h) == now + 1h);
}

TEST_CASE("expiry counts from acceptance, or is the submitter's deadline if that is earlier") {
    const WallTime accepted = from_unix_microseconds(0);
    CHECK(expiry_of(accepted, WallTime::max(), 4h) == accepted + 4h);
    CHECK(expiry_of(accepted, accepted + 1h, 4h) == accepted + 1h);
}

TEST_CASE("the rest after failed connections grows, within bounds") {
    const std::vector<Duration> list{10min};
    CHECK(backoff_after(1, list) == 1s);
    CHECK(backoff_after(2, list) == 2s);
    CHECK(backoff_after(5, list) == 16s);
    CHECK(backoff_after(9, list) == 256s);
    CHECK(backoff_after(10, list) == 5min);
    CHECK(backoff_after(4'000'000'000, list) == 5min);
    CHECK(backoff_after(5, std::vector<Duration>{3s}) == 3s);
}

TEST_CASE("reply patterns change what becomes of a recipient, and of none that was delivered") {
    using enum Disposition;
    const auto with = [](auto set) {
        Reaction reaction;
        reaction.rule = "mta.yaml:1 (x)";
        set(reaction);
        return reaction;
    };
    const auto skip = with([](Reaction& r) { r.skip_host = true; });
    const auto all = with([](Reaction& r) { r.bounce_queue = true; });
    const auto give_up = with([](Reaction& r) { r.bounce_recipient = true; });
    const auto soften = with([](Reaction& r) { r.defer_recipient = true; });
    struct Case {
        Disposition before;
        Reaction reaction;
        SmtpPhase phase;
        bool other_host;
        Disposition after;
    };
    const std::vector<Case> cases{
        {Bounced, skip, SmtpPhase::Mail, true, NotTried},    {Bounced, skip, SmtpPhase::Mail, false, Deferred},
        {Deferred, skip, SmtpPhase::Rcpt, true, NotTried},   {Deferred, all, SmtpPhase::Mail, true, Bounced},
        {NotTried, all, SmtpPhase::Rcpt, true, Bounced},     {Deferred, give_up, SmtpPhase::Rcpt, true, Bounced},
        {Deferred, give_up, SmtpPhase::Data, true, Deferred}, {Bounced, soften, SmtpPhase::Rcpt, true, Deferred},
        {Deferred, soften, SmtpPhase::Rcpt, true, Deferred}, {Bounced, {}, SmtpPhase::Rcpt, true, Bounced},
    };
    for (const Case& c : cases) CHECK(refine(c.before, c.reaction, c.phase, c.other_host) == c.after);
    for (const Reaction& reaction : {skip, all, give_up, soften}) {
        CHECK(refine(Delivered, reaction, SmtpPhase::Rcpt, true) == Delivered);
        CHECK(refine(Cancelled, reaction, SmtpPhase::Rcpt, true) == Cancelled);
    }
}

TEST_CASE("what failed together is not tried again together") {
    Duration least = 1h, most{};
    for (std::uint64_t random = 0; random < 5000; ++random) {
        least = std::min(least, jittered(4s, random));
        most = std::max(most, jittered(4s, random));
    }
    CHECK(least == 3s);
    CHECK(most < 5s);
    CHECK(most > 4900ms);
}
