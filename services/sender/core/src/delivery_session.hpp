// DeliverySession: one connection of one queue: connects, speaks SMTP, delivers task after task, says goodbye.
//
//   Connecting ─▶ Opening (greeting, EHLO, STARTTLS, EHLO, AUTH) ─▶ Idle ⇄ Working (loading, pacing, a transaction) ─▶ Closing ─▶ Gone
//        └──────── next address ◀───┘ failed            none left: the queue is told
//
// Its Connector finds the connection, address after address. Its permit (queue and virtual MTA) comes from the queue
// and goes back when the close has completed: after QUIT and its reply the peer's FIN is waited for, kGoodbye at
// most.
//
// The body goes out from where it is, without a copy: header, content, final dot in one gathered write. Content of
// several chunks is read chunk by chunk, the next one while this one is on the wire; never more than two.
//
// Threads: confined to its shard, except route() and shard_number(). shared_ptr: its shard holds it until Gone,
// the queue while it is idle, and completions while they are on their way.
#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "connector.hpp"
#include "engine.hpp"
#include "postfleet/ports/transport.hpp"
#include "postfleet/sasl/client_exchange.hpp"
#include "postfleet/smtp/client_session.hpp"
#include "tls_policy.hpp"

namespace postfleet::sender {

class DeliverySession final : public StreamHandler,
                              private ConnectorOwner,
                              public std::enable_shared_from_this<DeliverySession> {
public:
    static constexpr Duration kGoodbye = std::chrono::seconds(3);
    static constexpr std::uint64_t kMostChunkOctets = 64 * 1024;    // sent before anybody has asked for it
    static constexpr Duration kBusyRest = std::chrono::seconds(1);  // when too much is being rendered

    // On `shard`; the permits have been taken.
    static void open(Engine& engine, Shard& shard, std::shared_ptr<Queue> queue, std::uint32_t route,
                     std::shared_ptr<Destination> destination);
    DeliverySession(Engine& engine, Shard& shard, std::shared_ptr<Queue> queue, std::uint32_t route,
                    std::shared_ptr<Destination> destination);

    void assign(Work&& work);
    // Quits now if idle, after the transaction if not.
    void drain();
    // Its queue has no use for it, and does not count it among its idle ones any more.
    void leave();
    // Idle sessions of `shard` that count in this limit quit, as many as are wanted, the longest idle first.
    static void make_room(Shard& shard, SharedLimit& limit);
    // The process ends: the socket closes, nothing is told.
    void abandon();

    // From an address that this ban is about.
    bool leaves_from(const VirtualMta& identity, const VirtualMta::Ban& ban) const;
    std::uint32_t route() const { return route_; }
    unsigned shard_number() const { return shard_.number; }
    bool was_opened() const { return was_opened_; }
    std::uint32_t transactions() const { return transactions_; }
    // The limits of the addresses at both ends, and whether they let another message go now.
    const std::vector<LimitUse>& address_limits() const { return connector_.limits(); }
    // Under the queue's lock: counted among those that leave; true: it was not before.
    bool mark_leaving() { return !std::exchange(is_leaving_, true); }
    bool is_leaving() const { return is_leaving_; }
    bool is_paced() const;
    bool counts_recipients() const;
    bool may_be_given(SteadyTime now, SteadyTime& wake_at) const;

    // StreamHandler
    void on_connected() override;  // TLS is up
    void on_data(std::string_view octets) override;
    void on_writable() override;
    void on_closed(const CloseReason& reason) override;

private:
    enum class Phase : std::uint8_t { Connecting, Opening, Idle, Working, Closing, Gone };

    // opening and closing (delivery_session.cpp)
    void on_connection_up(std::string_view first_octets) override;
    void on_no_connection() override;
    void on_opening_failed(SmtpPhase phase, smtp::Ending ending, Reply reply);
    void leave_address();
    void on_smtp_ready();
    void on_smtp_closed();
    void flush();
    void set_phase_deadline();
    Duration phase_timeout() const;
    void quit();
    void quit_if_idle();
    bool is_idle_in(const SharedLimit& limit) const;
    void enter_closing();
    void start_closing();
    void gone();
    void become_idle();
    void on_idle_timer();

    // TLS (delivery_tls.cpp)
    void find_demand();
    void apply_sts();
    void ask_tlsa(std::size_t base);
    void on_tlsa(std::size_t base, TlsaAnswer&& answer);
    void on_greeted();
    void secure();
    void secure_first(std::string_view first_octets);
    bool is_peer_verified() const;
    void on_tls_failed(smtp::Ending ending, Reply reply);

    // TLS reports (delivery_tls_tally.cpp)
    tls_report::AppliedPolicy applied_policy() const;
    void tally(const std::string& domain, std::string_view result, std::string_view reason);
    void tally_failure(std::string_view result, std::string_view reason);
    void tally_success();
    void tally_success(const Work& work);

    // login (delivery_login.cpp)
    void on_secured();
    void log_in(const config::RouteAccess& access);
    void on_challenge();
    void flush_login();
    void on_login_failed(Reply reply);
    void pass_over_login();

    // work (delivery_work.cpp)
    void next_work();
    void prepare(Work&& work);
    void join_trace(std::string_view how);
    void trace_body(std::span<const WritePiece> pieces, std::string_view end);
    bool is_out_of_windows(std::span<const DeliveryWindow> windows);
    void render();
    void on_rendered(Work&& work, RenditionOutcome outcome);
    void pace();
    void give_up_ordered();
    void go_on_later();
    void begin_transaction();
    std::span<const Recipient> gather_recipients(std::size_t most);
    void give_up_for_today();
    std::uint64_t octets_on_the_wire() const;
    void maybe_pass_turn();
    const SharedOctets& first_octets() const;
    std::uint64_t chunk_octets() const;
    void send_body();
    void send_chunk(const SharedOctets& chunk);
    void read_next_chunk();
    void on_chunk(Result<SharedOctets> chunk);
    void on_body_out();
    void finish_transaction();
    void judge_recipients(const smtp::TransactionResult& result);
    void apply_reply_rules();  // delivery_reactions.cpp
    void learn_from(const smtp::TransactionResult& result);
    void record(const smtp::TransactionResult& result);
    void record_task(Work&& work, std::vector<RecipientResult>& results, const smtp::TransactionResult& result);
    void drop_work();
    void drop_companions();

    // The tasks of the transaction, each with its part of the results.
    template <class Visit>
    void for_each_task(Visit&& visit) {
        std::span<RecipientResult> rest(results_);
        const auto visit_next = [&](Work& work) {
            const std::size_t count = std::min(rest.size(), work.hot->task.recipients.size());
            visit(work, rest.first(count));
            rest = rest.subspan(count);
        };
        visit_next(work_);
        for (Work& companion : companions_) visit_next(companion);
    }

    Engine& engine_;
    Shard& shard_;
    const std::shared_ptr<Queue> queue_;
    const std::uint32_t route_;
    SettingsPointer settings_;

    Phase phase_ = Phase::Connecting;
    bool was_opened_ = false;
    bool draining_ = false;
    bool is_leaving_ = false;  // with the queue's lock
    Connector connector_;

    TlsDemand demand_;
    std::uint32_t question_ = 0;          // of the TLSA look-up under way, so that a late answer is known as one
    bool is_demand_known_ = true;         // false: that look-up decides
    bool waits_for_demand_ = false;       // EHLO is answered
    bool goes_in_clear_ = false;          // TLS has failed with this address, and may
    TlsFacts tls_facts_;                  // empty: plain text
    std::vector<std::uint32_t> tallied_;  // domains that this session has been counted for
    std::string tls_text_;                // "TLSv1.3/TLS_AES_128_GCM_SHA256/may/none", for events

    std::optional<sasl::ClientExchange> login_;
    std::shared_ptr<const Secrets> login_secrets_;  // login_ borrows from them

    std::unique_ptr<Stream> stream_;
    SecureStream* secure_ = nullptr;  // stream_, when it is one
    std::optional<smtp::ClientSession> smtp_;
    std::string out_;
    bool in_handler_ = false;  // out_ is flushed when the handler ends
    bool is_greeted_ = false;  // to be acted on when the input is used up
    bool wants_work_ = false;  // likewise
    bool is_loading_ = false;
    std::uint64_t seen_replies_ = 0;

    std::unique_ptr<SessionTrace> trace_;  // null: nobody watches

    Work work_;
    std::vector<Work> companions_;     // tasks of the same message that share its transaction, whole
    std::vector<Recipient> together_;  // the recipients of all of them; empty without companions
    std::uint32_t recipients_ = 0;     // in this transaction
    std::uint32_t transactions_ = 0;
    std::uint32_t most_transactions_ = PeerMemory::kNoLimit;  // learned from earlier connections
    bool has_timed_out_ = false;
    SteadyTime began_at_{};
    TimerId pace_timer_, idle_timer_;
    SteadyTime idle_since_{};
    bool holds_turn_ = false;

    struct Body {
        std::uint32_t chunk = 0;  // the one that goes out now, or goes next
        bool at_line_start = true;
        bool is_on_the_wire = false;  // written, but not all of it given to the kernel
        SharedOctets waiting;         // read, waits until the one before is out
        std::optional<Error> damage;
    };
    Body body_;
    std::vector<RecipientResult> results_;
};

// A failed handshake in the words of RFC 8460 §4.3.
std::string_view tls_report_result(TlsFailure failure);

}  // namespace postfleet::sender
