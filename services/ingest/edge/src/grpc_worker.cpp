#include "grpc_worker.hpp"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <utility>

#include "grpc_caller.hpp"
#include "postfleet/base/base64.hpp"
#include "postfleet/base/text.hpp"

namespace postfleet::ingest {
namespace {

using Kind = SubmissionOutcome::Kind;
using Reply = rpc::SubmissionAnswer;

// Apart from the numbers of the shards; nothing looks it up.
constexpr unsigned kLoopNumber = 3'000'000;

Counter& submissions(Metrics& metrics, const std::string& listener, const char* result) {
    return metrics.counter("postfleet_grpc_submissions_total", "Submissions by gRPC, by what became of them.",
                           {{"listener", listener}, {"result", result}});
}

class Visit final : public rpc::SubmissionVisit {
public:
    Visit(GrpcWorker& worker, GrpcWorker::Who who, const Endpoint& client)
        : worker_(worker), who_(std::move(who)), client_(client) {}
    void submit(Submission submission, Answer answer) override {
        worker_.submit(who_, client_, std::move(submission), std::move(answer));
    }
    void refused(const std::string& why) override { worker_.refused(who_, client_, why); }

private:
    GrpcWorker& worker_;
    const GrpcWorker::Who who_;
    const Endpoint client_;
};

}  // namespace

GrpcCounters::GrpcCounters(Metrics& metrics, const std::string& listener)
    : accepted(submissions(metrics, listener, "accepted")),
      duplicates(submissions(metrics, listener, "duplicate")),
      refused(submissions(metrics, listener, "refused")),
      later(submissions(metrics, listener, "later")) {}

// A password that is being checked.
struct GrpcWorker::Check final : LoginDriver {
    Check(GrpcWorker& owner, rpc::SubmissionCaller&& caller, Entered&& then)
        : worker(owner),
          rules(owner.rules_),
          client(caller.client),
          entered(std::move(then)),
          login(sasl::Mechanism::Plain, {.services = *rules->auth,
                                         .users = *rules->users,
                                         .client = client.address,
                                         .executor = owner.shard_.executor(),
                                         .driver = *this,
                                         .binding = {}}) {}
    void on_verdict(PasswordVerdict verdict) override {
        login.resume(verdict);
        worker.finish(*this);
    }
    GrpcWorker& worker;
    const std::shared_ptr<const GrpcRules> rules;  // that the login refers to
    const Endpoint client;
    Entered entered;
    Login login;
    std::list<Check>::iterator self;
};

Result<std::unique_ptr<GrpcWorker>> GrpcWorker::create(const GrpcDependencies& dependencies, const std::string& name,
                                                       GrpcCounters& counters, std::uint32_t number) {
    auto loop = net::EpollLoop::create(kLoopNumber + number);
    if (!loop) return loop.error();
    return std::unique_ptr<GrpcWorker>(new GrpcWorker(dependencies, name, counters, std::move(*loop)));
}

GrpcWorker::GrpcWorker(const GrpcDependencies& dependencies, std::string name, GrpcCounters& counters,
                       std::unique_ptr<net::EpollLoop> loop)
    : name_(std::move(name)),
      counters_(counters),
      loop_(std::move(loop)),
      shared_(dependencies.metrics, name_, limits_),
      ingest_counters_(dependencies.metrics),
      shard_(*loop_, dependencies.handover, ingest_counters_, dependencies.log, dependencies.seed),
      desk_(shard_, shared_, dependencies.keys) {}

GrpcWorker::~GrpcWorker() { stop(); }

void GrpcWorker::start() {
    if (thread_.joinable()) return;
    // A new thread inherits the mask: signals are the main thread's.
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { loop_->run(); });
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    ::pthread_setname_np(thread_.native_handle(), "pf-grpc");
}

void GrpcWorker::use(std::shared_ptr<const GrpcRules> rules) {
    {
        const std::lock_guard lock(mutex_);
        entry_rules_ = rules;
    }
    loop_->post([this, rules = std::move(rules)]() mutable { rules_ = std::move(rules); });
}

// The password checks go before the loop that they answer on.
void GrpcWorker::stop() {
    if (!thread_.joinable()) return;
    loop_->stop();
    thread_.join();
    checks_.clear();
    finished_.clear();
    rules_ = nullptr;
    const std::lock_guard lock(mutex_);
    entry_rules_ = nullptr;
}

// --- who is it

void GrpcWorker::enter(rpc::SubmissionCaller caller, Entered entered) {
    if (caller.authorization.empty()) {
        std::unique_lock lock(mutex_);
        const auto rules = entry_rules_;
        lock.unlock();
        // Nothing of the loop is needed, and a call is dear enough without another thread to be woken.
        if (rules != nullptr) take_in(*rules, caller, entered);
        return;
    }
    loop_->post([this, caller = std::move(caller), entered = std::move(entered)]() mutable {
        check_password(std::move(caller), std::move(entered));
    });
}

Error GrpcWorker::refuse(const Endpoint& client, std::string_view user, Reason reason, ErrorKind kind,
                         std::string text) {
    shard_.counters().refused(reason);
    shard_.log()
        .line(LogLevel::Info, "login-refused")
        .field("listener", name_)
        .field("client", client.address.to_string())
        .field("user", user)
        .field("reason", to_string(reason));
    return {kind, std::move(text)};
}

void GrpcWorker::let_in(Who who, const Endpoint& client, Entered& entered) {
    entered(std::unique_ptr<rpc::SubmissionVisit>(std::make_unique<Visit>(*this, std::move(who), client)));
}

