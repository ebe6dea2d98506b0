#include "values.hpp"

#include <amqp_framing.h>
#include <fmt/format.h>

#include <optional>

#include "postfleet/base/text.hpp"

namespace postfleet::amqp {

namespace {

amqp_table_entry_t& append(std::vector<amqp_table_entry_t>& entries, std::string_view key, std::uint8_t kind) {
    amqp_table_entry_t& entry = entries.emplace_back();
    entry.key = to_bytes(key);
    entry.value.kind = kind;
    return entry;
}

std::optional<std::int64_t> integer_of(const amqp_field_value_t& field) {
    switch (field.kind) {
        case AMQP_FIELD_KIND_I8: return field.value.i8;
        case AMQP_FIELD_KIND_U8: return field.value.u8;
        case AMQP_FIELD_KIND_I16: return field.value.i16;
        case AMQP_FIELD_KIND_U16: return field.value.u16;
        case AMQP_FIELD_KIND_I32: return field.value.i32;
        case AMQP_FIELD_KIND_U32: return field.value.u32;
        case AMQP_FIELD_KIND_I64: return field.value.i64;
        case AMQP_FIELD_KIND_U64:
        case AMQP_FIELD_KIND_TIMESTAMP: return static_cast<std::int64_t>(field.value.u64);
        default: return std::nullopt;  // kinds are octets from the wire, not an enum
    }
}

std::optional<std::string> scalar_of(const amqp_field_value_t& field) {
    if (const auto integer = integer_of(field)) return std::to_string(*integer);
    switch (field.kind) {
        case AMQP_FIELD_KIND_UTF8:
        case AMQP_FIELD_KIND_BYTES: return std::string(to_view(field.value.bytes));
        case AMQP_FIELD_KIND_BOOLEAN: return field.value.boolean != 0 ? "true" : "false";
        case AMQP_FIELD_KIND_F32: return fmt::format("{}", field.value.f32);
        case AMQP_FIELD_KIND_F64: return fmt::format("{}", field.value.f64);
        default: return std::nullopt;
    }
}

}  // namespace

void Table::add_text(std::string_view key, std::string_view value) {
    append(entries_, key, AMQP_FIELD_KIND_UTF8).value.value.bytes = to_bytes(value);
}

void Table::add_number(std::string_view key, std::int64_t value) {
    append(entries_, key, AMQP_FIELD_KIND_I64).value.value.i64 = value;
}

void Table::add_flag(std::string_view key) { append(entries_, key, AMQP_FIELD_KIND_BOOLEAN).value.value.boolean = 1; }

void Table::add_table(std::string_view key, Table& value) {
    append(entries_, key, AMQP_FIELD_KIND_TABLE).value.value.table = value.get();
}

BrokerHeaders read_headers(const amqp_table_t& table) {
    BrokerHeaders out;
    for (int i = 0; i < table.num_entries; ++i) {
        const amqp_table_entry_t& entry = table.entries[i];
        const std::string_view key = to_view(entry.key);
        if (entry.value.kind == AMQP_FIELD_KIND_ARRAY) {
            const amqp_array_t& list = entry.value.value.array;
            for (int k = 0; k < list.num_entries; ++k) {
                if (auto text = scalar_of(list.entries[k])) out.emplace_back(key, *std::move(text));
            }
        } else if (auto text = scalar_of(entry.value)) {
            out.emplace_back(key, *std::move(text));
        }
    }
    return out;
}

std::int64_t number_of(const amqp_table_t& table, std::string_view key) {
    for (int i = 0; i < table.num_entries; ++i) {
        if (to_view(table.entries[i].key) == key) return integer_of(table.entries[i].value).value_or(0);
    }
    return 0;
}

std::string close_text(std::uint16_t code, amqp_bytes_t text) {
    return fmt::format("{} {}", code, printable(to_view(text), 300));
}

std::string problem_of(int status) { return status == AMQP_STATUS_OK ? "" : amqp_error_string2(status); }

std::string problem_of(const amqp_rpc_reply_t& reply) {
    switch (reply.reply_type) {
        case AMQP_RESPONSE_NORMAL: return {};
        case AMQP_RESPONSE_NONE: return "no answer";
        case AMQP_RESPONSE_LIBRARY_EXCEPTION: return problem_of(reply.library_error);
        case AMQP_RESPONSE_SERVER_EXCEPTION: break;
    }
    if (reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
        const auto* close = static_cast<const amqp_channel_close_t*>(reply.reply.decoded);
        return close_text(close->reply_code, close->reply_text);
    }
    if (reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD) {
        const auto* close = static_cast<const amqp_connection_close_t*>(reply.reply.decoded);
        return close_text(close->reply_code, close->reply_text);
    }
    return "an answer to something else";
}

}  // namespace postfleet::amqp
