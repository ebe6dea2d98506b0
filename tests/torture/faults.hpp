#pragma once

#include <atomic>
#include <cstdint>

// What a test and the process that it torments share: one page, mapped by both (faults.py has the same layout).
namespace postfleet::torture {

/// Where a call leads to. Paths are told apart by what is in them, so the process needs no help of ours.
enum class Place : std::uint32_t {
    Log,      ///< a segment of the spool's log
    Index,    ///< a file of the spool's index
    Data,     ///< anything else below the data directory
    Reports,  ///< below the base directory and not in the data directory: report and accounting files
    Smtp,     ///< a socket that carries a final reply to a message
};
inline constexpr std::uint32_t kPlaces = 5;

enum class Operation : std::uint32_t {
    Write,
    Sync,
    SyncDirectory,
    Create,
    Rename,
    Remove,
    ReplySent,      ///< our 250 to a client, with the message's id
    ReplyReceived,  ///< the remote server's 250 to a message
};
inline constexpr std::uint32_t kOperations = 8;

enum class Strike : std::uint32_t {
    None,
    KillBefore,  ///< the process gets SIGKILL before the call is made
    KillAfter,   ///< ... when the call has succeeded and before it returns
    Fail,        ///< the call is not made and fails with `error`
    Tear,        ///< half of a write is made, and the next one fails with `error`; anything else fails
};

struct Control {
    std::atomic<std::uint32_t> place;
    std::atomic<std::uint32_t> operation;
    std::atomic<std::uint32_t> strike;
    std::atomic<std::uint32_t> error;
    std::atomic<std::int64_t> countdown;     ///< calls that pass before the first strike
    std::atomic<std::int64_t> times;         ///< strikes then; below 0 without an end
    std::atomic<std::int64_t> struck;        ///< strikes so far
    std::atomic<std::int64_t> clock_offset;  ///< ns added to the time of day; the monotonic clock stays
    std::atomic<std::int64_t> sync_delay;    ///< ns that every sync takes longer
    std::atomic<std::int64_t> calls[kPlaces * kOperations];
};
static_assert(sizeof(Control) <= 4096 && std::atomic<std::int64_t>::is_always_lock_free);

/// One entry of the journal; the path and the octets follow. All little-endian.
struct Entry {
    std::uint32_t magic;  ///< kEntry
    std::uint16_t what;   ///< Mark
    std::uint16_t path_octets;
    std::uint64_t octets;
    std::uint64_t inode;
    std::int64_t offset;  ///< of a write; the new size; for SyncDone the ordinal of its SyncBegun
};
inline constexpr std::uint32_t kEntry = 0x54524A46;

enum class Mark : std::uint16_t {
    Write = 1,
    SyncBegun,
    SyncDone,
    Create,    ///< a file that was not there
    Truncate,  ///< to the size `offset`
    Allocate,  ///< at least the size `offset`, zeros
    Rename,    ///< path: "from\0to"
    Remove,
    MakeDirectory,
    ReplySent,      ///< octets: the replies, as sent
    ReplyReceived,  ///< octets: the replies, as received
    Start,          ///< a process begins; ordinals count from here
};

}  // namespace postfleet::torture
