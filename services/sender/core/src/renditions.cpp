#include "renditions.hpp"

#include <utility>

namespace postfleet::sender {

// All that was made by one configuration.
struct Renditions::Shared {
    explicit Shared(SigningSetup its_setup)
        : setup(std::make_shared<const SigningSetup>(std::move(its_setup))),
          cache(setup->config ? setup->config->rendering.memory : 0) {}
    const std::shared_ptr<const SigningSetup> setup;
    RenditionCache cache;
    std::atomic<std::uint64_t> working{0};  // octets
};

struct Renditions::Running {
    Running(std::shared_ptr<Shared> all, RenditionOrder&& order, Executor& executor)
        : shared(std::move(all)), job(std::move(order), shared->setup), on(executor) {}
    ~Running() { shared->working.fetch_sub(charged); }

    void settle(RenditionOutcome outcome) {
        if (!only_waiter) return shared->cache.settle(job.key(), outcome);
        on.post(
            [run = std::move(only_waiter->run), outcome = std::move(outcome)]() mutable { run(std::move(outcome)); });
    }

    bool charge() {
        if (!job.order().form.is_rewritten()) return true;
        charged = job.order().message->size_octets;
        const std::uint64_t before = shared->working.fetch_add(charged);
        return before == 0 || before + charged <= kMaxWorking;
    }

    const std::shared_ptr<Shared> shared;
    RenditionJob job;
    Executor& on;
    std::optional<Completion<RenditionOutcome>> only_waiter;  // of what is not for the cache
    std::uint64_t charged = 0;
};

Renditions::Renditions(Spool& spool, Workers& workers, SenderMetrics& metrics)
    : spool_(spool), workers_(workers), metrics_(metrics), shared_(std::make_shared<Shared>(SigningSetup{})) {}

void Renditions::configure(SigningSetup setup) {
    signs_ = !setup.config->dkim.empty();
    auto fresh = std::make_shared<Shared>(std::move(setup));
    const std::lock_guard lock(mutex_);
    shared_ = std::move(fresh);
}

std::shared_ptr<Renditions::Shared> Renditions::shared() const {
    const std::lock_guard lock(mutex_);
    return shared_;
}

void Renditions::make(RenditionOrder&& order, Completion<RenditionOutcome> done) {
    Executor& on = *done.on;
    const WallTime now = order.now;
    SharedOctets chunk = order.first_chunk;
    // shared_ptr: the Workers may say no, and then it is settled here.
    auto running = std::make_shared<Running>(shared(), std::move(order), on);
    const RenditionForm form = running->job.order().form;
    if (form.is_merged) running->only_waiter = std::move(done);
    else if (!running->shared->cache.join(running->job.key(), now, std::move(done))) return;
    const Message& message = *running->job.order().message;
    const bool is_quick = message.content_chunks == 1 && message.size_octets <= kMaxMergedAtOnce;
    if (form.is_merged && is_quick && !form.seven_bit && !form.is_signed) {
        running->job.take(*chunk);
        return running->settle(running->job.outcome());
    }
    if (!running->charge()) return running->settle({.kind = RenditionOutcome::Kind::Busy});
    submit(running, std::move(chunk));
}

void Renditions::submit(const std::shared_ptr<Running>& running, SharedOctets chunk) {
    const Priority priority = running->job.order().message->priority;
    const bool taken = workers_.submit(priority, [this, chunk = std::move(chunk), running] {
        RenditionJob& job = running->job;
        job.take(*chunk);
        if (job.is_done()) {
            if (job.signatures() > 0) metrics_.signatures.add(job.signatures());
            return running->settle(job.outcome());
        }
        running->on.post([this, running] { read_next(running); });
    });
    if (!taken) running->settle({.kind = RenditionOutcome::Kind::Busy});
}

void Renditions::read_next(const std::shared_ptr<Running>& running) {
    const MessageId id = running->job.order().message->id;
    const std::uint32_t chunk = running->job.next_chunk();
    spool_.read_chunk(id, chunk,
                      {&running->on, [this, running](Result<SharedOctets> read) {
                           if (read) return submit(running, std::move(*read));
                           running->settle({.kind = RenditionOutcome::Kind::Unreadable, .error = read.error()});
                       }});
}

}  // namespace postfleet::sender
