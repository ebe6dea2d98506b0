#include "checks.hpp"
#include "postfleet/base/json.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/config/diff.hpp"
#include "postfleet/config_files/load.hpp"
#include "postfleet/feedback/sinks.hpp"
#include "postfleet/routing/snapshot.hpp"
#include "server.hpp"
#include "postfleet/sender_edge/source_addresses.hpp"

namespace postfleet::standalone {

void Server::on_tick() {
    bool changed = false;
    // While a reload is under way there is nothing to look for, and the main thread must not wait for it.
    if (const std::unique_lock lock(operations_, std::try_to_lock); lock && !host_->is_stopping())
        changed = watch_->is_changed();
    if (changed) reload_by_itself("changed files");
}

void Server::reload_by_itself(const char* why) {
    host_->log().line(LogLevel::Info, "reload-requested").field("because", why);
    // reload() has logged what was wrong, and nobody waits for the answer.
    [[maybe_unused]] const Result<std::string> reloaded = reload();
}

Result<std::string> Server::reload() {
    const std::lock_guard lock(operations_);
    if (host_->is_starting())
        return Error{ErrorKind::Unavailable, "the server is still starting; try again in a moment"};
    if (host_->is_stopping()) return Error{ErrorKind::Unavailable, "the server is stopping"};
    watch_->accept();
    const config::LoadResult loaded = config_files::load_path(config_path_);
    if (!loaded.config) {
        for (const config::Problem& problem : loaded.problems) {
            host_->log().line(LogLevel::Error, "configuration-problem").field("problem", problem.to_string());
        }
        return Error{ErrorKind::InvalidArgument,
                     "the old configuration stays: " + describe_problems(config_path_, loaded.problems).text};
    }
    const ConfigPointer before = configuration();
    if (Status applied = apply(loaded.config); !applied) {
        host_->log().line(LogLevel::Error, "configuration-refused").field("problem", applied.error().text);
        return Error{applied.error().kind, "the old configuration stays: " + applied.error().text};
    }
    std::string answer;
    JsonWriter json(answer);
    json.begin_object().member("version", loaded.config->version).key("changes").begin_array();
    for (const config::Change& change : config::diff(*before, *loaded.config)) {
        json.begin_object().member("path", change.path).member("before", change.before).member("after", change.after);
        json.member("needs_restart", change.needs_restart).member("text", change.to_string()).end_object();
        host_->log()
            .line(LogLevel::Info, "configuration-changed")
            .field("change", change.to_string())
            .field("needs_restart", change.needs_restart ? "yes" : "no");
    }
    json.end_array().end_object();
    return answer;
}

// Everything that can fail comes first; what cannot fail follows.
Status Server::apply(const ConfigPointer& next) {
    if (Status bound = sender::check_source_addresses(*next); !bound) return bound;
    auto configuration = parts_->load(next);
    if (!configuration) return configuration.error();
    const std::shared_ptr<const routing::Snapshot> routing = configuration->routing;
    if (Status listening = ingest_->reload({next, routing}); !listening) return listening;
    if (Status taking = pickups_->reload({next, routing}); !taking) return taking;
    if (Status taking = submissions_->reload({next, routing}); !taking) return taking;
    if (Status listening = grpc_->reload({next, routing}); !listening) return listening;
    parts_->load_tls_contexts(*next);
    our_mail_->set_max_octets(next->intake.max_size);
    sender_->reload(*std::move(configuration));
    feedback_->reconfigure(feedback::report_sinks(*next, host_->metrics(), host_->log()));
    const std::lock_guard lock(config_mutex_);
    config_ = next;
    config_loaded_at_ = wall_clock_now();
    return {};
}

}  // namespace postfleet::standalone
