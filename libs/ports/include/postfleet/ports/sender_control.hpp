// SenderControl (port): what an operator can see of a sender and tell it. The command line, the admin API
// and the console all come through here.
//
// Threads: thread-safe; results arrive through the completion, on the executor named. Answers are copies.
// Errors: NotFound (no such queue, VMTA or message), InvalidArgument, Unavailable (spool latched).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "postfleet/base/executor.hpp"
#include "postfleet/mail/message.hpp"
#include "postfleet/mail/order.hpp"

namespace postfleet {

struct QueueStatus {
    std::string name;  // "site/vmta"
    std::string site, virtual_mta;
    std::uint64_t ready = 0;      // recipients that could go now
    std::uint64_t waiting = 0;    // recipients that wait for their due time
    std::uint64_t held = 0;       // recipients that an order holds, in a queue that is not paused
    std::uint64_t in_flight = 0;  // recipients in a transaction
    std::uint64_t connections = 0;
    std::uint64_t delivered = 0, deferred = 0, bounced = 0, expired = 0;  // recipients since start
    double delivered_per_second = 0;                                      // over the last 10 s
    bool paused = false;
    std::string hold_reason;  // why nothing goes, in one phrase; empty when it does
    // In backoff mode: since when, until when at the latest, and what began it.
    std::optional<WallTime> backoff_since, backoff_until;
    std::string backoff_reason;
    std::string warm_up;  // "day 3: 120 of 500"; empty: it does not warm up
    std::uint32_t warm_up_day = 0;
    std::optional<WallTime> next_due;
    std::string last_reply;  // of the last failed attempt
};

// A source address that is not used: at one site or ("*") at all.
struct DisabledSource {
    std::string source, site, reason;
    std::optional<WallTime> until;  // none: until it is enabled
};

struct VirtualMtaStatus {
    std::string name;
    std::vector<std::string> sources;
    std::string ehlo;
    bool enabled = true;
    std::string disabled_reason;  // "cannot bind 192.0.2.1: …"
    std::uint64_t queued = 0, connections = 0, delivered = 0, deferred = 0, bounced = 0;
    std::uint64_t queues = 0;
    std::vector<DisabledSource> disabled_sources;
    std::uint32_t warm_up_day = 0;  // of its site that is furthest; 0: it does not warm up
};

// Which source address an order is about.
struct SourceSelector {
    std::string source;
    std::string virtual_mta;  // empty: all that have it
    std::string site;         // empty: every site
};

// What is limited over several queues.
enum class LimitScope : std::uint8_t { Total, Provider, VirtualMta, Source, SourceAtSite, Destination };

struct LimitStatus {
    LimitScope scope = LimitScope::Total;
    std::string name;                         // "google", "192.0.2.1"; empty: the total
    std::uint64_t connections = 0;            // open now
    std::uint64_t queues_waiting = 0;         // for a connection or a permit
    std::optional<Duration> next_message_in;  // when the next recipient may go, if that is not now
    // What it may be; none, empty: unlimited.
    std::optional<std::uint64_t> max_connections;
    std::string max_message_rate, max_connect_rate, max_data_rate;  // "500/m"
};

struct SenderStatus {
    std::uint64_t queued_recipients = 0, ready = 0, waiting = 0, in_flight = 0, held = 0;
    std::uint64_t queues = 0, connections = 0;
    std::uint64_t accepted_messages = 0, delivered = 0, deferred = 0, bounced = 0, expired = 0, cancelled = 0;
    double accepted_per_second = 0, delivered_per_second = 0;
    std::string spool_condition, spool_reason;
    std::uint64_t spool_free_octets = 0;
    std::optional<WallTime> oldest_queued;
};

struct QueuedTask {
    Task task;
    std::string queue;
    std::string state;  // "ready", "waiting", "waiting, and paused: …", "in flight", "held: …"
    std::shared_ptr<const Message> message;
};

struct MailCount {
    std::uint64_t recipients = 0, tasks = 0, queues = 0;  // queues: that have such mail
};

// A dialogue with mail servers, as somebody watches it.
struct TraceRequest {
    std::string queue;           // "site/vmta", each side may have "*"
    std::uint32_t sessions = 1;  // so many, then it is over
    bool with_content = false;   // of messages; else it is only counted
};
struct TraceLine {
    enum class Direction : std::uint8_t { Note, Sent, Received };
    WallTime time{};
    std::uint32_t session = 0;  // counts from 1 in this trace
    Direction direction = Direction::Note;
    std::string text;  // printable; secrets are masked
};
struct TracePart {
    std::vector<TraceLine> lines;
    std::uint64_t left_out = 0;  // lines that nobody read in time
    std::uint32_t sessions = 0;  // that have begun
    bool is_over = false;
};

struct OrderFilter {
    std::optional<OrderId> id;
    std::optional<OrderAction> action;
    std::size_t limit = 100;
};

class SenderControl {
public:
    virtual ~SenderControl() = default;
    virtual void status(Completion<SenderStatus> done) = 0;
    virtual void list_queues(Completion<std::vector<QueueStatus>> done) = 0;
    virtual void list_virtual_mtas(Completion<std::vector<VirtualMtaStatus>> done) = 0;
    virtual void list_limits(Completion<std::vector<LimitStatus>> done) = 0;
    virtual void list_tasks(MailSelector which, std::size_t limit,
                            Completion<Result<std::vector<QueuedTask>>> done) = 0;
    virtual void count(MailSelector which, Completion<Result<MailCount>> done) = 0;

