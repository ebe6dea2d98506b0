// Intake: what ingest decides for one SMTP connection (DESIGN section 4, steps 2 to 4).
//
//   connection  limits of the process, the listener and the client: 421
//   AUTH        who is it: 235, 535; 454 and 421 for who fails too often (Login)
//   MAIL        must it have logged in: 530; may the user send as this domain: 550; does the store take mail at all: 451, 452
//   RCPT        is it for us, else may this client or user relay: 550 5.7.1; mail merge: are its variables right: 501, 550
//   header      size, hops, what RFC 5322 asks for, as far as the listener checks it: 550, 552, 554
//               may the user send as From, Sender, Resent-From: 550 5.7.1
//               X-Virtual-MTA, X-Job, X-EnvID, X-Schedule; binding → task per recipient domain: 554
//   chunk       to the store as it comes
//   parts       mail merge: has everybody its parts and variables: 550
//   end         Received, hand-over, then 250 with the id; else 451, 452, 554
//
// A transaction works by the rules that were in force when it began (use() is for the time between two).
// Where a decision takes time, the driver's resume() is called later with it, never inside a call from it.
//
// Threads: confined to its shard. Errors: none; all of them are replies, counted by reason.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "postfleet/base/network.hpp"
#include "postfleet/ingest/accounts.hpp"
#include "postfleet/ingest/connection_limits.hpp"
#include "postfleet/ingest/handover_desk.hpp"
#include "postfleet/ingest/header_facts.hpp"
#include "postfleet/ingest/intake_shard.hpp"
#include "postfleet/ingest/line_ruler.hpp"
#include "postfleet/ingest/listener_rules.hpp"
#include "postfleet/ingest/login.hpp"
#include "postfleet/ingest/merge_intake.hpp"
#include "postfleet/ingest/message_origin.hpp"
#include "postfleet/ingest/our_mail.hpp"
#include "postfleet/ingest/process_limits.hpp"
#include "postfleet/ingest/task_list.hpp"
#include "postfleet/ingest/tls_facts.hpp"
#include "postfleet/smtp/server_policy.hpp"
#include "postfleet/ingest/meter_table.hpp"

namespace postfleet::ingest {

class IntakeDriver {
public:
    virtual void resume(smtp::Decision decision) = 0;

protected:
    ~IntakeDriver() = default;
};

// What all connections of one listener share, on all shards.
struct ListenerShared {
    ListenerShared(Metrics& metrics, const std::string& name, ProcessLimits& all)
        : process(all), counters(metrics, name) {}
    ProcessLimits& process;
    ConnectionLimits limits;
    ArrivalMeters arrivals;
    MeterTable clients;
    ListenerCounters counters;
};

class Intake final : public smtp::ServerPolicy, private HandoverWaiter, private LoginDriver {
public:
    Intake(IntakeShard& shard, ListenerShared& listener, std::shared_ptr<const ListenerRules> rules,
           const IpAddress& client, IntakeDriver& driver);
    ~Intake();
    Intake(const Intake&) = delete;
    Intake& operator=(const Intake&) = delete;

    // Not inside a transaction.
    void use(std::shared_ptr<const ListenerRules> rules);
    const ListenerRules& rules() const { return *rules_; }
    const IpAddress& client() const { return client_; }
    // Our address that the client reached, for reports.
    void set_server(const IpAddress& server) { server_ = server; }
    // By the rules for this client: a trusted one is not throttled.
    const smtp::ServerSettings& session_settings() const;
    // How long its next command may take; less while places for connections are about to run out.
    Duration command_patience() const;
    // After so many mistakes: how long its next command waits.
    Duration delay_after(std::uint32_t errors) const;

    // Before admit(): who connected is a proxy and speaks for this client. For nobody: then the connection is the
    // proxy's own, and its address gives it no rights.
    void proxied_for(const std::optional<IpAddress>& client);
    // The connection is closed without an answer: counted and logged.
    void refuse_unheard(Reason reason, std::string_view text);

    // Whether the listener has room for this connection; then it counts. For a driver that has work to do before
    // the session opens; on_connection() asks by itself. A refusal is counted and logged.
    smtp::Decision admit();
    // The messages come from there, by a way that may send to anybody, and not from a client; as whom, the rules say.
    void set_origin(MessageOrigin origin);
    // Whether many handshakes are under way: then each gets little time.
    bool are_handshakes_many() const;
    // TLS is up; whoever shows the certificate of a user is that user.
    void secured(TlsFacts facts);

