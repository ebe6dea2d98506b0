// Connection, Statement: a database as SqlStateStore uses it; SQLite and PostgreSQL are behind it.
//
// The SQL is what both understand: parameters are `?`, every column is a 64-bit number or octets, and what is kept is
// written with INSERT … ON CONFLICT … RETURNING.
//
// Threads: confined; calls block, at most until the deadline where the database is elsewhere.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "postfleet/base/result.hpp"
#include "postfleet/base/time.hpp"

namespace postfleet::sql_state {

class Statement {
public:
    virtual ~Statement() = default;
    // Parameters, in order; absent values are NULL. The octets live until the next reset().
    virtual Statement& bind(std::int64_t value) = 0;
    virtual Statement& bind(std::string_view octets) = 0;
    virtual Statement& bind(std::optional<std::int64_t> value) = 0;
    // True: there is a row. False: it is done.
    virtual Result<bool> step() = 0;
    // To be run again, with other parameters.
    virtual void reset() = 0;

    // Columns of the row, by place.
    virtual std::int64_t number(int column) const = 0;
    virtual std::optional<std::int64_t> maybe_number(int column) const = 0;
    virtual std::string text(int column) const = 0;
};

class Connection {
public:
    virtual ~Connection() = default;
    // Ready for parameters. The connection keeps it: the same text gives the same statement.
    virtual Result<Statement*> prepare(const std::string& sql) = 0;
    virtual Status begin() = 0;
    virtual Status commit() = 0;
    virtual void roll_back() = 0;
    // It is of no use any more; what was not committed did not happen.
    virtual bool is_lost() const = 0;
    // The last failure was that another process changed the same: the transaction may be tried again.
    virtual bool has_collided() const = 0;
    // Until when the calls that follow may take.
    virtual void set_deadline(SteadyTime deadline) = 0;
};

// A new connection, with the schema brought up to date. Blocks.
using Connect = std::function<Result<std::unique_ptr<Connection>>()>;

}  // namespace postfleet::sql_state
