// PickupFile: one claimed file on its way to becoming a message.
//
// Opened, its envelope read, then fed to a PickupTransaction piece by piece: memory is one piece and what the transaction
// holds of a chunk, whatever the size of the file. Before the last piece it is looked at again: a file that has changed
// meanwhile was not finished when it was put there, and nothing of it is taken.
//
// Threads: confined to its loop, which may block on files. Borrows what it is made from.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "pickup_directory.hpp"
#include "postfleet/ingest/pickup_transaction.hpp"

namespace postfleet::ingest {

class PickupFile final {
public:
    struct Context {
        const PickupDirectory& directory;
        IntakeShard& shard;
        ListenerShared& listener;
        std::shared_ptr<const ListenerRules> rules;
        PickupDriver& driver;
        std::span<char> scratch;  // for reading; shared by all files
    };
    enum class Outcome : std::uint8_t {
        Pending,   // the driver will hear: call go_on()
        Accepted,  // durable
        Bad,       // why() is for whoever wrote it
        Later,     // no mail is taken now
        Trouble,   // it cannot be read right now; why() is for the log
        Changed,   // it is still being written
    };

    PickupFile(Claim claim, const Context& context);

    Outcome start();
    Outcome go_on();

    const Claim& claim() const { return claim_; }
    const std::string& why() const { return why_; }

private:
    Outcome end(Outcome outcome, std::string why);
    Outcome read_envelope(PickupEnvelope& envelope);
    Outcome feed(std::string_view octets);
    Outcome outcome_of_transaction();
    bool read_more(std::string& to, std::size_t octets);
    bool has_changed() const;

    const Claim claim_;
    const PickupDirectory& directory_;
    const std::span<char> scratch_;
    PickupTransaction transaction_;
    PickupDirectory::OpenFile file_;
    std::uint64_t offset_ = 0;  // read so far
    std::string beginning_;     // read with the envelope, and not fed yet
    std::string why_;
};

}  // namespace postfleet::ingest
