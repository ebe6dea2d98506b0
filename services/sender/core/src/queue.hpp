// Queue: the waiting mail of one `site/vmta`, its limits, and the sessions that deliver it.
//
// Sessions on any shard take work straight from here, so one hot queue uses all cores; the home shard only
// keeps the timer. Whoever changes something pumps: asks for the next action under the lock, and carries it out
// without it, until there is none.
//
//   arrive ─▶ lane ─▶ idle session on this shard? on another? may a connection be opened? else it waits
//   session: next_for ─▶ work | stays idle | quits; an idle one is told to leave where its connection is wanted (queue_room.cpp)
//
// A route is one destination (MX set) inside the queue: its mail goes only through sessions opened for it, and it
// backs off on its own when connecting fails: longer each time, then one probe. One task is deferred per failure,
// so that the reason is told; the rest holds.
//
// Every ready task goes, or hold_reason() names why not (P5). Limits are kept here for the queue (a permit for
// a connection from before connecting until its close has completed), in SharedLimit for what is wider.
//
// Threads: thread-safe; the lock is held for about 100 ns. What looks at every task (orders, expiry of held mail,
// re-keying) does so in slices of kSlice, a few microseconds each. Lock order: queue, then site table or virtual MTA. shared_ptr: table, sessions and timers hold it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "destination.hpp"
#include "postfleet/base/metrics.hpp"
#include "outcome.hpp"
#include "postfleet/ports/sender_control.hpp"
#include "postfleet/schedule/task_queue.hpp"
#include "postfleet/shaping/pacing.hpp"
#include "postfleet/shaping/settings.hpp"
#include "rate_meter.hpp"
#include "selection.hpp"
#include "shared_limit.hpp"
#include "virtual_mta.hpp"
#include "warm_up.hpp"
#include "work.hpp"

namespace postfleet::sender {

class DeliverySession;
class Engine;
struct Shard;

using SettingsPointer = std::shared_ptr<const shaping::Settings>;

// Who tried, where and how it ended, when no transaction came about.
struct OpenFailure {
    SmtpPhase phase = SmtpPhase::Connect;
    smtp::Ending ending = smtp::Ending::Lost;
    Reply reply;
    std::string mx_host, mx_address, source_address;
};

// What becomes of a task without a transaction.
struct Untried {
    Disposition disposition = Disposition::Deferred;
    OpenFailure failure;  // Deferred, Bounced
    std::string reason;   // Expired
};

class Queue final : public std::enable_shared_from_this<Queue> {
public:
    enum class Spread : std::uint8_t { Here, AllShards };  // where new connections are opened

    Queue(Engine& engine, std::string site, std::shared_ptr<VirtualMta> virtual_mta, unsigned home);

    const std::string name, site;
    const std::shared_ptr<VirtualMta> virtual_mta;
    const unsigned home;

    // --- mail (queue.cpp)
    void arrive(schedule::NewTask&& task, const std::shared_ptr<Destination>& to, Shard& shard);
    // Its outcome is durable; what remains of it arrives anew.
    void finish(schedule::TaskId id, const OutcomeCounts& counts, const std::string& last_failure, SteadyTime now);
    void put_back(Work&& work, Shard& shard);
    // Another task of its message that may share its transaction; none: there is no such next in line.
    Work take_companion(const Work& work, WallTime now);
    // It was claimed for nothing: where it was, or at the end of its lane.
    void give_back(Work&& work, Shard& shard);
    // Out of memory only, not an attempt: the spool could not read it just now.
    void put_aside(Work&& work, WallTime until, Shard& shard);
    // Tasks of this domain belong elsewhere: at another destination here, or in another queue (queue_moves.cpp).
    void move_domain(std::uint32_t domain, const std::shared_ptr<Destination>& to, Shard& shard);
    struct Leaving {
        schedule::NewTask task;
        std::string tenant, job;
        std::shared_ptr<Destination> to;
    };
    // DNS failed for this domain: one of its tasks is deferred, the others hold.
    void on_resolve_failed(const std::shared_ptr<Destination>& to, Shard& shard);

