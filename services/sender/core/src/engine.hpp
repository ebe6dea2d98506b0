// Engine: what the parts of the sender share, and the few things that involve several of them.
//
//   schedule       a task enters: domain → site → queue
//   on_moved       DNS or a reload says that a domain belongs elsewhere: its waiting mail is re-keyed
//   finish_untried a task ends or is deferred without a transaction
//   record         an outcome goes to the spool; what remains comes back into its queue after that
//   obey           a task meets its orders instead of a transaction
//   may_transact   false while the spool is latched, too much is unrecorded, or we drain
//
// Threads: thread-safe, except what is confined to a shard (Shard and everything in it).
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "login_memory.hpp"
#include "message_references.hpp"
#include "notifier.hpp"
#include "outcome.hpp"
#include "order_book.hpp"
#include "outcome_recorder.hpp"
#include "peer_memory.hpp"
#include "postfleet/sender/sender.hpp"
#include "queue.hpp"
#include "queue_table.hpp"
#include "renditions.hpp"
#include "shared_limit.hpp"
#include "sender_metrics.hpp"
#include "site_table.hpp"
#include "traces.hpp"
#include "work.hpp"

namespace postfleet::sender {

// One event loop and what is confined to it.
struct Shard {
    unsigned number = 0;
    Executor* executor = nullptr;
    Transport* transport = nullptr;
    TlsClient* tls = nullptr;  // null: plain text only
    std::unique_ptr<OutcomeRecorder> recorder;
    std::unordered_set<std::shared_ptr<DeliverySession>> sessions;  // every one, so that drain finds them
    IdGenerator ids{0};                                             // of the messages that we make ourselves
    std::uint64_t random_state = 0;
    std::uint64_t random();
};

// What a task is scheduled by; strings are borrowed for the call.
struct ScheduleRequest {
    std::string_view domain, virtual_mta;
    bool waives_tls_policy = false;
    schedule::NewTask task;
    const HotTask* known = nullptr;  // all that there is to know of it, where that is at hand
};
// All that a stored task says; it is borrowed, too. What else shares its message, the caller knows.
ScheduleRequest request_for(const Task& task);
ScheduleRequest request_for(const ReturningTask& task);

class Engine final {
public:
    // Outcomes that are not durable yet: beyond this no transaction begins. What a crash can make twice, too: a disk
    // that stalls must not let thousands of deliveries run ahead of their records (P3).
    static constexpr std::size_t kMaxUnrecorded = 2'000;

    Engine(SenderDependencies dependencies, SenderConfiguration configuration);
    ~Engine();
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    // --- configuration
    std::shared_ptr<const config::Config> configuration() const;
    std::shared_ptr<const Secrets> secrets() const;
    std::shared_ptr<const routing::Snapshot> routing() const;
    void reload(SenderConfiguration configuration);
    SettingsPointer settings_of(const std::string& site, const std::string& virtual_mta);
    // The keys of the mail (retry_after, expire_after), which may differ by domain and tenant.
    bool mail_keys_differ() const { return mail_keys_differ_.load(std::memory_order_relaxed); }
    SettingsPointer mail_settings(const Queue& queue, std::string_view domain, std::string_view tenant);
    bool reports(EventType type) const;
    // What refusals mean. shared_ptr because a reload replaces it.
    std::shared_ptr<const bounce::Classifier> classifier() const;
    // The longest retry_after of a reply rule; it goes before the retry list.
    Duration longest_prescribed_wait() const {
        return Duration(longest_prescribed_wait_.load(std::memory_order_relaxed));
    }
    bool has_reply_rules() const { return has_reply_rules_.load(std::memory_order_relaxed); }

    // --- mail (engine_mail.cpp)
    // A message becomes part of the batch; what comes back is scheduled when the batch is durable.
    NewMail add_to(SpoolBatch& batch, AcceptedMessage&& accepted);
    // The events of recipients that are suppressed before there is a task of theirs.
    OutcomeCounts add_ended_to(SpoolBatch& batch, const std::shared_ptr<const Message>& message,
                               std::vector<EndedTask>&& ended, WallTime now);
    void schedule_new(NewMail&& mail, Shard& shard);
    void schedule(ScheduleRequest&& request, Shard& shard);
    void on_moved(std::uint32_t domain, const std::string& old_site, const std::shared_ptr<Destination>& to,
                  Shard& shard);
    // A message with so much content has come, or has gone.
    void count_held(std::int64_t messages, std::uint64_t octets) {
        metrics.held_messages.add(messages);
        metrics.held_octets.add(messages * static_cast<std::int64_t>(octets));
    }
    // Recipients in the queue where such mail would go, as far as its site is known.
    std::uint64_t queued_for(std::string_view domain, std::string_view virtual_mta) const;
    // A task that has left its queue for another site.
    void move_to(Queue::Leaving&& task, const Queue& from, Shard& shard);
    // Mail went into the lane that waits for DNS; the answer may have come before it was there.
    void recheck(std::uint32_t domain, const std::string& site, Shard& shard);

