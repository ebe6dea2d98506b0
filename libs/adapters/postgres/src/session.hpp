// Session, PreparedStatement: libpq as a sql_state::Connection.
//
// Nothing of libpq that waits is called: the socket is polled until the deadline. Parameters and results are binary, so
// octets are octets. After a deadline the session is lost, because its answer would come in the next one's place.
//
// Threads: confined. Errors: SQLSTATEs as ErrorKind, with the server's text.
#pragma once

#include <libpq-fe.h>

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "postfleet/postgres/state_store.hpp"

namespace postfleet::postgres {

struct FreeConnection {
    void operator()(PGconn* connection) const { PQfinish(connection); }
};
struct FreeResult {
    void operator()(PGresult* result) const { PQclear(result); }
};
using ResultPointer = std::unique_ptr<PGresult, FreeResult>;

class Session;

class PreparedStatement final : public sql_state::Statement {
public:
    PreparedStatement(Session& session, std::string name, std::string sql)
        : session_(session), name_(std::move(name)), sql_(std::move(sql)) {}

    Statement& bind(std::int64_t value) override;
    Statement& bind(std::string_view octets) override;
    Statement& bind(std::optional<std::int64_t> value) override;
    Result<bool> step() override;
    void reset() override;
    std::int64_t number(int column) const override;
    std::optional<std::int64_t> maybe_number(int column) const override;
    std::string text(int column) const override;

private:
    Status execute();

    Session& session_;
    const std::string name_, sql_;
    bool is_prepared_ = false;
    struct Parameter {
        Oid type;
        bool is_null;
        std::string octets;
    };
    std::vector<Parameter> parameters_;
    ResultPointer result_;
    int row_ = -1;
};

class Session final : public sql_state::Connection {
public:
    // Connected, set up, and the schema brought up to date.
    static Result<std::unique_ptr<sql_state::Connection>> open(const PostgresSettings& settings);

    Result<sql_state::Statement*> prepare(const std::string& sql) override;
    Status begin() override { return run("BEGIN"); }
    Status commit() override;
    void roll_back() override;
    bool is_lost() const override { return is_lost_; }
    bool has_collided() const override { return has_collided_; }
    void set_deadline(SteadyTime deadline) override { deadline_ = deadline; }

    // One or more statements without parameters.
    Status run(const std::string& sql);
    Result<ResultPointer> query(const std::string& sql);
    // What was sent is answered: the last result, or what went wrong.
    Result<ResultPointer> await_result();
    PGconn* raw() { return connection_.get(); }
    Error failure();  // of the connection itself: it is lost

private:
    explicit Session(PGconn* connection) : connection_(connection) {}
    Status await_connection();
    Status set_up(const std::string& schema);
    // For reading, or writing, too; false: the deadline is over.
    bool await_socket(bool to_write);
    Error error_of(const PGresult* result);

    std::unique_ptr<PGconn, FreeConnection> connection_;
    std::unordered_map<std::string, std::unique_ptr<PreparedStatement>> statements_;
    SteadyTime deadline_{};
    bool is_lost_ = false, has_collided_ = false;
};

}  // namespace postfleet::postgres
