#include "postfleet/support/fake_handover.hpp"

#include "postfleet/base/require.hpp"

namespace postfleet::support {

void FakeHandover::holds(MessageId id, Completion<Result<bool>> done) {
    bool held = false;
    for (const AcceptedMessage& message : accepted) held = held || message.message->id == id;
    done.on->post([run = std::move(done.run), held]() mutable { run(held); });
}

void FakeHandover::hand_over(AcceptedMessage message, Completion<Status> done) {
    complete(
        [this, message = std::move(message)](const Status& status) mutable {
            if (status) accepted.push_back(std::move(message));
        },
        std::move(done));
}

void FakeHandover::append_content(MessageId id, std::uint32_t chunk, SharedOctets octets, Completion<Status> done) {
    complete(
        [this, id, chunk, octets = std::move(octets)](const Status& status) mutable {
            if (status) chunks[id][chunk] = std::move(octets);
        },
        std::move(done));
}

void FakeHandover::discard_content(MessageId id, std::uint32_t count) {
    const auto found = chunks.find(id);
    if (found == chunks.end()) return;
    for (std::uint32_t chunk = 0; chunk < count; ++chunk) found->second.erase(chunk);
    if (found->second.empty()) chunks.erase(found);
}

void FakeHandover::complete(UniqueFunction<void(const Status&)> effect, Completion<Status> done) {
    switch (mode) {
        case Mode::AtOnce:
            effect(next);
            done.run(next);
            return;
        case Mode::Posted:
            effect(next);
            done.on->post([run = std::move(done.run), status = next]() mutable { run(std::move(status)); });
            return;
        case Mode::Hold: held_.push_back({std::move(effect), std::move(done)}); return;
    }
}

void FakeHandover::release(Status status) {
    require(!held_.empty());
    Held held = std::move(held_.front());
    held_.pop_front();
    held.effect(status);
    held.done.on->post(
        [run = std::move(held.done.run), status = std::move(status)]() mutable { run(std::move(status)); });
}

std::string FakeHandover::whole(std::size_t index) const {
    const AcceptedMessage& message = accepted.at(index);
    std::string all = message.message->prepended_header;
    if (const auto found = chunks.find(message.message->id); found != chunks.end()) {
        for (const auto& [number, octets] : found->second) all += *octets;
    }
    return all + *message.last_chunk;
}

}  // namespace postfleet::support
