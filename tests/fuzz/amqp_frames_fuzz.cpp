// What somebody says who is no broker, or a broken one: the frames go through rabbitmq-c and our reading of them. A delivery
// that comes of it is no larger than it was announced, and has in it nothing that was not said.
#include <amqp.h>
#include <amqp_framing.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "content.hpp"
#include "postfleet/base/require.hpp"
#include "values.hpp"

using namespace postfleet;

namespace {

struct Destroy {
    void operator()(amqp_connection_state_t state) const { amqp_destroy_connection(state); }
};

// What is said at most, and what of it a header may take: every octet of a table makes a few of ours.
void check(const BrokerDelivery& delivery, std::size_t said) {
    const BrokerMessage& message = delivery.message;
    require(message.body != nullptr && message.body->size() <= said);
    for (const std::string* text :
         {&message.content_type, &message.message_id, &message.type, &message.correlation_id, &message.reply_to,
          &delivery.user_id, &delivery.from.exchange, &delivery.from.routing_key}) {
        require(text->size() <= 255);
    }
    require(message.headers.size() <= said);
    for (const auto& [name, value] : message.headers) require(name.size() <= 255 && value.size() <= said + 400);
}

// As Consumer and Publisher do it. False: the connection would end here.
bool on_frame(amqp::Content& content, const amqp_frame_t& frame, std::size_t said) {
    if (frame.frame_type == AMQP_FRAME_METHOD) {
        if (content.is_expected()) return false;
        const amqp_method_t& method = frame.payload.method;
        if (method.id == AMQP_BASIC_DELIVER_METHOD) {
            content.begin(*static_cast<const amqp_basic_deliver_t*>(method.decoded));
        } else if (method.id == AMQP_BASIC_RETURN_METHOD) {
            content.begin(*static_cast<const amqp_basic_return_t*>(method.decoded));
            require(content.return_text().size() <= 1300);
        } else {
            amqp_rpc_reply_t reply{};
            reply.reply_type = AMQP_RESPONSE_SERVER_EXCEPTION;
            reply.reply = method;
            require(!amqp::problem_of(reply).empty());
        }
        return true;
    }
    if (frame.frame_type != AMQP_FRAME_HEADER && frame.frame_type != AMQP_FRAME_BODY) return true;
    const auto added = content.add(frame);
    require(added || !added.error().text.empty());
    if (!added) return false;
    if (*added) check(content.take(), said);
    return true;
}

}  // namespace

void fuzz_amqp_frames(std::span<const std::byte> input) {
    const std::unique_ptr<amqp_connection_state_t_, Destroy> state(amqp_new_connection());
    require(state != nullptr);
    amqp::Content content;
    std::string octets(reinterpret_cast<const char*>(input.data()), input.size());
    for (amqp_bytes_t left = amqp::to_bytes(octets); left.len > 0;) {
        amqp_frame_t frame{};
        const int used = amqp_handle_input(state.get(), left, &frame);
        if (used <= 0) return;
        left.bytes = static_cast<char*>(left.bytes) + used;
        left.len -= static_cast<std::size_t>(used);
        if (frame.frame_type == 0) continue;  // a frame that has only begun
        if (!on_frame(content, frame, input.size())) return;
        amqp_release_buffers(state.get());
    }
}