    // --- orders (engine_orders.cpp)
    // Whether some order decides over what is about to be sent; then it is obey()'s.
    bool is_ordered(const Work& work) const;
    // Out of the queue by order: it ends, moves, is held, or goes back if no order covers it (any more).
    void obey(Work&& work, Shard& shard);
    void obey(std::vector<Work>&& works, Shard& shard);
    // After an attempt: recipients that would go again, and that an order ends. Their results point into what is
    // returned, so it must live until they are settled.
    std::vector<OrderPointer> overrule(const Work& work, std::vector<RecipientResult>& results) const;

    // --- outcomes (engine_outcomes.cpp)
    void finish_untried(Work&& work, Untried&& untried, Shard& shard);
    // Makes work.hot complete, with the first chunk of the content.
    void load(Work&& work, Shard& shard, UniqueFunction<void(Work&&, Status)> then);
    // What the spool cannot read: gone for good (a bounce, "spool record damaged"), or later perhaps.
    void give_up_unreadable(Work&& work, const Error& error, Shard& shard);
    // What was not sent for a reason of our own, before the server heard of it: `reply` says it.
    void refuse(Work&& work, Reply&& reply, Shard& shard);
    void fail_rendering(Work&& work, std::string&& reason, Shard& shard);
    // Comes back after `rest`; the attempt does not count.
    void put_aside(Work&& work, Duration rest, Shard& shard);
    // When the task of loaded work ends; work.expires may be the time of a notice, which ends nothing.
    WallTime expiry_of(const Work& work, const shaping::Settings& mail) const;
    void record(Work&& work, Outcome&& outcome, const Message& message, Shard& shard);
    void on_recorded(RecordedTask&& recorded, Shard& shard);
    // A line in the log about how a host behaves, learned from the connection to `mx_address`.
    void report_peer(std::string_view what, const std::string& mx_host, const std::string& mx_address,
                     std::string_view detail) const;
    void report_connect_failed(const Queue& queue, const OpenFailure& failure, Shard& shard);
    // An operator event about a source address or (`source` empty) the proxy, a line in the log, and the gauge.
    void report_source(EventType type, const VirtualMta& identity, std::string_view source, std::string_view reason,
                       Shard& shard);

    // A smart host refused our login: an operator event, and a line in the log.
    void report_login_refused(const Queue& queue, const OpenFailure& failure, std::string reason, Shard& shard);

    // --- reply patterns and modes of queues (engine_reactions.cpp)
    std::shared_ptr<const ReplyRules> reply_rules() const;  // null: there are none
    void carry_out(const Reaction& reaction, const std::shared_ptr<Queue>& queue, const OpenFailure& refusal,
                   Shard& shard);
    // A connection was refused before there was a transaction.
    void react_to(const OpenFailure& refusal, const std::shared_ptr<Queue>& queue, Shard& shard);
    void report_mode(const Queue& queue, const Queue::ModeState& state, Shard& shard);
    void restore_modes();  // before traffic: the queues that were in backoff

    // --- mail that leaves its virtual MTA (engine_moves.cpp)
    // To where the queue's backoff or its pool has it go; back into the queue, or aside, if there is no such place.
    void move_on(Work&& work, Shard& shard);
    // What was deferred gets another virtual MTA, if its pool says so.
    void choose_again(std::vector<Task>& tasks, const Queue& queue, Shard& shard) const;
    void keep_warm_up(std::shared_ptr<Queue> queue, std::string&& note);  // then on_warm_up_kept()
    void restore_warm_ups();                                              // before traffic

    // --- source addresses that are not used (engine_sources.cpp)
    // From now on; `durable` is told when it will be known after a restart, too.
    void disable_source(const std::shared_ptr<VirtualMta>& identity, VirtualMta::Ban ban, Shard& shard,
                        UniqueFunction<void(Status)> durable);
    // Answers whether it was disabled.
    bool enable_source(const std::shared_ptr<VirtualMta>& identity, const IpAddress& source, std::string_view site,
                       Shard& shard);
    void restore_disabled_sources();  // before traffic

