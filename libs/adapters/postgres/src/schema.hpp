// The schema of the state database in PostgreSQL, version by version (its tables: libs/adapters/sql_state).
//
// The version is in the table `schema_version`. Whoever migrates holds an advisory lock, so that of several routers that
// start at once one does it and the others find it done.
#pragma once

#include <string>

#include "postfleet/base/result.hpp"

namespace postfleet::postgres {

class Session;

// `schema`: quoted. InvalidArgument: the database is of a newer program.
Status migrate(Session& session, const std::string& schema);

}  // namespace postfleet::postgres