    // Waiting mail that is held (at the time `now`, or longer) lets go of its content (queue_content.cpp).
    void forget_content(SteadyTime now);

    // --- sessions (queue_sessions.cpp)
    struct Next {
        enum class Kind : std::uint8_t { Work, Idle, Quit } kind = Kind::Idle;
        Work work;
    };
    Next next_for(const std::shared_ptr<DeliverySession>& session, Shard& shard);
    // False: it was given work in the meantime, which is on its way, or told to leave().
    bool leave_idle(const DeliverySession& session, Shard& shard);
    void on_leaving(DeliverySession& session);  // it will close
    // Whether its sessions count in this limit, which is not one of addresses.
    bool counts_in(const SharedLimit& limit) const;
    void on_opened(std::uint32_t route);
    void on_open_failed(std::uint32_t route, OpenFailure failure, Shard& shard);
    void on_no_source(std::uint32_t route, std::string reason, SteadyTime retry_at);
    void on_source_enabled(Shard& shard);
    void on_open_abandoned(std::uint32_t route);
    std::string waiting_domain(std::uint32_t route) const;  // of some task that waits for this route; or empty
    void on_closed(const DeliverySession& session, std::uint32_t route, Shard& shard);
    // A permit for one recipient (or message, if only octets are limited) of every rate that holds, or when to ask again.
    std::optional<SteadyTime> take_message_permit(const DeliverySession& session, std::uint64_t octets, SteadyTime now);
    void pass_turn(const DeliverySession& session, SteadyTime used_at, Shard& shard);
    void release_turn(const DeliverySession& session, Shard& shard);  // the permit was not used
    // The session does not wait that long; the queue keeps its place in the line.
    void wait_for_permit(const DeliverySession& session, SteadyTime until);
    // No address of the destination has room for a connection until then, or until somebody makes room.
    void on_no_room(std::uint32_t route, std::string reason, SteadyTime retry_at);
    void on_room(Shard& shard, const SharedLimit& limit);

    // --- mode (queue_mode.cpp)
    struct ModeState {
        QueueMode mode = QueueMode::Normal;
        WallTime since{}, until = schedule::kNever;
        std::string reason;
    };
    // In backoff the queue runs by the careful settings (shaping::in_backoff). Tells of it, and keeps it over a
    // restart, if that is news.
    void set_mode(QueueMode mode, const std::string& reason, Shard& shard);
    void restore_backoff(ModeState state);
    bool is_in_backoff() const { return in_backoff_.load(std::memory_order_relaxed); }
    // Mail leaves for another virtual MTA: what could go now while the queue is in backoff, and what is above the
    // day's warm-up limit (engine_moves.cpp). It could not: the queue sends it itself until then.
    void on_cannot_move(Work&& work, SteadyTime until, Shard& shard);
    void restore_warm_up(std::string_view note);
    bool is_warm_up_used_up(WallTime now) const;
    // How many of so many recipients may be tried now; they are counted. None: today's limit is used up, or it is being
    // written down that they go.
    std::uint32_t take_warm_up(std::uint32_t wanted, WallTime now);
    void on_warm_up_kept(WarmUp::Kept kept, Shard& shard);
    // Everything waits for the first retry_after.
    void defer_all(std::string reason, Shard& shard);

    // --- pumping
    void pump(Shard& shard, Spread spread);

