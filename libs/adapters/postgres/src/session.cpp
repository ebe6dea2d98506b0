#include "session.hpp"

#include <endian.h>
#include <poll.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "postfleet/base/text.hpp"
#include "schema.hpp"

namespace postfleet::postgres {

namespace {

constexpr Oid kInt8 = 20, kBytea = 17;  // pg_type.h of every version
constexpr std::size_t kMostErrorText = 500;

// "… WHERE a = ? AND b = ?" → "… WHERE a = $1 AND b = $2". No text of ours has a question mark in quotes.
std::string with_numbers(const std::string& sql) {
    std::string out;
    int number = 0;
    for (const char c : sql) {
        if (c == '?') {
            out += "$" + std::to_string(++number);
        } else {
            out += c;
        }
    }
    return out;
}

// In one line: libpq gives advice in lines of its own.
std::string text_of(const char* message) {
    std::string text;
    for (const char c : trim(message)) {
        const bool is_space = c == '\n' || c == '\t' || c == ' ';
        if (!is_space) text += c;
        else if (!text.ends_with(' ')) text += ' ';
    }
    return printable(text, kMostErrorText);
}

ErrorKind kind_of(std::string_view state) {
    if (state.starts_with("53")) return ErrorKind::ResourceExhausted;  // disk, memory, connections
    if (state == "42501") return ErrorKind::PermissionDenied;
    if (state.starts_with("57014") || state == "55P03") return ErrorKind::DeadlineExceeded;
    if (state.starts_with("XX001") || state.starts_with("XX002")) return ErrorKind::Corruption;
    return ErrorKind::Unavailable;
}

}  // namespace

// --- Session

Result<std::unique_ptr<sql_state::Connection>> Session::open(const PostgresSettings& settings) {
    // The URL may say otherwise: what comes later in the list does not overrule it.
    const char* const names[] = {"application_name",
                                 "tcp_user_timeout",
                                 "keepalives_idle",
                                 "keepalives_interval",
                                 "keepalives_count",
                                 "dbname",
                                 nullptr};
    const char* const values[] = {"postfleet-router", "5000", "5", "2", "3", settings.url.c_str(), nullptr};
    std::unique_ptr<Session> session(new Session(PQconnectStartParams(names, values, 1)));
    session->set_deadline(steady_clock_now() + settings.connect_deadline);
    if (Status connected = session->await_connection(); !connected) return connected.error();
    if (Status ready = session->set_up(settings.schema); !ready) return ready.error();
    return std::unique_ptr<sql_state::Connection>(std::move(session));
}

Status Session::await_connection() {
    if (connection_ == nullptr) return Error{ErrorKind::ResourceExhausted, "no memory for a connection"};
    bool to_write = true;
    for (;;) {
        if (PQstatus(raw()) == CONNECTION_BAD) return failure();
        if (!await_socket(to_write)) {
            return Error{ErrorKind::Unavailable, "the database server has not answered in time"};
        }
        switch (PQconnectPoll(raw())) {
            case PGRES_POLLING_OK: PQsetnonblocking(raw(), 1); return {};
            case PGRES_POLLING_FAILED: return failure();
            case PGRES_POLLING_READING: to_write = false; break;
            case PGRES_POLLING_WRITING:
            case PGRES_POLLING_ACTIVE: to_write = true; break;
        }
    }
}

Status Session::set_up(const std::string& schema) {
    const std::unique_ptr<char, void (*)(void*)> quoted(PQescapeIdentifier(raw(), schema.c_str(), schema.size()),
                                                        PQfreemem);
    if (quoted == nullptr) return Error{ErrorKind::InvalidArgument, "the schema's name cannot be"};
    // Whoever stands still with locks must not hold up the other routers.
    Status set =
        run("SET synchronous_commit = on; SET idle_in_transaction_session_timeout = '3s'; SET lock_timeout = '4s'; "
            "SET statement_timeout = '5s'; SET client_min_messages = warning; SET default_transaction_isolation = "
            "'read committed'; SET search_path = " +
            std::string(quoted.get()));
    if (!set) return set;
    return migrate(*this, quoted.get());
}

bool Session::await_socket(bool to_write) {
    const int socket = PQsocket(raw());
    if (socket < 0) return false;
    for (;;) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - steady_clock_now()).count();
        if (left <= 0) return false;
        ::pollfd wanted{.fd = socket, .events = static_cast<short>(to_write ? POLLIN | POLLOUT : POLLIN), .revents = 0};
        const int ready = ::poll(&wanted, 1, static_cast<int>(std::min<std::int64_t>(left, 60'000)));
        if (ready > 0) return true;
        if (ready < 0 && errno != EINTR) return false;
    }
}

Result<ResultPointer> Session::await_result() {
    has_collided_ = false;
    const auto too_late = [this] {
        is_lost_ = true;  // its answer would come in the next one's place
        return Error{ErrorKind::DeadlineExceeded, "the database server has not answered in time"};
    };
    for (int left = PQflush(raw()); left != 0; left = PQflush(raw())) {
        if (left < 0) return failure();
        if (!await_socket(true)) return too_late();
        if (PQconsumeInput(raw()) == 0) return failure();
    }
    ResultPointer last;
    for (;;) {
        while (PQisBusy(raw()) != 0) {
            if (!await_socket(false)) return too_late();
            if (PQconsumeInput(raw()) == 0) return failure();
        }
        ResultPointer next(PQgetResult(raw()));
        if (next == nullptr) break;
        // The first failure counts: what follows it is only told that the transaction is over.
        if (last == nullptr || PQresultStatus(last.get()) != PGRES_FATAL_ERROR) last = std::move(next);
    }
    if (last == nullptr) return failure();
    const ExecStatusType status = PQresultStatus(last.get());
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) return last;
    return error_of(last.get());
}

Error Session::error_of(const PGresult* result) {
    const char* field = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const std::string_view state = field == nullptr ? "" : field;
    // Serialisation, deadlock, and two that inserted the same: the one after the other finds what is there.
    has_collided_ = state == "40001" || state == "40P01" || state == "23505";
    // Read-only: this server has become a standby; the next connection finds the primary.
    is_lost_ = is_lost_ || PQstatus(raw()) != CONNECTION_OK || state.starts_with("57P") || state.starts_with("08") ||
               state == "25006" || state == "25P03";
    return {kind_of(state), text_of(PQresultErrorMessage(result))};
}

Error Session::failure() {
    is_lost_ = true;
    return {ErrorKind::Unavailable, text_of(PQerrorMessage(raw()))};
}

Result<ResultPointer> Session::query(const std::string& sql) {
    if (PQsendQuery(raw(), sql.c_str()) == 0) return failure();
    return await_result();
}

Status Session::run(const std::string& sql) {
    const auto done = query(sql);
    return done ? Status() : done.error();
}

Status Session::commit() {
    const auto done = query("COMMIT");
    if (!done) return done.error();
    // Of a transaction that has failed, COMMIT is a rollback that succeeds.
    if (std::strcmp(PQcmdStatus(done->get()), "COMMIT") == 0) return {};
    return Error{ErrorKind::Internal, "the transaction was undone"};
}

void Session::roll_back() {
    if (is_lost_) return;
    const bool collided = has_collided_;
    // One that fails leaves a transaction that the next begin() does not survive.
    if (!run("ROLLBACK")) is_lost_ = true;
    has_collided_ = collided;
}

Result<sql_state::Statement*> Session::prepare(const std::string& sql) {
    std::unique_ptr<PreparedStatement>& kept = statements_[sql];
    if (kept == nullptr) {
        kept = std::make_unique<PreparedStatement>(*this, "s" + std::to_string(statements_.size()), with_numbers(sql));
    }
    kept->reset();
    return kept.get();
}

// --- PreparedStatement

sql_state::Statement& PreparedStatement::bind(std::int64_t value) {
    const std::uint64_t wire = htobe64(static_cast<std::uint64_t>(value));
    std::string octets(sizeof wire, '\0');
    std::memcpy(octets.data(), &wire, sizeof wire);
    parameters_.push_back({kInt8, false, std::move(octets)});
    return *this;
}

sql_state::Statement& PreparedStatement::bind(std::string_view octets) {
    parameters_.push_back({kBytea, false, std::string(octets)});
    return *this;
}

sql_state::Statement& PreparedStatement::bind(std::optional<std::int64_t> value) {
    if (value) return bind(*value);
    parameters_.push_back({kInt8, true, {}});
    return *this;
}

Status PreparedStatement::execute() {
    std::vector<Oid> types;
    std::vector<const char*> values;
    std::vector<int> lengths;
    for (const Parameter& parameter : parameters_) {
        types.push_back(parameter.type);
        values.push_back(parameter.is_null ? nullptr : parameter.octets.data());
        lengths.push_back(static_cast<int>(parameter.octets.size()));
    }
    const int count = static_cast<int>(parameters_.size());
    if (!is_prepared_) {
        if (PQsendPrepare(session_.raw(), name_.c_str(), sql_.c_str(), count, types.data()) == 0) {
            return session_.failure();
        }
        const auto prepared = session_.await_result();
        if (!prepared) return prepared.error();
        is_prepared_ = true;
    }
    const std::vector<int> formats(parameters_.size(), 1);  // binary
    if (PQsendQueryPrepared(session_.raw(), name_.c_str(), count, values.data(), lengths.data(), formats.data(), 1) ==
        0) {
        return session_.failure();
    }
    auto result = session_.await_result();
    if (!result) return result.error();
    result_ = *std::move(result);
    return {};
}

Result<bool> PreparedStatement::step() {
    if (result_ == nullptr) {
        if (Status done = execute(); !done) return done.error();
    }
    ++row_;
    return row_ < PQntuples(result_.get());
}

void PreparedStatement::reset() {
    parameters_.clear();
    result_.reset();
    row_ = -1;
}

std::int64_t PreparedStatement::number(int column) const { return maybe_number(column).value_or(0); }

std::optional<std::int64_t> PreparedStatement::maybe_number(int column) const {
    if (PQgetisnull(result_.get(), row_, column) != 0) return std::nullopt;
    const char* octets = PQgetvalue(result_.get(), row_, column);
    if (PQgetlength(result_.get(), row_, column) == sizeof(std::uint32_t)) {  // a literal of ours
        std::uint32_t wire = 0;
        std::memcpy(&wire, octets, sizeof wire);
        return static_cast<std::int32_t>(be32toh(wire));
    }
    std::uint64_t wire = 0;
    require(PQgetlength(result_.get(), row_, column) == sizeof wire);
    std::memcpy(&wire, octets, sizeof wire);
    return static_cast<std::int64_t>(be64toh(wire));
}

std::string PreparedStatement::text(int column) const {
    return {PQgetvalue(result_.get(), row_, column),
            static_cast<std::size_t>(PQgetlength(result_.get(), row_, column))};
}

}  // namespace postfleet::postgres
