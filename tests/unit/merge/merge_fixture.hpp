// A message of parts and a recipient with variables.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "postfleet/mail/message.hpp"

namespace postfleet::merge {

struct MergeFixture {
    Message message;
    Recipient recipient;
    std::string content;

    MergeFixture() {
        message.reverse_path = "news@shop.example";
        message.accepted_at = from_unix_microseconds(1'795'342'272'000'000);
        message.merge.max_octets = 100'000;
        recipient.address = "ann@x.example";
    }
    MergeFixture& part(std::uint32_t number, std::string_view text) {
        message.merge.parts.push_back({number, text.size()});
        content.append(text);
        return *this;
    }
    MergeFixture& define(std::initializer_list<std::pair<std::string_view, std::string_view>> variables) {
        for (const auto& [name, value] : variables) recipient.variables.add(name, value);
        return *this;
    }
};

}  // namespace postfleet::merge
