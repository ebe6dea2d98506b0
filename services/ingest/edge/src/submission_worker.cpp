#include "submission_worker.hpp"

#include <pthread.h>
#include <signal.h>

#include <utility>

#include "submission_body.hpp"

namespace postfleet::ingest {
namespace {

// Apart from the numbers of the shards; nothing looks it up.
constexpr unsigned kLoopNumber = 2'000'000;
// In JSON a message grows: Base64, and escapes.
constexpr std::uint64_t most_body(std::uint64_t message_octets) { return message_octets / 2 * 3 + (1 << 20); }

}  // namespace

Result<std::unique_ptr<SubmissionWorker>> SubmissionWorker::create(const SubmissionDependencies& dependencies,
                                                                   Setup setup) {
    auto loop = net::EpollLoop::create(kLoopNumber + setup.number);
    if (!loop) return loop.error();
    return std::unique_ptr<SubmissionWorker>(new SubmissionWorker(dependencies, std::move(setup), std::move(*loop)));
}

SubmissionWorker::SubmissionWorker(const SubmissionDependencies& dependencies, Setup setup,
                                   std::unique_ptr<net::EpollLoop> loop)
    : queue_(std::move(setup.queue)),
      broker_(setup.broker),
      publisher_(setup.publisher),
      counters_(setup.counters),
      consumer_name_(std::move(setup.consumer_name)),
      loop_(std::move(loop)),
      shared_(dependencies.metrics, queue_.name, limits_),
      ingest_counters_(dependencies.metrics),
      shard_(*loop_, dependencies.handover, ingest_counters_, dependencies.log, dependencies.seed,
             HandoverDesk::kForever),
      desk_(shard_, shared_, dependencies.keys),
      notes_(SuspectFile::path_of(setup.directory, queue_.name, setup.number), dependencies.log),
      consumer_(consumer_setup(std::move(setup.left))) {
    consumer_.use(std::move(setup.rules), queue_.idempotency_window);
}

SubmissionConsumer::Setup SubmissionWorker::consumer_setup(std::vector<Suspect> left) {
    return {.name = queue_.name,
            .queue = queue_.queue,
            .rejected = {queue_.declare ? queue_.rejected_queue : std::string(), queue_.rejected_queue},
            .max_body_octets = most_body(queue_.max_message_size),
            .shard = shard_,
            .desk = desk_,
            .publisher = publisher_,
            .digests = digests_,
            .counters = counters_,
            .notes = notes_,
            .left = std::move(left),
            .parse = parse_submission_body,
            .source = {.kind = "queue", .name = queue_.name}};
}

SubmissionWorker::~SubmissionWorker() { stop(); }

void SubmissionWorker::start() {
    BrokerConsumerOptions options;
    options.queue = queue_.queue;
    options.name = consumer_name_;
    options.most_unsettled = queue_.max_in_flight;
    options.most_octets = queue_.max_octets_in_flight;
    options.on = loop_.get();
    options.deliver = [this](BrokerDelivery&& delivery) { consumer_.deliver(std::move(delivery)); };
    options.lost = [this] { consumer_.on_lost(); };
    link_ = broker_.consumer(std::move(options));
    consumer_.attach(link_.get());
    // A new thread inherits the mask: signals are the main thread's.
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { loop_->run(); });
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    ::pthread_setname_np(thread_.native_handle(), "pf-submit");
}

void SubmissionWorker::use(std::shared_ptr<const ListenerRules> rules, Duration idempotency_window) {
    loop_->post([this, rules = std::move(rules), idempotency_window]() mutable {
        consumer_.use(std::move(rules), idempotency_window);
    });
}

// What is acknowledged last must still reach the broker, or it would come again.
void SubmissionWorker::drain(Callback quiet) {
    if (!thread_.joinable()) return quiet();
    loop_->post([this, quiet = std::move(quiet)]() mutable {
        link_->pause();
        consumer_.drain([this, quiet = std::move(quiet)]() mutable {
            link_->stop({loop_.get(), [quiet = std::move(quiet)](Status) mutable { quiet(); }});
        });
    });
}

void SubmissionWorker::stop() {
    if (!thread_.joinable()) return;
    loop_->stop();
    thread_.join();
    consumer_.attach(nullptr);
    link_.reset();
}

std::string SubmissionWorker::obstacle() const { return link_ != nullptr ? link_->obstacle() : ""; }

}  // namespace postfleet::ingest
