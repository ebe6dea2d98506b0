#include "suppression_commands.hpp"

#include <charconv>

#include "check_arguments.hpp"
#include "postfleet/base/time.hpp"
#include "postfleet/base/json.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/mail/address.hpp"
#include "waiting.hpp"

namespace postfleet::router {

namespace {

constexpr std::size_t kMostAtOnce = 1'000;
constexpr std::size_t kMostReason = 200;

Error invalid(std::string text) { return {ErrorKind::InvalidArgument, std::move(text)}; }

struct Line {
    std::string target, reason;
};

Result<std::string> target_of(std::string_view text) {
    if (text.starts_with('@')) text.remove_prefix(1);
    if (text.find('@') == std::string_view::npos) {
        auto domain = normalize_domain(text);
        // A word alone is a slip, or the heading of a list.
        if (!domain || domain->find('.') == std::string::npos)
            return invalid("'" + printable(text, 64) + "' is no address and no domain");
        return *std::move(domain);
    }
    const auto mailbox = Mailbox::parse(text, Mailbox::Utf8::Allow);
    if (!mailbox) return invalid("'" + printable(text, 64) + "' is no address: " + mailbox.error().text);
    return suppression_target(mailbox->to_string());
}

Result<std::vector<Line>> lines_of(const runtime::ControlRequest& request) {
    std::vector<Line> all;
    const std::string addresses = request.argument("addresses");
    for (const std::string_view line : split(addresses, '\n')) {
        const std::size_t tab = line.find('\t');
        const std::string_view address = trim(line.substr(0, tab));
        if (address.empty()) continue;
        auto target = target_of(address);
        if (!target) return target.error();
        Line& one = all.emplace_back();
        one.target = *std::move(target);
        if (tab != std::string_view::npos) one.reason = printable(trim(line.substr(tab + 1)), kMostReason);
    }
    if (all.empty()) return invalid("name an address such as someone@example.com, or a domain");
    if (all.size() > kMostAtOnce) return invalid("at most " + std::to_string(kMostAtOnce) + " addresses at once");
    return all;
}

std::string render_count(std::size_t count) {
    std::string out;
    JsonWriter json(out);
    json.begin_object().member("suppressions", static_cast<std::uint64_t>(count)).end_object();
    return out;
}

Result<std::string> add(const runtime::ControlRequest& request, StateStore& store, Executor& executor) {
    if (Status good = check_arguments(request, {"addresses", "tenant", "why", "for"}); !good) return good.error();
    auto lines = lines_of(request);
    if (!lines) return lines.error();
    const WallTime now = wall_clock_now();
    std::optional<WallTime> expires_at;
    if (const std::string lasts = request.argument("for"); !lasts.empty()) {
        const auto duration = parse_duration(lasts);
        if (!duration) return invalid("'for' is a time such as 30d: " + duration.error().text);
        expires_at = now + std::chrono::duration_cast<WallTime::duration>(*duration);
    }
    std::vector<Suppression> suppressions;
    for (Line& line : *lines) {
        suppressions.push_back(
            {.key = {request.argument("tenant"), std::move(line.target)},
             .reason = line.reason.empty() ? printable(request.argument("why"), kMostReason) : std::move(line.reason),
             .source = request.who,
             .added_at = now,
             .expires_at = expires_at});
    }
    const std::size_t count = suppressions.size();
    const auto added = wait_for<Status>(
        executor, [&](auto done) { store.add_suppressions(std::move(suppressions), std::move(done)); });
    if (!added) return added.error();
    return render_count(count);
}

Result<std::string> remove(const runtime::ControlRequest& request, StateStore& store, Executor& executor) {
    if (Status good = check_arguments(request, {"addresses", "tenant"}); !good) return good.error();
    auto lines = lines_of(request);
    if (!lines) return lines.error();
    std::vector<SuppressionKey> keys;
    for (Line& line : *lines) keys.push_back({request.argument("tenant"), std::move(line.target)});
    const std::size_t count = keys.size();
    const auto removed =
        wait_for<Status>(executor, [&](auto done) { store.remove_suppressions(std::move(keys), std::move(done)); });
    if (!removed) return removed.error();
    return render_count(count);
}

Result<std::string> list(const runtime::ControlRequest& request, StateStore& store, Executor& executor) {
    if (Status good = check_arguments(request, {"tenant", "after", "limit"}); !good) return good.error();
    SuppressionPage page{.after = {request.argument("tenant"), request.argument("after")}};
    if (const std::string limit = request.argument("limit"); !limit.empty()) {
        const auto [end, error] = std::from_chars(limit.data(), limit.data() + limit.size(), page.limit);
        if (error != std::errc() || end != limit.data() + limit.size() || page.limit == 0 || page.limit > kMostAtOnce) {
            return invalid("'limit' is a number from 1 to " + std::to_string(kMostAtOnce));
        }
    }
    const auto found = wait_for<Result<std::vector<Suppression>>>(
        executor, [&](auto done) { store.list_suppressions(std::move(page), std::move(done)); });
    if (!found) return found.error();
    std::string out;
    JsonWriter json(out);
    json.begin_object().key("suppressions").begin_array();
    for (const Suppression& suppression : *found) {
        json.begin_object().member("target", suppression.key.target).member("tenant", suppression.key.tenant);
        json.member("reason", suppression.reason).member("source", suppression.source);
        json.member("added_at", format_rfc3339(suppression.added_at));
        if (suppression.expires_at) json.member("expires_at", format_rfc3339(*suppression.expires_at));
        json.end_object();
    }
    json.end_array().end_object();
    return out;
}

}  // namespace

std::optional<Result<std::string>> run_suppression_command(const runtime::ControlRequest& request, StateStore& store,
                                                           Executor& executor) {
    if (request.command == "suppressions") return list(request, store, executor);
    if (request.command == "suppressions-add") return add(request, store, executor);
    if (request.command == "suppressions-remove") return remove(request, store, executor);
    return std::nullopt;
}

}  // namespace postfleet::router