GrpcWorker::Who GrpcWorker::user_of_certificate(const GrpcRules& rules, const std::string& pem) const {
    if (pem.empty() || rules.users == nullptr) return nullptr;
    const auto octets = octets_of_pem(pem);
    return octets ? rules.users->find_by_certificate(to_hex(digests_.sha256(*octets))) : nullptr;
}

void GrpcWorker::take_in(const GrpcRules& rules, const rpc::SubmissionCaller& caller, Entered& entered) {
    const auto is_near = [&](const Network& network) { return network.contains(caller.client.address); };
    Who user = user_of_certificate(rules, caller.certificate);
    if (user != nullptr || std::any_of(rules.relay_from.begin(), rules.relay_from.end(), is_near)) {
        return let_in(std::move(user), caller.client, entered);
    }
    entered(refuse(caller.client, "", Reason::AuthRequired, ErrorKind::PermissionDenied,
                   std::string("log in: give the metadata \"authorization: Basic <Base64 of user:password>\"") +
                       (caller.certificate.empty() ? "" : "; the client certificate is that of no user")));
}

void GrpcWorker::check_password(rpc::SubmissionCaller&& caller, Entered&& entered) {
    if (rules_->auth == nullptr) {
        return entered(refuse(caller.client, "", Reason::AuthFailed, ErrorKind::PermissionDenied,
                              "nobody can log in here: the configuration has no users"));
    }
    const auto response = plain_response_of(caller.authorization);
    if (!response) {
        return entered(refuse(caller.client, "", Reason::AuthMalformed, ErrorKind::PermissionDenied,
                              "the metadata \"authorization\" must be \"Basic <Base64 of user:password>\""));
    }
    if (rules_->auth->guard.must_wait(caller.client.address, shard_.executor().now())) {
        return entered(refuse(caller.client, "", Reason::AuthThrottled, ErrorKind::ResourceExhausted,
                              "too many failed logins from your network, try later"));
    }
    Check& check = checks_.emplace_back(*this, std::move(caller), std::move(entered));
    check.self = std::prev(checks_.end());
    check.login.begin(*response);
    if (check.login.outcome() != Login::Outcome::Pending) finish(check);
}

void GrpcWorker::finish(Check& check) {
    finished_.clear();
    finished_.splice(finished_.begin(), checks_, check.self);
    const auto refused = [&](Reason reason, ErrorKind kind, const char* text) {
        check.entered(refuse(check.client, check.login.name(), reason, kind, text));
    };
    switch (check.login.outcome()) {
        case Login::Outcome::Succeeded: return let_in(check.login.user(), check.client, check.entered);
        case Login::Outcome::Pending:
        case Login::Outcome::Rejected:
            return refused(Reason::AuthFailed, ErrorKind::PermissionDenied, "user or password is wrong");
        case Login::Outcome::Throttled:
            return refused(Reason::AuthThrottled, ErrorKind::ResourceExhausted, "too many failed logins, try later");
        case Login::Outcome::Busy:
            return refused(Reason::AuthBusy, ErrorKind::Unavailable, "too many logins at once, try again");
        case Login::Outcome::Malformed:
            return refused(Reason::AuthMalformed, ErrorKind::PermissionDenied, "user or password is malformed");
    }
}

// --- submissions

void GrpcWorker::submit(Who who, const Endpoint& client, Submission submission, Answer answer) {
    loop_->post(
        [this, who = std::move(who), client, submission = std::move(submission), answer = std::move(answer)]() mutable {
            take(std::move(who), client, std::move(submission), std::move(answer));
        });
}

void GrpcWorker::take(Who who, const Endpoint& client, Submission&& submission, Answer&& answer) {
    // A call may be older than the configuration.
    if (who != nullptr) {
        const std::string name = who->name;
        who = rules_->users != nullptr ? rules_->users->find(name) : nullptr;
        if (who == nullptr) {
            return answer(
                {.kind = Reply::Kind::Refused, .problem = "there is no user " + printable(name) + " any more"});
        }
    }
    SubmissionSource source{.kind = "peer",
                            .name = client.to_string(),
                            .sends_as = who,
                            .rules = rules_->rules,
                            .idempotency_window = rules_->idempotency_window};
    desk_.submit(std::move(submission), std::move(source),
                 [this, who, client, answer = std::move(answer)](SubmissionOutcome&& outcome) mutable {
                     this->answer(std::move(outcome), who, client, answer);
                 });
}

void GrpcWorker::answer(SubmissionOutcome&& outcome, const Who& who, const Endpoint& client, Answer& answer) {
    switch (outcome.kind) {
        case Kind::Accepted:
            counters_.accepted.add();
            return answer({.kind = Reply::Kind::Accepted, .message_id = outcome.id.to_string()});
        case Kind::Duplicate:
            counters_.duplicates.add();
            return answer({.kind = Reply::Kind::Duplicate, .message_id = outcome.id.to_string()});
        case Kind::Refused:
            refused(who, client, outcome.problem);
            return answer({.kind = Reply::Kind::Refused, .problem = std::move(outcome.problem)});
        case Kind::Later:
            counters_.later.add();
            return answer({.kind = Reply::Kind::Later, .problem = std::move(outcome.problem)});
    }
}

// From any thread: counters and log are thread-safe.
void GrpcWorker::refused(const Who& who, const Endpoint& client, const std::string& why) {
    counters_.refused.add();
    shard_.log()
        .line(LogLevel::Info, "submission-refused")
        .field("listener", name_)
        .field("peer", client.to_string())
        .field("user", who != nullptr ? std::string_view(who->name) : std::string_view())
        .field("reason", why);
}

}  // namespace postfleet::ingest
