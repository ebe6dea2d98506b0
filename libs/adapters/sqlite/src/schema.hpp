// The schema of the state database, version by version.
//
// `user_version` counts the migrations that were run; `application_id` says that the file is ours. Each migration and
// its number go in one transaction, so a crash leaves the version before or the one after.
#pragma once

#include "database.hpp"

namespace postfleet::sqlite {

// Brings the database to this program's version. InvalidArgument: it is a newer one's, or no database of ours.
Status migrate(const Database& database);

}  // namespace postfleet::sqlite