    // --- when transactions may begin
    bool may_transact() const;
    bool is_past_its_time() const;
    void allow_until(SteadyTime until);
    bool is_latched() const { return latched_.load(std::memory_order_relaxed); }
    bool is_draining() const { return draining_.load(std::memory_order_relaxed); }
    bool is_started() const { return started_.load(std::memory_order_relaxed); }
    void start();
    void start_draining();
    void count_unrecorded(std::ptrdiff_t change);
    std::size_t unrecorded() const { return unrecorded_.load(std::memory_order_relaxed); }
    void on_spool_state(const SpoolState& state);

    // --- shards
    Shard* shard_of(const Executor* executor);  // null: not one of ours
    void on_shard(unsigned number, UniqueFunction<void(Shard&)> task);
    void pump(const std::shared_ptr<Queue>& queue);
    void pump_all();
    // A connection of this limit is free: whoever waits for it longest is told.
    void wake_next(const std::shared_ptr<SharedLimit>& limit);
    // Somebody waits for one: idle sessions that count in it quit, as many as are wanted.
    void make_room(const std::shared_ptr<SharedLimit>& limit, SteadyTime now);

    SenderDependencies dependencies;
    std::vector<std::unique_ptr<Shard>> shards;
    SenderMetrics metrics;
    const std::shared_ptr<HotBudget> hot_budget = std::make_shared<HotBudget>();
    MessageReferences references;
    SharedLimits limits;
    QueueTable queues;
    TlsTallies tls_tallies;
    StsTable sts_policies;
    SiteTable sites;
    OrderBook orders;
    const std::shared_ptr<Traces> traces = std::make_shared<Traces>();
    PeerMemory peers;
    LoginMemory logins;
    Renditions renditions;
    Notifier notifier;
    RateMeter accepted_rate;
    std::atomic<std::int64_t> open_sessions{0};

private:
    void arrive(const std::shared_ptr<Queue>& queue, schedule::NewTask&& task, const std::shared_ptr<Destination>& to,
                const HotTask* known, Shard& shard);
    void obey_known(Work&& work, Shard& shard);
    void part(Work&& work, const std::vector<OrderPointer>& decided, Shard& shard);
    void finish_loaded(Work&& work, const Untried& untried, Shard& shard);
    void tell_late(Work&& work, WallTime expires, Shard& shard);
    // Where mail moves to: a virtual MTA, or a member of a pool.
    struct Identity {
        std::string virtual_mta;  // empty: nowhere
        std::string target;       // what it was chosen from
        void bind(Task& task) const;
    };
    // With task and message in work.hot, read together if need be.
    using UseFacts = void (Engine::*)(Work&& work, Shard& shard);
    void with_facts(std::vector<Work>&& works, UseFacts use, Shard& shard);
    void move_known(Work&& work, Shard& shard);
    Identity rerouted_to(const Queue& queue, Shard& shard) const;
    bool has_somewhere_else(const Queue& queue, WallTime now) const;
    std::string warmer_than(const Queue& queue, const std::string& pool, Shard& shard) const;
    void bounce_waiting(const std::shared_ptr<Queue>& queue, const std::shared_ptr<const OpenFailure>& refusal,
                        std::uint32_t from, Shard& shard);
    void give_up_damaged(Work&& work, std::optional<Task> task, const Error& error, Shard& shard);
    void log_attempts(const Outcome& outcome) const;
    void look_for_idle(const std::shared_ptr<SharedLimit>& limit, unsigned shard, std::uint32_t asked);
    void look_after_tables();

    mutable std::mutex mutex_;
    SenderConfiguration configuration_;
    std::vector<SettingsPointer> known_settings_;
    std::shared_ptr<const bounce::Classifier> classifier_;
    std::shared_ptr<const ReplyRules> reply_rules_;
    std::atomic<bool> has_reply_rules_{false}, chooses_again_{false};
    std::atomic<Duration::rep> longest_prescribed_wait_{0};
    std::atomic<bool> mail_keys_differ_{false}, logs_attempts_{true};
    std::atomic<std::uint64_t> reported_types_{0};  // a bit per EventType that some sink takes
    std::atomic<bool> latched_{false}, draining_{false}, started_{false};
    std::atomic<SteadyTime::rep> allowed_until_{SteadyTime::max().time_since_epoch().count()};
    mutable std::atomic<bool> lapsed_{false};  // somebody was refused because of that
    mutable std::atomic<bool> choked_{false};  // somebody was refused because of kMaxUnrecorded
    std::atomic<std::size_t> unrecorded_{0};
};

}  // namespace postfleet::sender
