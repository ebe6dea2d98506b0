// open_state_store: the StateStore in a PostgreSQL database, which several routers may share.
//
// A connection per store, with prepared statements; every wait has a deadline, and a connection that is lost is made
// anew (SqlStateStore). synchronous_commit is on, whatever the server's default: what was answered survives a power loss
// of the server. A router that stands still in a transaction loses it after a few seconds, and with it its locks.
//
// open_state_store() blocks, at most some seconds. Errors: Unavailable (not reachable, or it refuses), InvalidArgument
// (the URL; a database of a newer program), PermissionDenied (our role may not).
#pragma once

#include <memory>
#include <string>

#include "postfleet/sql_state/state_store.hpp"

namespace postfleet::postgres {

struct PostgresSettings {
    std::string url;                   // "postgresql://user@host1,host2/database?target_session_attrs=read-write"
    std::string schema = "postfleet";  // of our tables; made if it is not there
    Duration connect_deadline = std::chrono::seconds(2);
};

Result<std::unique_ptr<sql_state::SqlStateStore>> open_state_store(const PostgresSettings& settings);

}  // namespace postfleet::postgres
