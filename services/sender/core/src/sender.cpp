#include "postfleet/sender/sender.hpp"

#include <utility>

#include "control.hpp"
#include "engine.hpp"
#include "take_in.hpp"
#include "tls_reporter.hpp"

namespace postfleet::sender {

namespace {

constexpr Duration kDrainLook = std::chrono::milliseconds(10);

// Looks now and then whether everything is quiet.
void wait_until_quiet(Engine& engine, SteadyTime deadline, Completion<Status>&& done) {
    const bool is_quiet = engine.open_sessions == 0 && engine.unrecorded() == 0;
    Executor& clock = *engine.shards[0]->executor;
    if (is_quiet || clock.now() >= deadline) {
        Executor& on = *done.on;
        Status status;
        if (!is_quiet) {
            status = Error{ErrorKind::DeadlineExceeded,
                           std::to_string(engine.open_sessions.load()) + " sessions are still open, " +
                               std::to_string(engine.unrecorded()) + " outcomes are not recorded"};
        }
        on.post([done = std::move(done), status]() mutable { done.run(std::move(status)); });
        return;
    }
    clock.schedule_at(
        std::min(deadline, clock.now() + kDrainLook),
        [&engine, deadline, done = std::move(done)]() mutable { wait_until_quiet(engine, deadline, std::move(done)); });
}

// The tasks of one message as the spool gives them, in one go.
class Rebuilding {
public:
    explicit Rebuilding(Engine& engine) : engine_(engine) {}

    void visit(Task&& task) {
        if (!tasks_.empty() && tasks_.front().key.message != task.key.message) schedule();
        tasks_.push_back(std::move(task));
    }

    void schedule() {
        if (tasks_.empty()) return;
        engine_.count_held(1, tasks_.front().size_octets);
        const bool shares = tasks_.size() > 1;
        if (shares) engine_.references.set(tasks_.front().key.message, static_cast<std::uint32_t>(tasks_.size()));
        for (const Task& task : tasks_) {
            ScheduleRequest request = request_for(task);
            request.task.shares_message = shares;
            Shard& shard = *engine_.shards[next_shard_++ % engine_.shards.size()];
            engine_.schedule(std::move(request), shard);
            ++scheduled_;
        }
        tasks_.clear();
    }

    std::size_t scheduled() const { return scheduled_; }

private:
    Engine& engine_;
    std::vector<Task> tasks_;
    std::size_t next_shard_ = 0, scheduled_ = 0;
};

}  // namespace

struct Sender::Parts {
    Parts(SenderDependencies dependencies, SenderConfiguration configuration)
        : engine(std::move(dependencies), std::move(configuration)),
          take_in(engine),
          desk(engine),
          control(engine, desk),
          tls_reporter(engine, take_in, engine.dependencies.compressor) {}
    Engine engine;
    TakeIn take_in;
    OrderDesk desk;
    Control control;
    TlsReporter tls_reporter;
};

Sender::Sender(SenderDependencies dependencies, SenderConfiguration configuration)
    : parts_(std::make_unique<Parts>(std::move(dependencies), std::move(configuration))) {}

Sender::~Sender() = default;

Status Sender::start() {
    Engine& engine = parts_->engine;
    require(!engine.is_started());
    if (Status restored = parts_->desk.restore(); !restored) return restored;
    engine.restore_modes();
    engine.sts_policies.restore(engine.shards[0]->executor->wall_now());
    engine.restore_disabled_sources();
    engine.tls_tallies.restore();
    engine.restore_warm_ups();
    Rebuilding rebuilding(engine);
    const Status status = engine.dependencies.spool.scan_tasks([&](Task&& task) { rebuilding.visit(std::move(task)); });
    if (!status) return status;
    rebuilding.schedule();
    engine.dependencies.log.line(LogLevel::Info, "sender-started")
        .field("tasks", rebuilding.scheduled())
        .field("queues", engine.queues.size());
    engine.start();
    parts_->desk.resume_sweeps();
    parts_->tls_reporter.start();
    return {};
}

void Sender::reload(SenderConfiguration configuration) {
    parts_->engine.reload(std::move(configuration));
    parts_->engine.on_shard(0, [this](Shard&) { parts_->desk.on_reload(); });
}

void Sender::follow_orders(OrderChanges changes) {
    parts_->engine.on_shard(0, [this, changes = std::move(changes)](Shard&) { parts_->desk.follow(changes); });
}

void Sender::drain(SteadyTime deadline, Completion<Status> done) {
    Engine& engine = parts_->engine;
    engine.start_draining();
    engine.on_shard(0, [&engine, deadline, done = std::move(done)](Shard& shard) mutable {
        engine.tls_tallies.flush(TlsTallies::Part::All, *shard.executor);
        wait_until_quiet(engine, deadline, std::move(done));
    });
}

Sender::Backlog Sender::backlog() const {
    const auto at_least_0 = [](const Gauge& count) {
        return static_cast<std::uint64_t>(std::max<std::int64_t>(count.value(), 0));
    };
    return {at_least_0(parts_->engine.metrics.held_messages), at_least_0(parts_->engine.metrics.held_octets)};
}

std::uint64_t Sender::queued_for(std::string_view domain, std::string_view virtual_mta) const {
    return parts_->engine.queued_for(domain, virtual_mta);
}

void Sender::allow_until(SteadyTime until) { parts_->engine.allow_until(until); }

void Sender::hand_over_ended(AcceptedMessage message, std::vector<EndedTask> ended, Completion<Status> done) {
    parts_->take_in.hand_over_ended(std::move(message), std::move(ended), std::move(done));
}
Handover& Sender::handover() { return parts_->take_in; }
SenderControl& Sender::control() { return parts_->control; }

}  // namespace postfleet::sender
