#include "content.hpp"

#include <algorithm>
#include <memory>

#include "values.hpp"

namespace postfleet::amqp {

namespace {

// A header that lies about the size of what follows does not make us take more than this at once.
constexpr std::uint64_t kReserveAtMost = 16ull << 20;

}  // namespace

void Content::begin(const amqp_basic_deliver_t& method) {
    clear();
    wants_ = Wants::Header;
    delivery_.tag = method.delivery_tag;
    delivery_.is_redelivered = method.redelivered != 0;
    delivery_.from = {std::string(to_view(method.exchange)), std::string(to_view(method.routing_key))};
}

void Content::begin(const amqp_basic_return_t& method) {
    clear();
    wants_ = Wants::Header;
    return_text_ = close_text(method.reply_code, method.reply_text);
    delivery_.from = {std::string(to_view(method.exchange)), std::string(to_view(method.routing_key))};
}

void Content::read_properties(const amqp_basic_properties_t& properties) {
    const auto has = [&](amqp_flags_t flag) { return (properties._flags & flag) != 0; };
    BrokerMessage& message = delivery_.message;
    if (has(AMQP_BASIC_CONTENT_TYPE_FLAG)) message.content_type = to_view(properties.content_type);
    if (has(AMQP_BASIC_CONTENT_ENCODING_FLAG)) message.content_encoding = to_view(properties.content_encoding);
    if (has(AMQP_BASIC_MESSAGE_ID_FLAG)) message.message_id = to_view(properties.message_id);
    if (has(AMQP_BASIC_TYPE_FLAG)) message.type = to_view(properties.type);
    if (has(AMQP_BASIC_CORRELATION_ID_FLAG)) message.correlation_id = to_view(properties.correlation_id);
    if (has(AMQP_BASIC_REPLY_TO_FLAG)) message.reply_to = to_view(properties.reply_to);
    if (has(AMQP_BASIC_PRIORITY_FLAG)) message.priority = properties.priority;
    if (has(AMQP_BASIC_USER_ID_FLAG)) delivery_.user_id = to_view(properties.user_id);
    if (!has(AMQP_BASIC_HEADERS_FLAG)) return;
    message.headers = read_headers(properties.headers);
    delivery_.delivery_count = static_cast<std::uint32_t>(
        std::clamp<std::int64_t>(number_of(properties.headers, "x-delivery-count"), 0, UINT32_MAX));
}

Result<bool> Content::add(const amqp_frame_t& frame) {
    const auto wrong = [](const char* text) { return Error{ErrorKind::Corruption, text}; };
    if (wants_ == Wants::Header) {
        if (frame.frame_type != AMQP_FRAME_HEADER || frame.payload.properties.class_id != AMQP_BASIC_CLASS) {
            return wrong("the broker sent a message without its header");
        }
        size_ = frame.payload.properties.body_size;
        if (size_ > kMostOctets) return wrong("the broker sent a message of more than 512 MiB");
        read_properties(*static_cast<const amqp_basic_properties_t*>(frame.payload.properties.decoded));
        body_.reserve(std::min(size_, kReserveAtMost));
        wants_ = size_ > 0 ? Wants::Body : Wants::Nothing;
        return size_ == 0;
    }
    if (wants_ != Wants::Body || frame.frame_type != AMQP_FRAME_BODY) {
        return wrong("the broker sent a frame that belongs nowhere");
    }
    const std::string_view fragment = to_view(frame.payload.body_fragment);
    if (fragment.size() > size_ - body_.size()) return wrong("the broker sent more of a message than it announced");
    body_.append(fragment);
    if (body_.size() < size_) return false;
    wants_ = Wants::Nothing;
    return true;
}

BrokerDelivery Content::take() {
    delivery_.message.body = std::make_shared<const std::string>(std::move(body_));
    body_ = {};
    return std::move(delivery_);
}

}  // namespace postfleet::amqp
