// SubmissionWorld: a submission queue without sockets: a broker and a store in memory, the consumer and its desk.
#pragma once

#include "ingest_fixture.hpp"
#include "postfleet/crypto/openssl_digests.hpp"
#include "postfleet/ingest/submission_consumer.hpp"
#include "postfleet/submission/json_body.hpp"
#include "postfleet/submission/message_body.hpp"
#include "postfleet/support/fake_broker.hpp"
#include "postfleet/support/fake_state_store.hpp"

namespace postfleet::ingest {

inline const std::string kQueueConfiguration = R"(
hostname: mx.example
tenants: {acme: {send_as: [src.test]}}
listeners: {relay: {address: "127.0.0.1:2525"}}
submission_queues:
  shop: {url: "amqp://127.0.0.1", tenant: acme, virtual_mta: tx-2, max_message_size: 64KiB, max_recipients: 5}
virtual_mtas: {tx-1: {}, tx-2: {}, promo: {}, bulk-1: {}, bulk-2: {}}
pools: {bulk: {members: [bulk-1, bulk-2]}}
bindings: [{listener: shop, job: autumn, virtual_mta: promo}]
default_virtual_mta: tx-1
)";

struct MemoryNotes final : SuspectNotes {
    void write(const Suspect& suspect) override { note = suspect; }
    void clear() override { note.reset(); }
    std::optional<Suspect> note;
};

// What outlives the process.
struct SubmissionOutside {
    SubmissionOutside() {
        broker.declare_queue("submit", {.dead_letter_exchange = "", .dead_letter_key = "rejected"});
        broker.declare_queue("rejected");
    }
    void submit(std::string body, BrokerMessage with = {}) {
        if (with.content_type.empty()) with.content_type = "application/json";
        with.body = std::make_shared<const std::string>(std::move(body));
        broker.arrive({"", "submit"}, std::move(with));
    }
    void submit_json(const std::string& recipient, const std::string& more = "") {
        submit(R"({"mail_from": "a@src.test", "recipient": ")" + recipient +
               R"(", "mime": "From: a@src.test\r\n\r\nHi\r\n")" + more + "}");
    }
    std::string reason(std::size_t index = 0) const {
        const auto rejected = broker.waiting("rejected");
        if (index >= rejected.size()) return "(none)";
        for (const auto& [name, value] : rejected[index].headers) {
            if (name == "x-postfleet-reason") return value;
        }
        return "(no reason)";
    }

    support::ManualExecutor executor;
    support::FakeBroker broker;
    support::FakeStateStore keys;
    support::FakeHandover handover;
    MemoryNotes notes;
};

struct SubmissionWorld {
    explicit SubmissionWorld(SubmissionOutside& outside, const std::string& text = kQueueConfiguration,
                             std::uint64_t seed = 42)
        : out(outside), shard(out.executor, out.handover, counters, Log(sink), seed, HandoverDesk::kForever) {
        const auto loaded = config_files::load_text(text);
        INFO(config_files::to_string(loaded.problems));
        REQUIRE(loaded.config);
        rules = ListenerRules::make(*loaded.config, loaded.config->submission_queues.at("shop"),
                                    routing::Snapshot::compile(*loaded.config));
        consumer = std::make_unique<SubmissionConsumer>(
            SubmissionConsumer::Setup{.name = "shop",
                                      .queue = "submit",
                                      .rejected = {"", "rejected"},
                                      .max_body_octets = 128 * 1024,
                                      .shard = shard,
                                      .desk = desk,
                                      .publisher = *publisher,
                                      .digests = digests,
                                      .counters = submissions,
                                      .notes = out.notes,
                                      .left = out.notes.note ? std::vector{*out.notes.note} : std::vector<Suspect>(),
                                      .parse =
                                          [this](const BrokerMessage& message) {
                                              if (before_parse) before_parse(message);
                                              if (message.content_type == "message/rfc822") {
                                                  return submission::parse_message(*message.body, message.headers);
                                              }
                                              return submission::parse_json(*message.body);
                                          },
                                      .source = {.name = "shop", .rules = rules}});
        BrokerConsumerOptions options;
        options.queue = "submit";
        options.on = &out.executor;
        options.deliver = [this](BrokerDelivery&& delivery) { consumer->deliver(std::move(delivery)); };
        options.lost = [this] { consumer->on_lost(); };
        link = out.broker.consumer(std::move(options));
        consumer->attach(link.get());
    }
    ~SubmissionWorld() {
        consumer->attach(nullptr);
        link.reset();
    }

    void run() { out.executor.run_until_idle(); }
    void pass(Duration time) {
        out.executor.advance(time);
        run();
    }
    // Not settled by us.
    std::size_t held() const { return out.broker.unsettled("submit"); }

    SubmissionOutside& out;
    Metrics metrics;
    CollectingSink sink;
    IngestCounters counters{metrics};
    ProcessLimits process;
    ListenerShared listener{metrics, "shop", process};
    IntakeShard shard;
    std::shared_ptr<const ListenerRules> rules;
    SubmissionDesk desk{shard, listener, &out.keys};
    std::unique_ptr<BrokerPublisher> publisher = out.broker.publisher();
    crypto::OpensslDigests digests;
    SubmissionCounters submissions{metrics, "shop"};
    std::function<void(const BrokerMessage&)> before_parse;
    std::unique_ptr<SubmissionConsumer> consumer;
    std::unique_ptr<BrokerConsumer> link;
};

}  // namespace postfleet::ingest
