#include "postfleet/merge/personal.hpp"

#include <catch2/catch.hpp>

#include "merge_fixture.hpp"

namespace postfleet::merge {

TEST_CASE("a message without mail merge and VERP is the same for everybody") {
    const auto message = std::make_shared<const Message>();
    CHECK(personal(message, {}) == message);
}

TEST_CASE("reserved variables go before what the message says, for their recipient") {
    MergeFixture f;
    f.message.job = "all";
    f.message.header_subject = "Hello [Name]";
    f.message.header_from = "\"Shop\" [*from]";
    f.message.recorded_headers = {{"x-customer", "[id]"}};
    f.part(1, "\r\n").define({{"*from", "a@b.example"},
                              {"*envid", "e1"},
                              {"*jobid", "mine"},
                              {"*subaccountid", "7"},
                              {"*custommessageid", "m-1"},
                              {"*schedule", "1970-01-01 00:01 / 1970-01-01 00:02"},
                              {"name", "Ann"},
                              {"id", "42"}});
    const auto mine = personal(std::make_shared<const Message>(f.message), f.recipient);
    CHECK(mine->reverse_path == "a@b.example");
    CHECK(mine->envelope_id == "e1");
    CHECK(mine->job == "mine");
    REQUIRE(mine->windows.size() == 1);
    CHECK(mine->windows[0] == DeliveryWindow{WallTime(std::chrono::minutes(1)), WallTime(std::chrono::minutes(2))});
    CHECK(mine->header_subject == "Hello Ann");
    CHECK(mine->header_from == "\"Shop\" <a@b.example>");
    CHECK(mine->recorded_headers[0].second == "42");
    CHECK(mine->metadata ==
          std::vector<std::pair<std::string, std::string>>{{"subaccount_id", "7"}, {"custom_message_id", "m-1"}});
    CHECK_FALSE(mine->smtputf8);
    CHECK(mine->body_type == BodyType::SevenBit);
}

TEST_CASE("a value with UTF-8 makes its recipient's message an 8-bit one", "[X6531]") {
    MergeFixture f;
    f.part(1, "\r\n").define({{"name", "J\xc3\xb6rg"}});
    auto mine = personal(std::make_shared<const Message>(f.message), f.recipient);
    CHECK(mine->body_type == BodyType::EightBitMime);
    CHECK_FALSE(mine->smtputf8);
    f.message.merge.utf8_in_header = true;
    mine = personal(std::make_shared<const Message>(f.message), f.recipient);
    CHECK(mine->smtputf8);
}

TEST_CASE("VERP writes the recipient into the reverse-path") {
    CHECK(verp_path("jsmith@example.com", "jdoe@yahoo.example") == "jsmith-jdoe=yahoo.example@example.com");
    CHECK(verp_path("", "jdoe@yahoo.example").empty());
    CHECK(verp_path("\"j s\"@example.com", "jdoe@yahoo.example") == "\"j s\"@example.com");
    CHECK(verp_path("j@example.com", "\"j d\"@yahoo.example") == "j@example.com");
    MergeFixture f;
    f.message.verp = true;
    f.part(1, "\r\n").define({{"*from", "bounce@shop.example"}});
    const auto mine = personal(std::make_shared<const Message>(f.message), f.recipient);
    CHECK(mine->reverse_path == "bounce-ann=x.example@shop.example");
}

}  // namespace postfleet::merge
