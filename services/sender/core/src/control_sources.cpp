// An operator's orders about source addresses.

#include <utility>

#include "control.hpp"

namespace postfleet::sender {

namespace {

template <class Value>
void answer(Completion<Result<std::uint64_t>>&& done, Value&& value) {
    Executor& on = *done.on;
    on.post([done = std::move(done), value = Result<std::uint64_t>(std::forward<Value>(value))]() mutable {
        done.run(std::move(value));
    });
}

// Asked for all of them, one after the other; the first failure ends it.
struct Disabling {
    VirtualMta::Ban ban;
    std::vector<std::shared_ptr<VirtualMta>> left;
    std::uint64_t touched = 0;
    Completion<Result<std::uint64_t>> done;
};

void disable_next(Engine& engine, const std::shared_ptr<Disabling>& order) {
    if (order->left.empty()) return answer(std::move(order->done), order->touched);
    const auto identity = std::move(order->left.back());
    order->left.pop_back();
    ++order->touched;
    engine.disable_source(identity, order->ban, *engine.shards[0], [&engine, order](Status status) {
        if (!status) return answer(std::move(order->done), status.error());
        disable_next(engine, order);
    });
}

}  // namespace

std::vector<std::shared_ptr<VirtualMta>> Control::with_address(const SourceSelector& which,
                                                               const IpAddress& source) const {
    std::vector<std::shared_ptr<VirtualMta>> out;
    for (const auto& identity : engine_.queues.virtual_mtas()) {
        if (!which.virtual_mta.empty() && identity->name != which.virtual_mta) continue;
        if (identity->has_address(source)) out.push_back(identity);
    }
    return out;
}

void Control::disable_source(SourceSelector which, std::optional<Duration> duration, std::string who, std::string why,
                             Completion<Result<std::uint64_t>> done) {
    const auto source = IpAddress::parse(which.source);
    if (!source) {
        return answer(std::move(done), Error{ErrorKind::InvalidArgument, "'" + which.source + "' is not an address"});
    }
    auto identities = with_address(which, *source);
    if (identities.empty()) {
        return answer(std::move(done),
                      Error{ErrorKind::NotFound, which.virtual_mta.empty()
                                                     ? "no virtual MTA has the source " + which.source
                                                     : which.virtual_mta + " has no source " + which.source});
    }
    engine_.on_shard(
        0, [this, which = std::move(which), duration, who = std::move(who), why = std::move(why), source = *source,
            identities = std::move(identities), done = std::move(done)](Shard& shard) mutable {
            auto order = std::make_shared<Disabling>();
            order->ban.site = which.site.empty() ? std::string(VirtualMta::Ban::kEverywhere) : which.site;
            order->ban.source = source;
            order->ban.reason = "by " + who + (why.empty() ? "" : ": " + why);
            if (duration) {
                order->ban.until = shard.executor->wall_now() + std::chrono::ceil<WallTime::duration>(*duration);
                order->ban.ends_at = shard.executor->now() + *duration;
            }
            order->left = std::move(identities);
            order->done = std::move(done);
            disable_next(engine_, order);
        });
}

void Control::enable_source(SourceSelector which, Completion<Result<std::uint64_t>> done) {
    const auto source = IpAddress::parse(which.source);
    if (!source) {
        return answer(std::move(done), Error{ErrorKind::InvalidArgument, "'" + which.source + "' is not an address"});
    }
    engine_.on_shard(0, [this, which = std::move(which), source = *source,
                         done = std::move(done)](Shard& shard) mutable {
        std::uint64_t touched = 0;
        for (const auto& identity : engine_.queues.virtual_mtas()) {
            if (!which.virtual_mta.empty() && identity->name != which.virtual_mta) continue;
            if (engine_.enable_source(identity, source, which.site, shard)) ++touched;
        }
        if (touched == 0) {
            return answer(std::move(done), Error{ErrorKind::NotFound, "the source " + which.source +
                                                                          " is not disabled; `postfleet show vmtas` "
                                                                          "tells which ones are"});
        }
        answer(std::move(done), touched);
    });
}

}  // namespace postfleet::sender