    // --- operators (queue_orders.cpp)
    void configure(SettingsPointer settings);
    SettingsPointer settings() const;
    void set_paused(bool paused, std::string reason);
    QueueStatus status(const Executor& clock) const;
    std::uint64_t recipients() const;         // ready, waiting, held or in flight
    bool is_abandoned(SteadyTime now) const;  // empty, not paused, no sessions: may be forgotten
    void abandon();                           // the process ends: lets go of the sessions
    struct Listed {
        TaskKey key;
        std::string state;  // "ready", "waiting", "in flight", "held: …"
    };
    void list(const Selection& which, std::size_t limit, Executor& clock, std::vector<Listed>& out);
    // One slice of what `which` covers as far as waiting tasks tell, from place `from` on, which is moved on and is 0
    // at the end. Ids are good for as long as the keys are still theirs; the calls below check that.
    struct Found {
        schedule::TaskId id = schedule::kNoTask;
        TaskKey key;
        std::uint32_t recipients = 0;
    };
    struct Slice {
        std::vector<Found> waiting;    // ready, waiting or held
        std::vector<Found> in_flight;  // with a session
        bool has_claimed = false;      // some are out of the queue for good, but not recorded yet
    };
    Slice look(const Selection& which, std::uint32_t& from);
    // Those that are still there and not in flight, out of turn.
    std::vector<Work> claim(std::span<const Found> found);
    // The same one by one: it comes into the queue in flight.
    Work arrive_claimed(schedule::NewTask&& task, const std::shared_ptr<Destination>& to, Shard& shard);
    void mark_claimed(schedule::TaskId id);
    bool is_in_flight(const Found& found) const;
    std::uint64_t hold(std::span<const Found> found, std::uint32_t order);  // answers for how many recipients
    void hold(Work&& work, std::uint32_t order);
    // One slice of what this order holds goes on, unless another one holds it.
    void release(std::uint32_t order, std::uint32_t& from, WallTime now);
    void wake(std::span<const Found> found, WallTime now);
    void end_rests(Shard& shard);  // after failures; the operator knows better
    std::optional<WallTime> oldest();

private:
    static constexpr std::uint32_t kSlice = 1024;
    // Between two looks at all tasks, for each: a look takes about a hundredth of that.
    static constexpr Duration kRestPerTask = std::chrono::microseconds(1);
    static constexpr std::size_t kFewestRoutes = 1024;  // before those that nobody uses are forgotten
    static constexpr std::size_t kFewRoutes = 64;       // may all be looked at, whatever happened
    // Between two looks at more of them, for each: a look takes about a hundredth of that.
    static constexpr Duration kRestPerRoute = std::chrono::microseconds(1);
    static constexpr std::uint64_t kGoesSoon = 256;  // in line before a task that keeps its content all the same

    struct Route {
        std::shared_ptr<Destination> to;  // null: DNS has not answered
        std::uint32_t connecting = 0;
        std::uint32_t open = 0;      // sessions that got as far as Ready and are not closed
        std::uint32_t failures = 0;  // in a row
        SteadyTime retry_at = SteadyTime::min();
        SteadyTime room_at = SteadyTime::min();  // limits of its addresses
        std::string no_room_reason;
    };
    struct Idle {
        std::shared_ptr<DeliverySession> session;
        SteadyTime since;
    };
    // The rates that a message, or a connection, needs a permit of.
    struct Paces {
        static constexpr std::size_t kMost = 8;
        std::array<shaping::PacedScope, kMost> scopes;
        std::size_t count = 0;
        bool are_shared = false;
        void add(shaping::PacedLimit& limit, const shaping::Pace& pace, bool is_shared);
        std::span<const shaping::PacedScope> all() const { return std::span(scopes).first(count); }
    };
    struct Action {
        enum class Kind : std::uint8_t { None, Assign, Open, Untried, AskAgain, Move, Leave } kind = Kind::None;
        std::shared_ptr<DeliverySession> session;  // Assign, Leave
        Work work;                                 // Assign, Untried
        Untried untried;
        std::uint32_t route = 0;                   // Open
        std::shared_ptr<Destination> destination;  // Open
        unsigned shard = 0;                        // Open
        std::uint32_t domain = 0;                  // AskAgain
        std::vector<Work> expired;                 // also to be carried out, as what orders end or move
        bool arm = false;                          // the timer is to be set
        bool cannot_open = false;                  // a connection, for whatever route
    };

