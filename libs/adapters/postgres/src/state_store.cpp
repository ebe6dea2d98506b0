#include "postfleet/postgres/state_store.hpp"

#include "session.hpp"

namespace postfleet::postgres {

Result<std::unique_ptr<sql_state::SqlStateStore>> open_state_store(const PostgresSettings& settings) {
    char* problem = nullptr;
    PQconninfoOption* parsed = PQconninfoParse(settings.url.c_str(), &problem);
    if (parsed == nullptr) {
        // Without the URL, which may have a password in it.
        PQfreemem(problem);
        return Error{ErrorKind::InvalidArgument,
                     "the state's URL is not one of PostgreSQL's; write postgresql://user@host/database"};
    }
    PQconninfoFree(parsed);
    auto connection = Session::open(settings);
    if (!connection) {
        return Error{connection.error().kind, "the state in PostgreSQL cannot be used: " + connection.error().text};
    }
    sql_state::StoreSettings store;
    store.connection = *std::move(connection);
    store.connect = [settings] { return Session::open(settings); };
    return std::make_unique<sql_state::SqlStateStore>(std::move(store));
}

}  // namespace postfleet::postgres
