// Connection: making the topology, or finding it as it is to be.
#include <fmt/format.h>

#include <array>

#include "connection.hpp"
#include "postfleet/base/text.hpp"
#include "values.hpp"

namespace postfleet::amqp {

namespace {

// A channel of its own: the broker answers a refusal by closing the channel, and with it would go the consumer of the
// other one, its confirms and their numbers.
constexpr amqp_channel_t kChannelToDeclare = kChannel + 1;
constexpr std::uint16_t kForbidden = 403, kNotFound = 404, kPreconditionFailed = 406;

const char* name_of(wire::BrokerExchange::Kind kind) {
    switch (kind) {
        case wire::BrokerExchange::Kind::Direct: return "direct";
        case wire::BrokerExchange::Kind::Fanout: return "fanout";
        case wire::BrokerExchange::Kind::Topic: return "topic";
    }
    return "";
}

// What a queue that exists already may have otherwise: no mail is lost by it.
bool is_harmless(std::string_view difference) {
    static constexpr std::array kLimits{"'x-max-length-bytes'", "'x-max-length'", "'x-delivery-limit'",
                                        "'x-quorum-initial-group-size'", "'x-queue-leader-locator'"};
    for (const std::string_view limit : kLimits) {
        if (difference.find(limit) != std::string_view::npos) return true;
    }
    return false;
}

// Everything is said, because brokers differ in what they do otherwise.
Table arguments_of(const wire::BrokerQueue& queue) {
    Table out;
    const bool refuses = queue.when_full == wire::WhenFull::Refuse;
    out.add_text("x-queue-type", "quorum");
    out.add_text("x-queue-leader-locator", "balanced");
    out.add_text("x-overflow", refuses ? "reject-publish" : "drop-head");
    out.add_number("x-max-length-bytes", static_cast<std::int64_t>(queue.most_octets));
    out.add_number("x-delivery-limit", queue.delivery_limit);
    if (queue.dead_letter_exchange.empty()) return out;
    out.add_text("x-dead-letter-exchange", queue.dead_letter_exchange);
    // RabbitMQ gives dead letters at least once only from queues that refuse.
    out.add_text("x-dead-letter-strategy", refuses ? "at-least-once" : "at-most-once");
    return out;
}

}  // namespace

Status Connection::reopen_channel() {
    amqp_channel_close_ok_t ok{};
    if (const auto sent = send(AMQP_CHANNEL_CLOSE_OK_METHOD, &ok, kChannelToDeclare); !sent) return sent.error();
    amqp_channel_open(state_, kChannelToDeclare);
    return call("open a channel again");
}

template <class Call>
Result<Connection::Declaration> Connection::attempt(Call&& call) {
    call();
    const amqp_rpc_reply_t reply = amqp_get_rpc_reply(state_);
    Declaration out{.text = problem_of(reply)};
    if (out.text.empty()) return out;
    if (reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION || reply.reply.id != AMQP_CHANNEL_CLOSE_METHOD) {
        return Error{ErrorKind::Unavailable, out.text};
    }
    const auto code = static_cast<const amqp_channel_close_t*>(reply.reply.decoded)->reply_code;
    out.what = code == kPreconditionFailed ? Declared::Differs
               : code == kForbidden        ? Declared::Forbidden
                                           : Declared::No;
    if (code != kPreconditionFailed && code != kForbidden && code != kNotFound) {
        return Error{ErrorKind::Unavailable, out.text};
    }
    if (const auto reopened = reopen_channel(); !reopened) return reopened.error();
    return out;
}

Status Connection::declare(const wire::BrokerTopology& topology, const Log& log) {
    if (topology == wire::BrokerTopology()) return {};
    amqp_channel_open(state_, kChannelToDeclare);
    if (const auto opened = call("open a channel to declare"); !opened) return opened.error();
    for (const auto& exchange : topology.exchanges) {
        if (const auto done = declare_exchange(exchange, log); !done) return done.error();
    }
    for (const auto& queue : topology.queues) {
        if (const auto done = declare_queue(queue, log); !done) return done.error();
    }
    for (const auto& binding : topology.bindings) {
        if (const auto done = bind(binding, log); !done) return done.error();
    }
    const auto problem = problem_of(amqp_channel_close(state_, kChannelToDeclare, AMQP_REPLY_SUCCESS));
    amqp_maybe_release_buffers(state_);
    if (!problem.empty()) return Error{ErrorKind::Unavailable, "cannot close a channel: " + problem};
    return {};
}

Status Connection::declare_exchange(const wire::BrokerExchange& exchange, const Log& log) {
    const auto declare = [&](amqp_boolean_t passive) {
        return attempt([&] {
            amqp_exchange_declare(state_, kChannelToDeclare, to_bytes(exchange.name),
                                  amqp_cstring_bytes(name_of(exchange.kind)), passive, 1, 0, 0, amqp_empty_table);
        });
    };
    auto result = declare(0);
    if (!result) return result.error();
    if (result->what == Declared::Yes) return {};
    if (result->what == Declared::Differs) {
        return Error{ErrorKind::InvalidArgument, fmt::format("exchange {} is there and is not {}: {}", exchange.name,
                                                             name_of(exchange.kind), result->text)};
    }
    // We may not make it; somebody else may have.
    const std::string refusal = result->text;
    result = declare(1);
    if (!result) return result.error();
    if (result->what != Declared::Yes) {
        return Error{ErrorKind::PermissionDenied,
                     fmt::format("cannot declare exchange {}: {}", exchange.name, refusal)};
    }
    log.line(LogLevel::Debug, "broker-exchange-found").field("exchange", exchange.name).field("declaring", refusal);
    return {};
}

Status Connection::declare_queue(const wire::BrokerQueue& queue, const Log& log) {
    const auto declare = [&](amqp_boolean_t passive) {
        return attempt([&] {
            Table arguments = arguments_of(queue);
            amqp_queue_declare(state_, kChannelToDeclare, to_bytes(queue.name), passive, 1, 0, 0,
                               passive != 0 ? amqp_empty_table : arguments.get());
        });
    };
    auto result = declare(0);
    if (!result) return result.error();
    const Declaration first = *result;
    if (first.what == Declared::Yes) return {};
    if (first.what == Declared::Differs && !is_harmless(first.text)) {
        return Error{ErrorKind::InvalidArgument,
                     fmt::format("queue {} is there and is not as Postfleet needs it: {}. Empty it, delete it, and it "
                                 "is made anew",
                                 queue.name, first.text)};
    }
    result = declare(1);
    if (!result) return result.error();
    if (result->what != Declared::Yes) {
        return Error{ErrorKind::PermissionDenied, fmt::format("cannot declare queue {}: {}", queue.name, first.text)};
    }
    log.line(first.what == Declared::Differs ? LogLevel::Warning : LogLevel::Debug, "broker-queue-found")
        .field("queue", queue.name)
        .field("declaring", first.text);
    return {};
}

Status Connection::bind(const wire::BrokerBinding& binding, const Log& log) {
    const auto result = attempt([&] {
        amqp_queue_bind(state_, kChannelToDeclare, to_bytes(binding.queue), to_bytes(binding.exchange),
                        to_bytes(binding.routing_key), amqp_empty_table);
    });
    if (!result) return result.error();
    if (result->what == Declared::Yes) return {};
    if (result->what != Declared::Forbidden) {
        return Error{ErrorKind::Unavailable,
                     fmt::format("cannot bind queue {} to {}: {}", binding.queue, binding.exchange, result->text)};
    }
    // Whoever made the queue for us has bound it; if not, what is published comes back and says so.
    log.line(LogLevel::Debug, "broker-binding-not-made").field("queue", binding.queue).field("declaring", result->text);
    return {};
}

}  // namespace postfleet::amqp