    // `arrived`: all that is new is mail for this route.
    Action next_action_locked(Shard& shard, Spread spread, std::optional<std::uint32_t> arrived = {});
    template <class Try>
    void try_routes_locked(const Action& action, Try&& is_action);
    bool perform(Action&& action, Shard& shard);
    bool try_route_locked(std::uint32_t number, Shard& shard, Spread spread, Action& action, SteadyTime& wake_at);
    bool may_open_locked(std::uint32_t number, SteadyTime now, Action& action, SteadyTime& wake_at);
    bool has_something_to_wait_for_locked(const Route& route, SteadyTime now, SteadyTime& wake_at) const;
    bool take_shared_connections_locked(SteadyTime now);
    bool take_shared_connection_locked(const LimitUse& use, bool passes_line);
    void give_back_shared_connections_locked(std::size_t count);
    void find_pace_locked();
    Paces message_paces_locked(const DeliverySession& session);
    // Who stands in the lines of rates: the queue, or, where only its addresses are limited, the session.
    const void* asker_locked(const DeliverySession& session) const;
    std::unique_lock<std::mutex> lock_rates(const Paces& paces);
    void mark_paced_locked(Work& work, const std::shared_ptr<DeliverySession>& session);
    bool is_held_locked(const Route& route, SteadyTime now) const;
    bool may_keep_content_locked(std::uint32_t route, SteadyTime now) const;
    std::uint32_t route_of_locked(const std::shared_ptr<Destination>& to, const Shard& shard);
    void forget_routes_locked(SteadyTime now);
    using Moves = std::unordered_map<std::uint32_t, std::shared_ptr<Destination>>;  // of domains
    void make_moves(Shard& shard);
    void make_moves_at(SteadyTime when);
    void go_on_moving(std::shared_ptr<const Moves> moves, std::uint32_t from, Shard& shard);
    void finish_moves(Shard& shard);
    std::vector<Leaving> move_slice(const Moves& moves, std::uint32_t& from, const Shard& shard);
    Leaving extract_locked(schedule::TaskId id, const std::shared_ptr<Destination>& to);
    Work take_locked(std::uint32_t route, WallTime now, std::vector<Work>& expired);
    Work make_work_locked(schedule::TaskId id);
    MailFacts facts_locked(schedule::TaskId id) const;
    bool is_idle_locked(const Found& found) const;
    WallTime expiry_locked(schedule::TaskId id) const;
    bool may_deliver_locked() const;
    void apply_mode_locked();
    bool has_served_its_time(WallTime now) const;
    bool wants_to_move_locked(SteadyTime now, WallTime wall_now) const;
    bool has_warm_up_left_locked(WallTime wall_now) const;
    bool leaves_instead_locked(SteadyTime now, WallTime wall_now, SteadyTime& wake_at) const;
    bool is_deferred_locked(SteadyTime now, SteadyTime& wake_at) const;
    SteadyTime next_message_permit_locked() const;
    std::string hold_reason_locked(const Executor& clock) const;
    std::string why_no_connection_locked(const Route& route, SteadyTime now) const;
    std::shared_ptr<DeliverySession> pop_idle_locked(std::uint32_t route, unsigned shard, SteadyTime now,
                                                     SteadyTime& wake_at);
    bool may_give_locked(SteadyTime now, SteadyTime& wake_at) const;
    // --- room for mail that waits for a connection (queue_room.cpp)
    bool is_full_locked() const;
    bool starves_locked(std::uint32_t route, SteadyTime now, SteadyTime& wake_at) const;
    bool lacks_room_locked(std::uint32_t coming, SteadyTime now, SteadyTime& wake_at);
    bool leaves_room_locked(const Route& route, SteadyTime now);
    bool can_be_spared_locked(const DeliverySession& session) const;
    bool must_make_room_locked(const DeliverySession& session, SteadyTime now, SteadyTime& wake_at);
    bool must_yield_locked(const DeliverySession& session, bool is_idle) const;
    SteadyTime more_wanted_since_locked(SteadyTime now);
    void make_room_locked(SteadyTime now, Action& action, SteadyTime& wake_at);
    void mark_leaving_locked(DeliverySession& session);
    void push_idle_locked(std::shared_ptr<DeliverySession> session, SteadyTime now);
    std::shared_ptr<DeliverySession> take_idle_locked(std::size_t shard, std::size_t place);
    void count_idle_locked(const DeliverySession& session, std::int32_t change);
    SteadyTime next_wake_locked(Shard& shard, SteadyTime wake_at) const;
    // --- the wall clock (queue_clock.cpp)
    struct Deferred {
        WallTime due;
        std::uint16_t attempts;
        std::uint32_t domain;
        std::string_view tenant;
    };
    bool was_set_back_locked(WallTime wall_now, SteadyTime now);
    WallTime bound_due_locked(const Deferred& task, WallTime now) const;
    void bound_waits(WallTime now);

