// Small things that the tables share.
//
//   for_chunks(rows.size(), [&](std::size_t begin, std::size_t count) { … run("INSERT … VALUES " + tuples(count, 3)) … })
//
// Many rows go into one statement, in chunks of few sizes, so that there are few statements to keep.
#pragma once

#include <optional>
#include <string>

#include "postfleet/sql_state/connection.hpp"

namespace postfleet::sql_state {

std::optional<std::int64_t> stored(const std::optional<WallTime>& time);
std::optional<WallTime> read_time(const std::optional<std::int64_t>& microseconds);

// "(?, ?), (?, ?)"
std::string tuples(std::size_t rows, std::size_t columns);

// A statement that gives nothing back. `bind` gets it.
template <class Bind>
Status run(Connection& database, const std::string& sql, Bind&& bind) {
    const auto statement = database.prepare(sql);
    if (!statement) return statement.error();
    bind(**statement);
    const Result<bool> done = (*statement)->step();
    if (!done) return done.error();
    (*statement)->reset();
    return {};
}

// Calls `read` for each row; it says whether the row was good.
template <class Bind, class Read>
Status each_row(Connection& database, const std::string& sql, Bind&& bind, Read&& read) {
    const auto statement = database.prepare(sql);
    if (!statement) return statement.error();
    bind(**statement);
    for (;;) {
        const Result<bool> row = (*statement)->step();
        if (!row) return row.error();
        if (!*row) break;
        if (Status good = read(**statement); !good) {
            (*statement)->reset();
            return good;
        }
    }
    (*statement)->reset();
    return {};
}

inline constexpr std::size_t kLargestChunk = 64, kMiddleChunk = 8;

template <class Work>
Status for_chunks(std::size_t rows, Work&& work) {
    for (std::size_t begin = 0; begin < rows;) {
        const std::size_t left = rows - begin;
        const std::size_t count = left >= kLargestChunk ? kLargestChunk : left >= kMiddleChunk ? kMiddleChunk : 1;
        if (Status done = work(begin, count); !done) return done;
        begin += count;
    }
    return {};
}

// Counts, and so locks the counter until the transaction ends: who counts comes one after the other.
Result<std::uint64_t> count_up(Connection& database, std::string_view counter);
Result<std::uint64_t> counter_value(Connection& database, std::string_view counter);
inline constexpr std::string_view kOrderRevision = "orders";     // the last change
inline constexpr std::string_view kOrderFloor = "orders_floor";  // older removals are forgotten
inline constexpr std::string_view kSenderChanges = "senders";
inline constexpr std::string_view kActivations = "activations";  // the epoch

}  // namespace postfleet::sql_state
