// open_state_store: the StateStore in a SQLite file, for a single machine.
//
// Each group of calls is one transaction (WAL, synchronous FULL). The file is locked while the store lives.
//
// Blocks on the disk. Errors: Corruption (the file is damaged), AlreadyExists (another process has it), InvalidArgument
// (of a newer program, or no database of ours), Unavailable (it cannot be opened). The texts say how to mend it.
#pragma once

#include <memory>
#include <string>

#include "postfleet/sql_state/state_store.hpp"

namespace postfleet::sqlite {

Result<std::unique_ptr<sql_state::SqlStateStore>> open_state_store(const std::string& path);

}  // namespace postfleet::sqlite
