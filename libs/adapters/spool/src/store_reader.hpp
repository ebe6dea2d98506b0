// StoreReader: what is stored, read and checked: index and log together.
//
// A record or a piece of content that does not check out is set aside: a copy goes to the quarantine column,
// a bad record leaves its place, it is logged and counted, and it is never returned.
//
// Threads: thread-safe. Blocks on the disk. Errors: NotFound, Corruption, Unavailable; InvalidArgument for a
// record of a newer version, which stays where it is.
#pragma once

#include <functional>
#include <set>

#include "writer.hpp"

namespace postfleet::spool {

class StoreReader {
public:
    // `write` takes what setting aside writes.
    StoreReader(Parts parts, std::function<void(WriteItem)> write);

    Result<Spool::Loaded> load(const TaskKey& key);
    Result<std::vector<Spool::Loaded>> load_facts(const std::vector<TaskKey>& keys);
    Result<bool> has_message(const MessageId& id);
    Result<SharedOctets> read_chunk(const MessageId& id, std::uint32_t chunk);
    Result<std::vector<Task>> load_tasks(const std::vector<TaskKey>& keys);
    Status scan_tasks(UniqueFunction<void(Task&&)>& visit);
    Result<std::vector<std::pair<std::string, std::string>>> notes();
    Result<std::vector<LoggedEvent>> read_events(std::uint64_t after, std::size_t max_events);
    Result<std::uint64_t> oldest_event(std::uint64_t otherwise);

private:
    Result<Spool::Loaded> load_without_content(const TaskKey& key);
    // The fields of a record; nullopt when there is none. A bad one is set aside.
    Result<std::optional<std::string>> fields_of(Column column, std::string_view key);
    struct FoundMessage {
        Message message;
        Location last_chunk;
    };
    Result<std::optional<FoundMessage>> find_message(const MessageId& id);
    Result<Location> find_chunk(const MessageId& id, std::uint32_t chunk);
    Result<SharedOctets> content(const MessageId& id, std::uint32_t chunk);
    void set_aside(Column column, std::string_view key, std::string_view value, const Error& error);
    void set_content_aside(const MessageId& id, std::uint32_t chunk, const Location& location, const Error& error);
    void remove_orphans();

    Parts parts_;
    std::function<void(WriteItem)> write_;
    std::mutex mutex_;
    std::set<std::string> reported_;  // content that was set aside since start; bounded
};

}  // namespace postfleet::spool
