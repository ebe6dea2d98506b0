#include "rows.hpp"

namespace postfleet::sql_state {

std::optional<std::int64_t> stored(const std::optional<WallTime>& time) {
    return time ? std::optional(to_unix_microseconds(*time)) : std::nullopt;
}

std::optional<WallTime> read_time(const std::optional<std::int64_t>& microseconds) {
    return microseconds ? std::optional(from_unix_microseconds(*microseconds)) : std::nullopt;
}

std::string tuples(std::size_t rows, std::size_t columns) {
    std::string tuple = "(?";
    for (std::size_t column = 1; column < columns; ++column) tuple += ", ?";
    tuple += ")";
    std::string out = tuple;
    for (std::size_t row = 1; row < rows; ++row) out += ", " + tuple;
    return out;
}

namespace {

Result<std::uint64_t> one_number(Connection& database, const std::string& sql, std::string_view counter) {
    std::optional<std::uint64_t> value;
    Status read = each_row(
        database, sql, [&](Statement& statement) { statement.bind(counter); },
        [&](const Statement& row) {
            value = static_cast<std::uint64_t>(row.number(0));
            return Status();
        });
    if (!read) return read.error();
    if (!value) return Error{ErrorKind::Corruption, "the counter " + std::string(counter) + " is missing"};
    return *value;
}

}  // namespace

Result<std::uint64_t> count_up(Connection& database, std::string_view counter) {
    return one_number(database, "UPDATE counters SET value = value + 1 WHERE name = ? RETURNING value", counter);
}

Result<std::uint64_t> counter_value(Connection& database, std::string_view counter) {
    return one_number(database, "SELECT value FROM counters WHERE name = ?", counter);
}

}  // namespace postfleet::sql_state
