// What the extensions of ESMTP make of a message: DSN, SMTPUTF8.
#include "ingest_fixture.hpp"

namespace postfleet::ingest {

TEST_CASE("what a submitter asks for by DSN goes with message and recipients", "[X3461]") {
    IngestFixture f;
    Client client(f);
    client.say(
        "EHLO c.example\r\nMAIL FROM:<a@b.example> RET=HDRS ENVID=order+2B7\r\n"
        "RCPT TO:<c@d.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;list@d.example\r\nRCPT TO:<e@d.example>\r\nDATA\r\n");
    CHECK(client.say("Subject: x\r\n\r\nx\r\n.\r\n").starts_with("250"));
    const AcceptedMessage& accepted = f.handover.accepted.at(0);
    CHECK(accepted.message->return_content == ReturnContent::Headers);
    CHECK(accepted.message->envelope_id == "order+7");
    const auto& recipients = accepted.tasks.at(0).recipients;
    CHECK(recipients.at(0).notify == (kNotifyFailure | kNotifyDelay));
    CHECK(recipients.at(0).original == "rfc822;list@d.example");
    CHECK(recipients.at(1).notify == 0);
    CHECK(recipients.at(1).original.empty());
}

TEST_CASE("an X-EnvID where it is honoured goes before ENVID", "[X3461]") {
    IngestFixture f;
    Client client(f);
    client.say("EHLO c.example\r\nMAIL FROM:<a@b.example> ENVID=mine\r\nRCPT TO:<c@d.example>\r\nDATA\r\n");
    client.say("X-EnvID: other\r\n\r\nx\r\n.\r\n");
    CHECK(f.handover.accepted.at(0).message->envelope_id == "other");
}

TEST_CASE("SMTPUTF8 stays with a message that needs it, and leaves one that does not", "[X6531]") {
    struct Row {
        std::string from, header;
        bool needs;
    };
    const Row rows[] = {{"a@b.example", "Subject: x", false},
                        {"a@b.example", "Subject: \xc3\xa4", true},
                        {"\xc3\xa4@b.example", "Subject: x", true}};
    for (const Row& row : rows) {
        INFO(row.from << " " << row.header);
        IngestFixture f;
        Client client(f);
        client.say("EHLO c.example\r\nMAIL FROM:<" + row.from + "> SMTPUTF8\r\nRCPT TO:<c@d.example>\r\nDATA\r\n");
        CHECK(client.say(row.header + "\r\n\r\n\xc3\xbc\r\n.\r\n").starts_with("250"));
        const Message& message = *f.handover.accepted.at(0).message;
        CHECK(message.smtputf8 == row.needs);
        CHECK(message.prepended_header.find(" with UTF8SMTP id ") != std::string::npos);
    }
}

TEST_CASE("what comes by BDAT is handed over with its dots marked for stuffing", "[X3030][SEC-2]") {
    IngestFixture f;
    Client client(f);
    const std::string content = "Subject: x\r\n\r\na\r\n.\r\nQUIT\r\n";
    client.say("EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n");
    CHECK(client.say("BDAT " + std::to_string(content.size()) + " LAST\r\n" + content).starts_with("250 2.0.0 Ok: queued"));
    CHECK(*f.handover.accepted.at(0).last_chunk == content);
    CHECK(f.handover.accepted.at(0).message->has_leading_dots);
}

TEST_CASE("UTF-8 in a header without SMTPUTF8 is let pass as the 8-bit header that it is", "[X6531]") {
    IngestFixture f;
    Client client(f);
    client.begin();
    client.say("Subject: \xc3\xa4\r\n\r\nx\r\n.\r\n");
    CHECK_FALSE(f.handover.accepted.at(0).message->smtputf8);
}

}  // namespace postfleet::ingest
