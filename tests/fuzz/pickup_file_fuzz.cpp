// Pickup files: whatever a file says ends in a message with clean line ends or in a refusal for people; and the envelope
// is the same wherever the file is cut while it is read.
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "postfleet/base/require.hpp"
#include "postfleet/ingest/pickup_transaction.hpp"
#include "postfleet/support/fake_handover.hpp"
#include "postfleet/support/manual_executor.hpp"

using namespace postfleet;
using namespace postfleet::ingest;

namespace {

struct Driver final : PickupDriver {
    void on_progress() override {}
};

std::shared_ptr<const ListenerRules> make_rules() {
    config::Config config;
    config.hostname = "mx.test";
    config.virtual_mtas["tx"].name = "tx";
    config.default_virtual_mta = "tx";
    config::Pickup pickup;
    pickup.name = "files";
    return ListenerRules::make(config, pickup, routing::Snapshot::compile(config));
}

void check_clean(std::string_view content) {
    for (std::size_t i = 0; i < content.size(); ++i) {
        require(content[i] != '\0');
        if (content[i] == '\n') require(i > 0 && content[i - 1] == '\r');
        if (content[i] == '\r') require(i + 1 < content.size() && content[i + 1] == '\n');
    }
}

void send(const PickupEnvelope& envelope, std::string_view rest) {
    static const std::shared_ptr<const ListenerRules> rules = make_rules();
    support::ManualExecutor executor;
    support::FakeHandover handover;
    Metrics metrics;
    IngestCounters counters(metrics);
    ProcessLimits process;
    ListenerShared listener(metrics, "files", process);
    IntakeShard shard(executor, handover, counters, Log(), 1, HandoverDesk::kForever);
    Driver driver;
    PickupTransaction transaction(shard, listener, rules, {.id = {}, .name = "file"}, driver);
    if (transaction.begin(envelope, rest.size()) == PickupTransaction::State::Hungry) transaction.feed(rest);
    executor.run_until_idle();
    if (transaction.state() == PickupTransaction::State::Accepted) {
        require(handover.accepted.size() == 1 && !handover.accepted.front().tasks.empty());
        check_clean(handover.whole(0));
        return;
    }
    require(transaction.state() == PickupTransaction::State::Refused && handover.accepted.empty());
    require(!transaction.refusal().empty());
}

}  // namespace

void fuzz_pickup_file(std::span<const std::byte> input) {
    const std::string_view file(reinterpret_cast<const char*>(input.data()), input.size());
    const auto whole = parse_pickup_envelope(file, RestOfFile::IsEmpty);
    const auto beginning = parse_pickup_envelope(file.substr(0, file.size() / 2), RestOfFile::Follows);
    if (!whole) {
        require(!whole.error().text.empty());
        return;
    }
    const PickupEnvelope& envelope = **whole;
    require(envelope.octets < file.size() && envelope.sender.starts_with('<') && !envelope.receivers.empty());
    require(envelope.sender.find('\n') == std::string::npos);
    if (beginning && *beginning) {
        require((*beginning)->octets == envelope.octets && (*beginning)->receivers == envelope.receivers);
    }
    send(envelope, file.substr(envelope.octets));
}