    // --- orders (mail/order.hpp)
    // Durable, and in force for every transaction that has not begun, when it completes; what waits is gone through
    // after that. Fills in ids and times, and answers with them; all are taken, or none. One-time orders are about
    // the mail that was accepted before now. A suppression that is there already is answered as it is.
    // InvalidArgument: a selection, reply or target that cannot be; a chain of moves.
    virtual void give(std::vector<Order> orders, Completion<Result<std::vector<Order>>> done) = 0;
    // What was done stays done. NotFound: some of them are not in force.
    virtual void withdraw(std::vector<OrderId> orders, Completion<Result<std::vector<Order>>> done) = 0;
    // Those in force, the oldest first; then finished ones, the youngest first.
    virtual void list_orders(OrderFilter filter, Completion<std::vector<Order>> done) = 0;
    // Withdraws the pauses of whatever `which` covers. NotFound: there are none; the text names a wider one.
    virtual void resume(MailSelector which, Completion<Result<std::vector<Order>>> done) = 0;
    // What waits for its due time, or for a destination's rest to end, goes now. Not kept: it is done when it completes.
    virtual void retry(MailSelector which, Completion<Result<MailCount>> done) = 0;
    // The virtual MTAs stop using a source address, for `duration` or (none) until it is enabled. Kept over restarts.
    // Answers how many virtual MTAs it touched. NotFound: none has the address, or none has it disabled.
    virtual void disable_source(SourceSelector which, std::optional<Duration> duration, std::string who,
                                std::string why, Completion<Result<std::uint64_t>> done) = 0;
    virtual void enable_source(SourceSelector which, Completion<Result<std::uint64_t>> done) = 0;

    // --- traces
    virtual void begin_trace(TraceRequest request, Completion<Result<std::uint64_t>> done) = 0;
    // What has come since the last call. NotFound: it is over and was read; or nobody read it for half a minute.
    virtual void read_trace(std::uint64_t trace, Completion<Result<TracePart>> done) = 0;

    // Queues that exist; `backoff`: they run by their careful rules, else by the usual ones.
    enum class QueueModeOrder { Normal, Backoff };
    virtual void set_mode(MailSelector which, QueueModeOrder mode, std::string who, std::string why,
                          Completion<Result<std::uint64_t>> done) = 0;
};

}  // namespace postfleet
