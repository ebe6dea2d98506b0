// PieceReader: walks through the octets of many pieces. Unsent: the pieces that wait for the stream below.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "postfleet/ports/transport.hpp"
#include "postfleet/tls/tls_stream.hpp"

namespace postfleet::tls {

class PieceReader final {
public:
    explicit PieceReader(std::span<const WritePiece> pieces, std::size_t offset = 0)
        : pieces_(pieces), offset_(offset) {
        skip_empty();
    }

    bool is_done() const { return pieces_.empty(); }
    bool is_in_last() const { return pieces_.size() == 1; }
    std::string_view rest_of_piece() const { return pieces_.front().octets.substr(offset_); }
    void advance(std::size_t octets) {
        offset_ += octets;
        skip_empty();
    }

    std::span<const WritePiece> pieces() const { return pieces_; }
    std::size_t offset() const { return offset_; }  // in the first of pieces()

private:
    void skip_empty() {
        while (!pieces_.empty() && offset_ == pieces_.front().octets.size()) {
            pieces_ = pieces_.subspan(1);
            offset_ = 0;
        }
    }

    std::span<const WritePiece> pieces_;
    std::size_t offset_;
};

struct TlsStream::Unsent {
    std::vector<WritePiece> pieces;
    std::size_t offset = 0;  // in the first piece
    std::size_t octets = 0;

    void keep(PieceReader reader) {
        for (; !reader.is_done(); reader.advance(reader.rest_of_piece().size())) {
            const std::string_view rest = reader.rest_of_piece();
            octets += rest.size();
            if (const auto& owner = reader.pieces().front().owner; owner != nullptr) {
                pieces.push_back({rest, owner});
            } else {
                // shared_ptr because a piece's owner is one.
                auto copy = std::make_shared<const std::string>(rest);
                const std::string_view copied = *copy;
                pieces.push_back({copied, std::move(copy)});
            }
        }
    }

    // Forgets what lies before where `reader`, which walks our pieces, stands.
    void drop_until(const PieceReader& reader) {
        offset = reader.offset();
        pieces.erase(pieces.begin(), pieces.end() - static_cast<std::ptrdiff_t>(reader.pieces().size()));
        octets = 0;
        for (const WritePiece& piece : pieces) octets += piece.octets.size();
        octets -= offset;
    }
};

}  // namespace postfleet::tls
