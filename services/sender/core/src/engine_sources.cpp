// Source addresses that are not used: by a reply pattern or an operator, until a time or until they are enabled.
//
// Each is a note in the spool: source/<virtual MTA>/<site>/<address> → "<until, microseconds, or 0> <reason>".

#include <charconv>
#include <utility>

#include "delivery_session.hpp"
#include "engine.hpp"

namespace postfleet::sender {

namespace {

constexpr std::string_view kSourceNote = "source/";

std::string note_of(const VirtualMta& identity, const VirtualMta::Ban& ban) {
    return std::string(kSourceNote) + identity.name + '/' + ban.site + '/' + ban.source.to_string();
}

struct Kept {
    std::string virtual_mta;
    VirtualMta::Ban ban;
};

std::optional<Kept> parse_note(std::string_view name, std::string_view value) {
    name.remove_prefix(kSourceNote.size());
    const std::size_t first = name.find('/'), last = name.rfind('/'), space = value.find(' ');
    if (first == std::string_view::npos || first == last || space == std::string_view::npos) return std::nullopt;
    const auto source = IpAddress::parse(name.substr(last + 1));
    std::int64_t until = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + space, until);
    if (!source || error != std::errc() || end != value.data() + space) return std::nullopt;
    Kept kept{std::string(name.substr(0, first)),
              {std::string(name.substr(first + 1, last - first - 1)), *source, std::string(value.substr(space + 1))}};
    if (until != 0) kept.ban.until = from_unix_microseconds(until);
    return kept;
}

std::string describe(const VirtualMta::Ban& ban) {
    return ban.site == VirtualMta::Ban::kEverywhere ? ban.reason : "at " + ban.site + ": " + ban.reason;
}

}  // namespace

void Engine::disable_source(const std::shared_ptr<VirtualMta>& identity, VirtualMta::Ban ban, Shard& shard,
                            UniqueFunction<void(Status)> durable) {
    const VirtualMta::Ban kept = ban;
    const VirtualMta::Banned banned = identity->disable(std::move(ban));
    if (!banned.is_in_force) return durable({});
    if (banned.is_news) {
        report_source(EventType::VirtualMtaDisabled, *identity, kept.source.to_string(), describe(kept), shard);
    }
    const std::string until = kept.until ? std::to_string(to_unix_microseconds(*kept.until)) : "0";
    dependencies.spool.put_note(
        note_of(*identity, kept), until + ' ' + kept.reason,
        {shard.executor, [durable = std::move(durable)](Status status) mutable { durable(std::move(status)); }});
    // Connections that leave from it carry nothing more.
    for (unsigned i = 0; i < shards.size(); ++i) {
        on_shard(i, [identity, kept](Shard& on) {
            const std::vector sessions(on.sessions.begin(), on.sessions.end());
            for (const auto& session : sessions) {
                if (session->leaves_from(*identity, kept)) session->drain();
            }
        });
    }
}

bool Engine::enable_source(const std::shared_ptr<VirtualMta>& identity, const IpAddress& source, std::string_view site,
                           Shard& shard) {
    const std::vector<VirtualMta::Ban> ended = identity->enable(source, site);
    for (const VirtualMta::Ban& ban : ended) {
        // Should this not become durable, it is disabled again after a restart, and is seen.
        dependencies.spool.put_note(note_of(*identity, ban), "", {shard.executor, [](Status) {}});
        report_source(EventType::VirtualMtaEnabled, *identity, source.to_string(), describe(ban), shard);
    }
    for (const auto& queue : queues.all()) {
        if (queue->virtual_mta == identity) queue->on_source_enabled(shard);
    }
    return !ended.empty();
}

void Engine::restore_disabled_sources() {
    const Executor& clock = *shards[0]->executor;
    for (const auto& [name, value] : dependencies.spool.notes()) {
        if (!name.starts_with(kSourceNote) || value.empty()) continue;
        auto kept = parse_note(name, value);
        if (!kept) continue;
        VirtualMta::Ban& ban = kept->ban;
        if (ban.until && *ban.until <= clock.wall_now()) {
            dependencies.spool.put_note(name, "", {shards[0]->executor, [](Status) {}});
            continue;
        }
        if (ban.until) ban.ends_at = clock.now() + (*ban.until - clock.wall_now());
        queues.virtual_mta(kept->virtual_mta)->disable(std::move(ban));
    }
}

}  // namespace postfleet::sender
