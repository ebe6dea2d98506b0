// FakeHandover: a Handover that does what a test says: at once, later, wrong, or not at all.
//
//   Mode::AtOnce    completes inside the call        Mode::Posted   completes on its executor (default)
//   Mode::Hold      waits for release()
//
// `next` is the answer; accepted messages and stored chunks can be looked at. Threads: confined.
#pragma once

#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "postfleet/ports/handover.hpp"

namespace postfleet::support {

class FakeHandover final : public Handover {
public:
    enum class Mode { AtOnce, Posted, Hold };

    Mode mode = Mode::Posted;
    Status next;
    Admission open;
    std::vector<AcceptedMessage> accepted;                              // handed over with ok
    std::map<MessageId, std::map<std::uint32_t, SharedOctets>> chunks;  // appended and not discarded

    Admission admission() const override { return open; }
    void holds(MessageId id, Completion<Result<bool>> done) override;
    void hand_over(AcceptedMessage message, Completion<Status> done) override;
    void append_content(MessageId id, std::uint32_t chunk, SharedOctets octets, Completion<Status> done) override;
    void discard_content(MessageId id, std::uint32_t count) override;

    std::size_t held() const { return held_.size(); }
    void release(Status status);  // the oldest one that is held

    // Content of an accepted message with the header that was put before it.
    std::string whole(std::size_t index) const;

private:
    void complete(UniqueFunction<void(const Status&)> effect, Completion<Status> done);

    struct Held {
        UniqueFunction<void(const Status&)> effect;
        Completion<Status> done;
    };
    std::deque<Held> held_;
};

}  // namespace postfleet::support
