#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <future>
#include <map>
#include <memory>
#include <set>
#include <tuple>
#include <utility>

#include "../cli/broker_options.hpp"
#include "../cli/context.hpp"
#include "../cli/terminal.hpp"
#include "postfleet/amqp/broker.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/net/loop_group.hpp"
#include "postfleet/standalone/command_line.hpp"
#include "postfleet/standalone/table.hpp"
#include "postfleet/wire/topology.hpp"

namespace postfleet::standalone {
namespace {

struct RejectedOptions {
    BrokerOptions broker;
    std::string queue;  // whose messages go back; empty: they are counted only
};

constexpr Duration kLook = std::chrono::milliseconds(100);
constexpr Duration kQuiet = std::chrono::seconds(5);  // without another message: that was the last
constexpr Duration kTellAfter = std::chrono::seconds(1);
constexpr Duration kPatience = std::chrono::seconds(20);  // with a broker that lets nobody in
constexpr std::uint32_t kMostSeen = 20'000;               // of those that stay
constexpr std::uint64_t kAllOctets = 64ull << 30;         // the queue is smaller; bodies of those that stay are dropped
constexpr const char* kTooOften = "given out too often: its consumer died each time";

struct Origin {
    std::string queue, reason;
    friend bool operator<(const Origin& a, const Origin& b) {
        return std::tie(a.queue, a.reason) < std::tie(b.queue, b.reason);
    }
};

struct Seen {
    std::uint64_t returned = 0, failed = 0, messages = 0;
    std::map<Origin, std::uint64_t> staying;
    std::string failure;  // the last one
};

std::string_view header_of(const BrokerMessage& message, std::string_view name) {
    for (const auto& [key, value] : message.headers) {
        if (key == name) return value;
    }
    return {};
}

// Postfleet says itself from where it has put something aside; of what the broker has put aside that says the broker.
Origin origin_of(const BrokerMessage& message) {
    const std::string_view ours = header_of(message, "x-postfleet-queue");
    if (!ours.empty()) return {std::string(ours), std::string(header_of(message, "x-postfleet-reason"))};
    return {std::string(header_of(message, "x-first-death-queue")), kTooOften};
}

bool tells_of_rejection(std::string_view header) {
    return header.starts_with("x-death") || header.starts_with("x-first-death") || header.starts_with("x-last-death") ||
           header.starts_with("x-postfleet-") || header == "x-delivery-count";
}

// Goes through postfleet.rejected once. What goes back is acknowledged when its queue has it; everything else is the
// broker's again at the end. Confined to the loop's thread, but for run().
class Passage final {
public:
    Passage(Executor& on, amqp::Broker& broker, std::string queue)
        : on_(on), queue_(std::move(queue)), publisher_(broker.publisher({.name = "rejected"})), broker_(broker) {}

    Result<Seen> run() {
        auto answer = result_.get_future();
        on_.post([this] {
            last_ = connected_ = on_.now();
            consumer_ =
                broker_.consumer({.queue = std::string(wire::kRejectedQueue),
                                  .name = "rejected",
                                  .most_unsettled = kMostSeen,
                                  .most_octets = kAllOctets,
                                  .on = &on_,
                                  .deliver = [this](BrokerDelivery&& delivery) { on_delivery(std::move(delivery)); },
                                  .lost = [this] { seen_.staying.clear(); }});
            look();
        });
        return answer.get();
    }

private:
    void on_delivery(BrokerDelivery&& delivery) {
        last_ = on_.now();
        ++seen_.messages;
        BrokerMessage message = std::move(delivery.message);
        const Origin origin = origin_of(message);
        // What comes a second time has gone wrong again: once around is enough.
        if (origin.queue != queue_ || returned_.contains(message.message_id)) {
            ++seen_.staying[origin];
            return;
        }
        std::erase_if(message.headers, [](const auto& header) { return tells_of_rejection(header.first); });
        ++under_way_;
        std::string id = message.message_id;
        publisher_->publish(
            {"", queue_}, std::move(message),
            {&on_, [this, origin, id = std::move(id), tag = delivery.tag](const Status& status) mutable {
                 --under_way_;
                 if (!status) {
                     seen_.failure = status.error().text;
                     ++seen_.failed;
                     ++seen_.staying[origin];
                     return;
                 }
                 ++seen_.returned;
                 returned_.insert(std::move(id));
                 consumer_->settle(tag, BrokerVerdict::Ack);
             }});
    }

