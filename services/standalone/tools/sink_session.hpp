// SinkSession: one SMTP connection to the sink (RFC 5321, server side, as little as speed asks for).
//
//   Command -> (DATA) -> Content -> Command …        (BDAT) -> Chunk -> Command …
//                                                    Waiting: a delayed reply; input is held
//                                                    Stalled: a fault; input is thrown away
//
// Content is scanned where it lies and kept only if something wants it. The effect of a command happens
// when its reply goes out, so a message that is lost during a delay was never accepted.
// Threads: confined to its shard's loop.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "end_of_data.hpp"
#include "postfleet/ports/transport.hpp"
#include "sink_shard.hpp"

namespace postfleet::tools {

class SinkSession final : public StreamHandler {
public:
    SinkSession(SinkShard& shard, std::unique_ptr<Stream> stream);
    ~SinkSession();
    SinkSession(const SinkSession&) = delete;
    SinkSession& operator=(const SinkSession&) = delete;

    // Greets, or refuses. May destroy the session through the shard.
    void start();
    void on_data(std::string_view octets) override;
    void on_closed(const CloseReason& reason) override;

    std::size_t index = 0;  // in the shard's list

private:
    enum class State : std::uint8_t { Command, Content, Chunk, Waiting, Stalled, Over };

    void consume(std::string_view input);
    std::size_t take_line(std::string_view input);
    std::size_t take_content(std::string_view input);
    std::size_t take_chunk(std::string_view input);
    void on_chunk_command(std::string_view line);
    void on_end_of_chunk();
    void keep(std::string_view piece);
    void on_command(std::string_view line);
    void on_mail(std::string_view line);
    void on_rcpt(std::string_view line);
    void on_end_of_data();
    bool is_turned_away();
    bool is_too_much();

    void answer(SinkPhase phase, std::string_view usual, std::string_view recipient = {});
    void emit(SinkPhase phase, std::string_view reply, SinkFault fault);
    void emit_later(SinkPhase phase, std::string reply, SinkAction action);
    void settle(SinkPhase phase, int code);
    void accept_message();
    void find_id();
    void reset_transaction();
    void send_out();
    void trace(std::string_view event, std::string_view key = {}, std::string_view text = {}, int code = 0);

    SinkShard& shard_;
    SinkShared& shared_;
    std::unique_ptr<Stream> stream_;
    const Endpoint remote_;
    const std::uint64_t number_;
    State state_ = State::Command;
    bool has_sender_ = false;
    bool is_let_in_ = false;      // and counted by the provider
    std::uint32_t messages_ = 0;  // begun on this connection
    std::uint32_t recipients_ = 0;
    std::uint64_t content_octets_ = 0;
    std::uint64_t chunk_left_ = 0;  // octets of a chunk that are still to come
    bool is_last_chunk_ = false;
    bool has_chunks_ = false;  // the transaction's content comes by BDAT
    EndOfDataScanner scanner_;
    std::string partial_;  // a command line that is not complete
    std::string held_;     // input during Waiting
    std::string out_;
    std::string from_;
    std::string recipient_;  // of the RCPT that is being answered
    std::string accepted_;   // the accepted recipients, each with a NUL behind it
    std::string kept_;       // content: all of it for the store, its head for the id
    TimerId timer_;
};

}  // namespace postfleet::tools
