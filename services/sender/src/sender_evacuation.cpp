// Evacuation: the ways of a spool's mail and events out of a sender that ends for good (decision 0042).
#include <fmt/format.h>
#include <cstdio>
#include <future>
#include <utility>

#include "postfleet/event_queues/outbox_publishing.hpp"
#include "postfleet/sender_edge/evacuation.hpp"
#include "sender_process.hpp"

namespace postfleet::sender {

namespace {

constexpr Duration kTellEvery = std::chrono::seconds(5);

void say(const std::string& text) {
    fmt::print("{}\n", text);
    std::fflush(stdout);
}

// How far it has come, for people who wait.
class Progress final {
public:
    void tell(std::uint64_t messages, const event_queues::OutboxPublishing::State& events,
              const std::string& broker_obstacle) {
        const SteadyTime now = steady_clock_now();
        if (now < next_) return;
        next_ = now + kTellEvery;
        say(fmt::format("{} messages and {} events are still here.", messages, events.left));
        const std::string& obstacle = broker_obstacle.empty() ? events.obstacle : broker_obstacle;
        if (!obstacle.empty()) say("Waiting: " + obstacle);
    }

private:
    SteadyTime next_ = steady_clock_now() + kTellEvery;
};

}  // namespace

Result<EvacuationReport> SenderProcess::evacuate_mail(const event_queues::OutboxPublishing& events) {
    Executor& on = host_->loops()[0];
    const ConfigPointer config = member_->configuration();
    const auto sender_of = [config](const std::string& virtual_mta) {
        const auto found = config->virtual_mtas.find(virtual_mta);
        return found == config->virtual_mtas.end() ? std::string("unknown") : found->second.sender;
    };
    Evacuation evacuation({.on = on,
                           .spool = *spool_,
                           .spool_id = spool_->spool_id(),
                           .publisher = *publisher_,
                           .sender_of = sender_of,
                           .log = host_->log()});
    std::promise<Result<EvacuationReport>> result;
    auto answer = result.get_future();
    const Status started = evacuation.start({&on, [&](auto report) { result.set_value(std::move(report)); }});
    if (!started) return started.error();
    Progress progress;
    const bool ended = host_->wait_to_start([&] {
        progress.tell(evacuation.remaining(), events.state(), publisher_->obstacle());
        return answer.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
    });
    if (!ended) on.post([&] { evacuation.stop(); });
    auto report = answer.get();
    host_->stop_shards();  // before the evacuation goes
    return report;
}

int SenderProcess::evacuate() {
    host_->start_shards();
    publisher_ = broker_->publisher({.name = "evacuation"});
    using event_queues::OutboxPublishing;
    auto events = OutboxPublishing::start(*spool_, event_queues(*member_->configuration()),
                                          OutboxPublishing::Others::Forgotten, host_->metrics(), host_->log());
    const auto mail = events ? evacuate_mail(**events) : Result<EvacuationReport>(events.error());
    if (!mail) {
        std::fprintf(stderr, "postfleet-sender: %s\n", mail.error().text.c_str());
        return 1;
    }
    say(fmt::format("{} messages with {} recipients were handed over.", mail->messages, mail->recipients));
    Progress progress;
    host_->wait_to_start([&] {
        const OutboxPublishing::State state = (*events)->state();
        progress.tell(mail->left, state, "");
        return state.left == 0;
    });
    const OutboxPublishing::State rest = (*events)->stop();
    if (mail->left > 0) say(fmt::format("{} messages are left; the last one because: {}.", mail->left, mail->why_left));
    if (rest.left > 0) {
        say(fmt::format("{} events are left; they were not published because: {}.", rest.left,
                        rest.obstacle.empty() ? "it was stopped" : rest.obstacle));
    }
    if (mail->left == 0 && rest.left == 0) {
        say("All events were published.");
        return release_name();
    }
    say(fmt::format("The name {} is still held. Run it again.", options_.name));
    return 1;
}

int SenderProcess::release_name() {
    Executor& on = (*name_loop_)[0];
    std::promise<Status> released;
    on.post([this, &on, &released] {
        name_->stop();
        member_->link().senders().release_sender(
            options_.name, name_->epoch(),
            {&on, [&released](Status status) { released.set_value(std::move(status)); }});
    });
    const Status status = released.get_future().get();
    if (status) {
        fmt::print("The name {} is free.\n", options_.name);
        return 0;
    }
    std::fprintf(stderr, "postfleet-sender: the name %s is still held: %s\n", options_.name.c_str(),
                 status.error().text.c_str());
    return 1;
}

}  // namespace postfleet::sender