    void set_timer();
    void on_timer();
    struct Woken {
        schedule::TaskId id;
        TaskKey key;
        std::uint32_t domain;
    };
    void look_where_they_go(const std::vector<Woken>& woken, Shard& shard);
    void expire_held(Shard& shard);

    Engine& engine_;
    mutable std::mutex mutex_;
    schedule::TaskQueue tasks_;
    std::vector<Route> routes_;
    std::unordered_map<const Destination*, std::uint32_t> route_numbers_;
    std::vector<std::uint32_t> free_routes_;
    std::size_t forget_routes_at_ = kFewestRoutes;
    Moves moves_;             // that the next look makes
    bool is_moving_ = false;  // a look is due, or under way
    SteadyTime moves_again_at_ = SteadyTime::min();
    std::vector<std::uint32_t> unconnected_routes_;  // whose mail bounces, or waits for DNS
    std::vector<std::vector<Idle>> idle_;            // by shard; the last is the warmest
    std::uint32_t idle_sessions_ = 0;                // in all of them
    SettingsPointer usual_settings_, settings_;      // the second ones are in force
    ModeState mode_;
    std::atomic<bool> in_backoff_{false};
    SteadyTime deferred_until_ = SteadyTime::min();
    std::string deferred_reason_;
    std::uint32_t connections_ = 0;                      // from before connecting until the close has completed
    std::uint32_t leaving_ = 0;                          // of these: those that are closing, or told to
    std::size_t look_from_ = 0;                          // where in ready_destinations() one was found that starves
    SteadyTime more_wanted_since_{}, more_wanted_at_{};  // connections than there may be
    SteadyTime look_again_at_ = SteadyTime::min();       // for such
    unsigned next_shard_ = 0;
    const SharedLimit* woken_by_ = nullptr;              // it has a connection for us
    std::vector<LimitUse> wider_;                        // what this queue's connections and messages count in, too
    bool is_paced_ = false, counts_recipients_ = false;  // by a rate of the queue or a wider one
    shaping::PacedLimit messages_, connects_;
    WarmUp warm_up_;
    SteadyTime stays_until_ = SteadyTime::min();  // mail cannot move: nobody else takes it
    SteadyTime permit_at_ = SteadyTime::min();    // when to ask for the next one again, if that is far away
    const DeliverySession* turn_ = nullptr;       // holds a task and waits for its message permit
    bool paused_ = false;
    bool keeps_content_ = false;  // some waiting task may have its content in memory
    std::string pause_reason_;
    SteadyTime no_source_until_ = SteadyTime::min();
    std::string no_source_reason_;
    WallTime earliest_expiry_ = schedule::kNever;  // not later than any task's
    std::optional<Duration> wall_ahead_;           // of the steady clock, when the timer last ran
    SteadyTime armed_for_ = SteadyTime::max();
    TimerId timer_;  // confined to the home shard

    // For display.
    std::uint64_t delivered_ = 0, deferred_ = 0, bounced_ = 0, expired_ = 0;
    std::string last_failure_;
    RateMeter delivered_rate_;
    Counter &delivered_total_, &deferred_total_, &bounced_total_;
};

}  // namespace postfleet::sender
