// Content: a delivery or a returned message, put together from the frames that it comes in (RMQ-6).
//
//   method (basic.deliver, basic.return) ──▶ header ──▶ body … ──▶ done          nothing else may come in between
//
// Reading frame by frame blocks nowhere, and copies a body once. Threads: confined.
#pragma once

#include <amqp.h>
#include <amqp_framing.h>

#include <cstdint>
#include <string>

#include "postfleet/base/result.hpp"
#include "postfleet/ports/broker.hpp"

namespace postfleet::amqp {

class Content {
public:
    static constexpr std::uint64_t kMostOctets = 512ull << 20;  // what RabbitMQ itself takes at most

    bool is_expected() const { return wants_ != Wants::Nothing; }
    void begin(const amqp_basic_deliver_t& method);
    void begin(const amqp_basic_return_t& method);
    // Takes a header or body frame; true: it was the last one. Errors: a frame that does not belong here.
    Result<bool> add(const amqp_frame_t& frame);

    const std::string& return_text() const { return return_text_; }
    BrokerDelivery take();  // with the channel's delivery tag
    void clear() { *this = {}; }

private:
    enum class Wants : std::uint8_t { Nothing, Header, Body };
    void read_properties(const amqp_basic_properties_t& properties);

    Wants wants_ = Wants::Nothing;
    std::string return_text_;
    BrokerDelivery delivery_;
    std::string body_;
    std::uint64_t size_ = 0;
};

}  // namespace postfleet::amqp