    void look() {
        std::string obstacle = consumer_->obstacle();
        if (obstacle.empty()) obstacle = publisher_->obstacle();
        if (obstacle.empty()) {
            connected_ = on_.now();
        } else {
            last_ = on_.now();
            if (under_way_ == 0 && on_.now() - connected_ >= kPatience) {
                return stop(Error{ErrorKind::Unavailable, "the broker cannot be reached: " + obstacle});
            }
            if (on_.now() - connected_ >= kTellAfter && std::exchange(told_, obstacle) != obstacle) {
                fmt::print(stderr, "waiting for the broker: {}\n", obstacle);
            }
        }
        if (under_way_ == 0 && on_.now() - last_ >= kQuiet) return stop(std::move(seen_));
        on_.schedule_at(on_.now() + kLook, [this] { look(); });
    }

    void stop(Result<Seen> result) {
        consumer_->stop({&on_, [this, result = std::move(result)](const Status&) mutable {
                             result_.set_value(std::move(result));
                         }});
    }

    Executor& on_;
    const std::string queue_;
    const std::unique_ptr<BrokerPublisher> publisher_;
    amqp::Broker& broker_;
    std::unique_ptr<BrokerConsumer> consumer_;
    SteadyTime last_{}, connected_{};
    std::size_t under_way_ = 0;
    std::set<std::string> returned_;
    Seen seen_;
    std::string told_;
    std::promise<Result<Seen>> result_;
};

// Submissions are left to applications: the broker's word for who published one would be lost.
Status check_queue(const std::string& queue) {
    for (const std::string& ours : {wire::deliver_queue(""), wire::overflow_queue(""), wire::sink_queue("")}) {
        if (queue.starts_with(ours) && queue.size() > ours.size()) return {};
    }
    return Error{ErrorKind::InvalidArgument,
                 "'" + queue +
                     "' is no queue of a sender (postfleet.deliver.NAME, postfleet.overflow.NAME) or of a "
                     "report (postfleet.sink.NAME); submissions are published again by their application"};
}

Result<Seen> go_through(const RejectedOptions& options) {
    auto access = access_of(options.broker);
    if (!access) return access.error();
    if (Status right = options.queue.empty() ? Status() : check_queue(options.queue); !right) return right.error();
    amqp::Broker broker({.access = *std::move(access), .name = "postfleet rejected"});
    auto loop = net::LoopGroup::create(1);
    if (!loop) return loop.error();
    Passage passage((**loop)[0], broker, options.queue);
    (*loop)->start();
    auto seen = passage.run();
    (*loop)->stop();
    (*loop)->join();
    return seen;
}

std::string list_of(const Seen& seen) {
    if (seen.staying.empty()) return "postfleet.rejected is empty.\n";
    Table table({{"MESSAGES", Table::Align::Right, 90},
                 {"FROM", Table::Align::Left, 100, true},
                 {"REASON", Table::Align::Left, 80, true}});
    for (const auto& [origin, messages] : seen.staying) {
        table.add_row({{show_count(messages)}, {printable(origin.queue)}, {printable(origin.reason)}});
    }
    return table.render(output_style());
}

int run_rejected(const RejectedOptions& options) {
    const auto seen = go_through(options);
    if (!seen) {
        report_failure(seen.error());
        return 1;
    }
    if (!options.queue.empty()) print(fmt::format("{} messages are in {} again.\n", seen->returned, options.queue));
    if (options.queue.empty() || !seen->staying.empty()) print(list_of(*seen));
    if (seen->messages - seen->returned >= kMostSeen) {
        print(fmt::format("There may be more behind these {}.\n", kMostSeen));
    }
    if (seen->failed == 0) return 0;
    report_failure(
        {ErrorKind::Unavailable,
         fmt::format("{} messages stay in postfleet.rejected, because {}; run it again", seen->failed, seen->failure)});
    return 1;
}

}  // namespace

void register_rejected_command(CLI::App& app, int& exit_code) {
    auto options = std::make_shared<RejectedOptions>();  // CLI11 keeps the callbacks as long as the App
    CLI::App* group = app.add_subcommand("rejected", "What was put aside in postfleet.rejected")->require_subcommand(1);
    group->group("Run");
    CLI::App* list = group->add_subcommand("list", "How much is there, from which queues, and why");
    CLI::App* back = group->add_subcommand("return", "Give a queue back what came from it, when its reason is mended");
    back->add_option("queue", options->queue, "postfleet.deliver.NAME, postfleet.overflow.NAME or postfleet.sink.NAME")
        ->required()
        ->type_name("QUEUE");
    back->footer(
        "It may be interrupted and run again: a message leaves postfleet.rejected when its queue has it, and a sender\n"
        "drops what it has had.");
    for (CLI::App* command : {list, back}) {
        add_broker_options(*command, options->broker);
        command->callback([&exit_code, options] { exit_code = run_rejected(*options); });
    }
}

}  // namespace postfleet::standalone
