// rabbitmq-c's values and ours: texts, header tables, what a reply says. Threads: pure functions and a value type.
#pragma once

#include <amqp.h>

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/ports/broker.hpp"

namespace postfleet::amqp {

inline amqp_bytes_t to_bytes(std::string_view text) { return {text.size(), const_cast<char*>(text.data())}; }
inline std::string_view to_view(amqp_bytes_t bytes) { return {static_cast<const char*>(bytes.bytes), bytes.len}; }

// A table for the library; texts are borrowed, nested tables too.
class Table {
public:
    void add_text(std::string_view key, std::string_view value);
    void add_number(std::string_view key, std::int64_t value);
    void add_flag(std::string_view key);  // true
    void add_table(std::string_view key, Table& value);
    void clear() { entries_.clear(); }
    bool empty() const { return entries_.empty(); }
    amqp_table_t get() { return {static_cast<int>(entries_.size()), entries_.data()}; }

private:
    std::vector<amqp_table_entry_t> entries_;
};

// Tables inside tables are left out, lists of scalars are several headers.
BrokerHeaders read_headers(const amqp_table_t& table);
// A number among the headers; 0 when it is not there, or none.
std::int64_t number_of(const amqp_table_t& table, std::string_view key);

// "404 NOT_FOUND - no queue 'q' in vhost '/'"; "" when nothing is wrong.
std::string problem_of(const amqp_rpc_reply_t& reply);
std::string problem_of(int status);
std::string close_text(std::uint16_t code, amqp_bytes_t text);

}  // namespace postfleet::amqp
