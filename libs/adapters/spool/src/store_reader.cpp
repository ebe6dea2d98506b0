#include "store_reader.hpp"

#include <algorithm>
#include <utility>

#include "octets.hpp"

namespace postfleet::spool {

namespace {

constexpr std::size_t kMaxReported = 10'000;

std::string hex_of(std::string_view octets) {
    constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    for (auto c : octets) {
        auto octet = static_cast<std::uint8_t>(c);
        text.push_back(kDigits[octet >> 4]);
        text.push_back(kDigits[octet & 15]);
    }
    return text;
}

Error not_found(const char* what, const MessageId& id, std::uint32_t number) {
    return {ErrorKind::NotFound,
            std::string("spool: no ") + what + " " + std::to_string(number) + " of message " + id.to_string()};
}

}  // namespace

StoreReader::StoreReader(Parts parts, std::function<void(WriteItem)> write) : parts_(parts), write_(std::move(write)) {}

Result<std::optional<std::string>> StoreReader::fields_of(Column column, std::string_view key) {
    auto value = parts_.index.get(column, key);
    if (!value) return value.error();
    if (!*value) return std::optional<std::string>{};
    auto fields = open_record(column, key, **value);
    if (!fields) {
        if (fields.error().kind == ErrorKind::Corruption) set_aside(column, key, **value, fields.error());
        return fields.error();
    }
    return std::optional<std::string>(std::string(*fields));
}

Result<std::optional<StoreReader::FoundMessage>> StoreReader::find_message(const MessageId& id) {
    auto fields = fields_of(Column::Message, key_of(id));
    if (!fields) return fields.error();
    if (!*fields) return std::optional<FoundMessage>{};
    std::string_view body = **fields;
    auto location = take_location(body);
    if (!location) return location.error();
    auto message = decode_message(id, body);
    if (!message) return message.error();
    return std::optional<FoundMessage>(FoundMessage{*std::move(message), *location});
}

Result<Location> StoreReader::find_chunk(const MessageId& id, std::uint32_t chunk) {
    auto fields = fields_of(Column::Chunk, key_of(id, chunk));
    if (!fields) return fields.error();
    if (*fields) {
        std::string_view body = **fields;
        return take_location(body);
    }
    // The last chunk is named by the message itself.
    auto message = find_message(id);
    if (!message) return message.error();
    auto chunks = *message ? std::max((*message)->message.content_chunks, 1u) : 0;
    if (chunks != chunk + 1) return not_found("content", id, chunk);
    return (*message)->last_chunk;
}

Result<SharedOctets> StoreReader::content(const MessageId& id, std::uint32_t chunk) {
    auto location = find_chunk(id, chunk);
    if (!location) return location.error();
    for (;;) {
        auto octets = parts_.log.read(*location);
        if (octets || octets.error().kind == ErrorKind::Unavailable) return octets;
        // It may have moved, or gone, between the two reads.
        auto now = find_chunk(id, chunk);
        if (!now) return now.error();
        if (*now == *location) {
            Error damaged{ErrorKind::Corruption, octets.error().text};
            set_content_aside(id, chunk, *location, damaged);
            return damaged;
        }
        location = now;
    }
}

Result<Spool::Loaded> StoreReader::load_without_content(const TaskKey& key) {
    auto fields = fields_of(Column::Task, key_of(key));
    if (!fields) return fields.error();
    if (!*fields) return not_found("task", key.message, key.number);
    auto task = decode_task(key, **fields);
    if (!task) return task.error();
    auto message = find_message(key.message);
    if (!message) return message.error();
    if (!*message) {
        return Error{ErrorKind::Corruption, "spool: message " + key.message.to_string() + " has tasks, but is missing"};
    }
    return Spool::Loaded{*std::move(task), std::make_shared<const Message>(std::move((*message)->message)), nullptr};
}

Result<Spool::Loaded> StoreReader::load(const TaskKey& key) {
    auto loaded = load_without_content(key);
    if (!loaded) return loaded;
    auto first = content(key.message, 0);
    if (!first) {
        if (first.error().kind != ErrorKind::NotFound) return first.error();
        return Error{ErrorKind::Corruption, first.error().text};
    }
    loaded->first_chunk = *std::move(first);
    return loaded;
}

Result<std::vector<Spool::Loaded>> StoreReader::load_facts(const std::vector<TaskKey>& keys) {
    std::vector<Spool::Loaded> found;
    found.reserve(keys.size());
    for (auto& key : keys) {
        auto loaded = load_without_content(key);
        if (loaded) {
            found.push_back(*std::move(loaded));
        } else if (loaded.error().kind == ErrorKind::Unavailable) {
            return loaded.error();
        }
    }
    return found;
}

Result<bool> StoreReader::has_message(const MessageId& id) {
    auto fields = fields_of(Column::Message, key_of(id));
    if (!fields) return fields.error();
    return fields->has_value();
}

Result<SharedOctets> StoreReader::read_chunk(const MessageId& id, std::uint32_t chunk) { return content(id, chunk); }

Result<std::vector<Task>> StoreReader::load_tasks(const std::vector<TaskKey>& keys) {
    std::vector<Task> tasks;
    for (auto& key : keys) {
        auto fields = fields_of(Column::Task, key_of(key));
        if (!fields && fields.error().kind == ErrorKind::Corruption) continue;
        if (!fields) return fields.error();
        if (!*fields) continue;
        if (auto task = decode_task(key, **fields)) tasks.push_back(*std::move(task));
    }
    return tasks;
}

Status StoreReader::scan_tasks(UniqueFunction<void(Task&&)>& visit) {
    Status failed;
    auto scanned = parts_.index.scan(Column::Task, {}, [&](std::string_view key, std::string_view value) {
        auto fields = open_record(Column::Task, key, value);
        if (!fields && fields.error().kind == ErrorKind::InvalidArgument) {
            failed = fields.error();
            return false;
        }
        Error damage;
        if (fields && key.size() == kNumberedKeyOctets) {
            auto task = decode_task({id_of_key(key), get_big_endian<std::uint32_t>(key.data() + kIdOctets)}, *fields);
            if (task) {
                visit(*std::move(task));
                return true;
            }
            damage = task.error();
        } else {
            damage = fields ? Error{ErrorKind::Corruption, "spool: a task has a malformed key"} : fields.error();
        }
        set_aside(Column::Task, key, value, damage);
        return true;
    });
    if (!scanned) return scanned.error();
    if (!failed) return failed;
    if (scanned->blocks_lost > 0) {
        parts_.counters.quarantined += scanned->blocks_lost;
        parts_.lines.line(LogLevel::Error, "spool-tasks-lost").field("blocks", scanned->blocks_lost);
    }
    remove_orphans();
    return {};
}

// Chunks that were written while their message was still coming in, and never accepted.
void StoreReader::remove_orphans() {
    MessageId last;
    bool last_is_orphan = false;
    std::uint64_t orphans = 0;
    auto scanned = parts_.index.scan(Column::Chunk, {}, [&](std::string_view key, std::string_view) {
        if (key.size() != kNumberedKeyOctets) return true;
        if (auto id = id_of_key(key); orphans == 0 || id != last) {
            last = id;
            auto message = parts_.index.get(Column::Message, key_of(id));
            last_is_orphan = message && !*message;
        }
        if (!last_is_orphan) return true;
        orphans++;
        WriteItem item;
        item.is_urgent = false;
        item.batch.remove(Column::Chunk, key);
        write_(std::move(item));
        return true;
    });
    if (!scanned) {
        parts_.lines.line(LogLevel::Warning, "spool-orphans-unknown").field("reason", scanned.error().text);
    } else if (orphans > 0) {
        parts_.lines.line(LogLevel::Info, "spool-orphans-removed").field("chunks", orphans);
    }
}

Result<std::vector<std::pair<std::string, std::string>>> StoreReader::notes() {
    std::vector<std::pair<std::string, std::string>> all;
    auto scanned = parts_.index.scan(Column::Note, {}, [&](std::string_view key, std::string_view value) {
        auto body = open_record(Column::Note, key, value);
        if (body) {
            all.emplace_back(key, *body);
        } else if (body.error().kind == ErrorKind::Corruption) {
            set_aside(Column::Note, key, value, body.error());
        }
        return true;
    });
    if (!scanned) return scanned.error();
    return all;
}

Result<std::vector<LoggedEvent>> StoreReader::read_events(std::uint64_t after, std::size_t max_events) {
    std::vector<LoggedEvent> events;
    auto last = parts_.outbox.last_number();
    auto scanned =
        parts_.index.scan(Column::Outbox, key_of_event(after + 1), [&](std::string_view key, std::string_view value) {
            if (events.size() >= max_events || key.size() != kEventKeyOctets) return false;
            auto number = get_big_endian<std::uint64_t>(key.data());
            if (number > last) return false;
            auto fields = open_record(Column::Outbox, key, value);
            auto event = fields ? decode_event(*fields) : Result<Event>(fields.error());
            if (event) {
                events.push_back({number, std::make_shared<const Event>(*std::move(event))});
            } else if (event.error().kind == ErrorKind::Corruption) {
                set_aside(Column::Outbox, key, value, event.error());
            }
            return true;
        });
    if (!scanned) return scanned.error();
    return events;
}

Result<std::uint64_t> StoreReader::oldest_event(std::uint64_t otherwise) {
    auto oldest = otherwise;
    auto scanned = parts_.index.scan(Column::Outbox, {}, [&](std::string_view key, std::string_view) {
        if (key.size() == kEventKeyOctets) oldest = get_big_endian<std::uint64_t>(key.data());
        return false;
    });
    if (!scanned) return scanned.error();
    return oldest;
}

void StoreReader::set_aside(Column column, std::string_view key, std::string_view value, const Error& error) {
    parts_.counters.quarantined++;
    auto name = std::string(to_string(column)) + "/" + hex_of(key.substr(0, 64));
    parts_.lines.line(LogLevel::Error, "spool-record-quarantined").field("record", name).field("reason", error.text);
    WriteItem item;
    item.is_urgent = false;
    item.batch.put_raw(Column::Quarantine, name, value);
    item.batch.remove(column, key);
    write_(std::move(item));
}

// The message keeps its place: asking again gives Corruption again, not NotFound.
void StoreReader::set_content_aside(const MessageId& id, std::uint32_t chunk, const Location& location,
                                    const Error& error) {
    auto name = "content/" + id.to_string() + "/" + std::to_string(chunk);
    {
        std::lock_guard lock(mutex_);
        if (reported_.size() >= kMaxReported || !reported_.insert(name).second) return;
    }
    parts_.counters.quarantined++;
    parts_.lines.line(LogLevel::Error, "spool-content-quarantined").field("content", name).field("reason", error.text);
    std::string octets(location.size, '\0');
    if (!parts_.log.read_at(location.segment, location.offset, octets.data(), octets.size())) return;
    WriteItem item;
    item.is_urgent = false;
    item.batch.put_raw(Column::Quarantine, name, octets);
    write_(std::move(item));
}

}  // namespace postfleet::spool
