#include "commands.hpp"

#include <charconv>

#include "check_arguments.hpp"
#include "postfleet/base/json.hpp"
#include "postfleet/base/text.hpp"
#include "suppression_commands.hpp"
#include "waiting.hpp"

namespace postfleet::router {

namespace {

Error invalid(std::string text) { return {ErrorKind::InvalidArgument, std::move(text)}; }

void write_grant(JsonWriter& json, const SenderGrant& grant) {
    json.member("sender", grant.sender).member("epoch", grant.epoch).member("spool", grant.spool_id);
    json.member("holder", grant.holder);
    if (!grant.is_free()) json.member("since", format_rfc3339(grant.since));
}

std::string render(const SenderGrant& grant) {
    std::string out;
    JsonWriter json(out);
    json.begin_object();
    write_grant(json, grant);
    json.end_object();
    return out;
}

Result<std::string> senders(StateStore& store, Executor& executor, const std::set<std::string>& named) {
    auto records =
        wait_for<Result<std::vector<SenderRecord>>>(executor, [&](auto done) { store.list_senders(std::move(done)); });
    if (!records) return records.error();
    add_named(named, *records);
    std::string out;
    JsonWriter json(out);
    json.begin_object().key("senders").begin_array();
    for (const SenderRecord& record : *records) {
        json.begin_object();
        write_grant(json, record.grant);
        json.member("has_virtual_mtas", record.has_virtual_mtas);
        if (!record.waiting_spool_id.empty()) {
            json.key("waiting").begin_object().member("spool", record.waiting_spool_id);
            json.member("holder", record.waiting_holder).member("since", format_rfc3339(record.waiting_since));
            json.end_object();
        }
        json.end_object();
    }
    json.end_array().end_object();
    return out;
}

Result<std::string> take_over(const runtime::ControlRequest& request, StateStore& store, Executor& executor) {
    if (Status good = check_arguments(request, {"sender", "spool"}); !good) return good.error();
    const std::string sender = request.argument("sender");
    if (sender.empty()) return invalid("'takeover' needs a sender's name");
    const auto grant = wait_for<Result<SenderGrant>>(executor, [&](auto done) {
        store.take_over_sender({sender, request.argument("spool")}, std::move(done));
    });
    if (!grant) return grant.error();
    return render(*grant);
}

Result<std::string> release(const runtime::ControlRequest& request, StateStore& store, Executor& executor) {
    if (Status good = check_arguments(request, {"sender", "epoch"}); !good) return good.error();
    const std::string epoch = request.argument("epoch");
    std::uint64_t number = 0;
    const auto parsed = std::from_chars(epoch.data(), epoch.data() + epoch.size(), number);
    if (request.argument("sender").empty() || epoch.empty() || parsed.ec != std::errc() ||
        parsed.ptr != epoch.data() + epoch.size()) {
        return invalid("'release' needs a sender's name and the epoch that `postfleet show senders` says");
    }
    const auto released = wait_for<Status>(
        executor, [&](auto done) { store.release_sender(request.argument("sender"), number, std::move(done)); });
    if (!released) return released.error();
    return std::string("{}");
}

}  // namespace

Result<std::string> run_command(const runtime::ControlRequest& request, StateStore& store, Executor& executor,
                                const std::set<std::string>& named_senders) {
    if (request.command == "senders") return senders(store, executor, named_senders);
    if (request.command == "takeover") return take_over(request, store, executor);
    if (request.command == "release") return release(request, store, executor);
    if (auto answer = run_suppression_command(request, store, executor)) return *std::move(answer);
    return invalid("a router does not know '" + printable(request.command, 64) +
                   "'; it knows: reload, senders, takeover, release, suppressions, "
                   "suppressions-add, suppressions-remove; senders are asked with --router");
}

}  // namespace postfleet::router