    smtp::Decision on_connection() override;
    bool offers_xclient() const override;
    smtp::Decision on_xclient(smtp::XclientRequest&& request) override;
    // A place among the handshakes that are under way, until secured(). For a driver that begins with TLS, too.
    smtp::Decision on_starttls() override;
    smtp::Decision on_auth(smtp::AuthRequest&& request) override;
    smtp::Decision on_auth_line(std::string_view line) override;
    smtp::Decision on_mail(smtp::MailRequest&& request) override;
    smtp::Decision on_rcpt(smtp::RcptRequest&& request) override;
    smtp::Decision on_header(std::string& content) override;
    smtp::Decision on_chunk(SharedOctets chunk, std::uint32_t number) override;
    smtp::Decision on_end_of_data(smtp::ContentEnd&& end) override;
    void on_abandoned() override;
    bool may_hold_content(std::size_t octets) override;
    smtp::ScheduleOffer schedule_offer(const smtp::ScheduleOffer& usual) const override;
    WallTime now() const override;
    void on_refusal(smtp::Refusal refusal) override;

private:
    void on_answer(const Status& status) override;
    void on_verdict(PasswordVerdict verdict) override;
    smtp::Decision finish_login(smtp::Decision decision);
    std::optional<smtp::Decision> become(const smtp::XclientRequest& request);
    void name_client(Log::Line& line) const;
    bool is_throttled() const { return !may_relay_ || rules_->listener.limit_relay_clients; }
    IpAddress client_network() const;
    std::optional<smtp::Decision> check_client();
    std::optional<smtp::Decision> throttle(Arrival arrival);
    std::optional<smtp::Decision> take_account_place();
    void count_error();
    // Mail for us (our_mail.cpp).
    std::optional<smtp::Decision> take_our_mail(const smtp::RcptRequest& request);
    smtp::Decision refuse_our_mail(OurMail::Verdict verdict);
    smtp::Decision keep_our_mail(AcceptedMessage&& accepted);
    std::optional<smtp::Decision> our_mail_answer_of(const Status& status);
    std::optional<smtp::Decision> check_sender(const std::string& reverse_path);
    std::optional<smtp::Decision> check_header_senders(std::string_view content);
    smtp::Decision refuse(Reason reason, int code, EnhancedStatus enhanced, std::string text);
    void take_origin(Message& message) const;
    std::uint64_t weight_choice(std::uint32_t task);
    bool take_schedule(const smtp::MailSchedule& schedule, Message& message);
    std::optional<smtp::Decision> take_windows(std::string_view text);
    // Of a task: first due; what expire_after counts from; the latest.
    struct Times {
        WallTime due, counts_from;
        std::optional<WallTime> expires_at;
    };
    Times times_within(std::span<const DeliveryWindow> windows) const;
    void set_times(std::vector<Task>& tasks);
    std::optional<smtp::Decision> check_header(const HeaderFacts& facts);
    std::optional<smtp::Decision> check_lines(std::string_view part);
    std::optional<smtp::Decision> fold_header(const HeaderFacts& facts, std::string& content);
    std::optional<smtp::Decision> shorten_lines(smtp::ContentEnd& end);
    smtp::Decision refuse_malformed(const std::string& what);
    std::optional<smtp::Decision> bind(const HeaderFacts& facts);
    void begin_merge(const smtp::MailRequest& request);
    std::optional<smtp::Decision> check_recipient_variables(smtp::RcptRequest& request);
    void take_binding_variables(const Task& task, routing::BindRequest& request) const;
    std::optional<smtp::Decision> finish_merge(std::vector<MergePart>&& parts);
    void end_merge();
    void add_header(Message& message);
    void complete_message(const smtp::ContentEnd& end);
    smtp::Decision answer_of(const Status& status);
    smtp::Decision chunk_answer_of(const Status& status);
    smtp::Decision refusal_of(const Error& error);
    void log_accepted(const Message& message, const OurMail* ours) const;
    void log_refused(std::uint32_t recipients) const;
    std::string_view only_recipient() const;
    std::string_view protocol() const;

    IntakeShard& shard_;
    ListenerShared& listener_;
    IntakeDriver& driver_;
    std::shared_ptr<const ListenerRules> rules_;
    IpAddress client_;
    std::optional<IpAddress> proxy_;  // who connected, where that is a proxy
    bool has_rights_ = true;          // by its address
    // What XCLIENT said of EHLO: it stays, whatever the client that passes the connection on says (null: nothing).
    struct PassedOn {
        std::string hello_name;
        std::optional<bool> extended;
    };
    std::unique_ptr<PassedOn> passed_on_;
    std::optional<IpAddress> server_;
    bool may_relay_ = false;
    bool may_pass_on_ = false;             // XCLIENT was taken, so it may come again
    std::optional<IpAddress> entered_as_;  // the network that the listener's limits count it for
    bool extended_ = false;                // EHLO
    bool is_shaking_hands_ = false;        // counted among the process's
    LineRuler ruler_;
    std::uint16_t fields_seen_ = 0;                // SingleField bits
    bool utf8_ = false;                            // MAIL had SMTPUTF8
    bool needs_blank_line_ = false;                // the content has no header at all
    std::unique_ptr<const MessageOrigin> origin_;  // null: the client's connection
    std::unique_ptr<const TlsFacts> tls_;          // null: plain text
    std::unique_ptr<Login> login_;                 // while AUTH goes on
    // shared_ptr because a reload replaces the directory it is from; null: nobody has logged in.
    std::shared_ptr<const KnownUser> user_;
    std::unique_ptr<AccountPlace> place_;  // from the first MAIL of a user on
    std::size_t held_octets_ = 0;          // content, counted by the process
    // shared_ptr because the spool and the sender go on reading the message.
    std::shared_ptr<Message> message_;
    TaskList recipients_;
    std::unique_ptr<MergeIntake> merge_;  // null: the transaction did not begin with XMRG
    // Why the transaction ends without a message, unless it does not.
    struct LastRefusal {
        const char* reason = "abandoned";  // by the client: RSET, QUIT, or gone
        int code = 0;                      // 0: the session's own words
        std::string reply;
    };
    LastRefusal last_refusal_;
    std::uint32_t refused_recipients_ = 0;
    std::uint32_t appended_chunks_ = 0;
    std::uint32_t accepted_recipients_ = 0;  // of the message that is being handed over
    std::string accepted_virtual_mta_;       // its first task's
    HandoverDesk::Ticket ticket_;
    enum class Asked : std::uint8_t { Chunk, OurMail, Message };
    Asked asked_ = Asked::Chunk;         // what ticket_ waits for
    std::unique_ptr<OurMail> our_mail_;  // null: nothing of the transaction is for us
    std::uint64_t declared_octets_ = 0;  // SIZE
};

}  // namespace postfleet::ingest
