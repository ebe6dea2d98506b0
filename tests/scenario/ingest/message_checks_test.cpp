// What a listener makes of messages that break RFC 5322, and of what must not go on: Bcc, Return-Path, the client's name.
#include "ingest_fixture.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/mime/short_lines.hpp"

namespace postfleet::ingest {
namespace {

std::string with(const std::string& keys) {
    std::string text = kConfiguration;
    text.insert(text.find(", tenant: acme}"), ", " + keys);
    return text;
}

enum class Way { Data, Bdat };

std::string send(IngestFixture& f, const std::string& message, Way way = Way::Data) {
    Client client(f);
    if (way == Way::Data) {
        client.begin();
        return client.say(message + ".\r\n");
    }
    client.say("EHLO client.example\r\nMAIL FROM:<a@sender.example>\r\nRCPT TO:<b@rcpt.example>\r\n");
    return client.say("BDAT " + std::to_string(message.size()) + " LAST\r\n" + message);
}

const Message& taken(IngestFixture& f) { return *f.handover.accepted.at(0).message; }

const std::string kGood =
    "From: a@b.example\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@b.example>\r\n\r\nx\r\n";

std::string head() { return kGood.substr(0, kGood.size() - 3); }

// A good message with a line of `length` octets, which begins at `before` or soon after.
std::string with_line(std::size_t before, std::size_t length) {
    std::string message = kGood;
    while (message.size() + 100 < before) message += std::string(70, 'y') + "\r\n";
    while (message.size() + 2 < before) message += "\r\n";
    return message + std::string(length, 'z') + "\r\nend\r\n";
}

}  // namespace

TEST_CASE("messages are taken as they are unless the listener checks them", "[M5322-1]") {
    for (const char* const message : {"", "x\r\n", "From: a\r\nFrom: b\r\n\r\nx\r\n", "Subject: x\r\n\r\nx\r\n"}) {
        IngestFixture f;
        CHECK(send(f, message).starts_with("250"));
        CHECK(taken(f).prepended_header.find("Message-ID") == std::string::npos);
    }
}

TEST_CASE("a missing Date and Message-ID are added by repair, and refused by refuse", "[M5322-1]") {
    const std::string message = "From: a@b.example\r\nSubject: x\r\n\r\nx\r\n";
    IngestFixture repairing(with("message_checks: repair"));
    CHECK(send(repairing, message).starts_with("250"));
    const Message& got = taken(repairing);
    const std::string id = "<" + got.id.to_string() + "@mx.example>";
    CHECK(got.prepended_header.ends_with("\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: " + id + "\r\n"));
    CHECK(got.header_message_id == id);

    IngestFixture refusing(with("message_checks: refuse"));
    CHECK(send(refusing, message) == "550 5.6.0 Message breaks RFC 5322: no Date field\r\n");
    CHECK(refusing.refused(Reason::MalformedMessage) == 1);
    CHECK(send(refusing, "Date: x\r\n" + message) == "550 5.6.0 Message breaks RFC 5322: no Message-ID field\r\n");
    CHECK(send(refusing, kGood).starts_with("250"));
}

TEST_CASE("several authors, and a Message-ID that is none, are refused by refuse alone", "[M5322-1]") {
    const std::string rest = "Date: Thu, 1 Jan 2026 00:00:00 +0000\r\n\r\nx\r\n";
    const auto check = [&](const std::string& from, const std::string& id, const std::string& wrong) {
        const std::string message = "From: " + from + "\r\nMessage-ID: " + id + "\r\n" + rest;
        IngestFixture repairing(with("message_checks: repair"));
        CHECK(send(repairing, message).starts_with("250"));
        IngestFixture refusing(with("message_checks: refuse"));
        INFO(message);
        if (wrong.empty()) CHECK(send(refusing, message).starts_with("250"));
        else CHECK(send(refusing, message) == "550 5.6.0 Message breaks RFC 5322: " + wrong + "\r\n");
    };
    for (const char* from : {"A <a@b.example>", "a@b.example", "\"A, B\" <a@b.example>"}) {
        check(from, " <1.2$x@b.example> ", "");
    }
    for (const char* from : {"a@b.example, c@d.example", "A <a@b.example>, B <c@d.example>", "just a name", "g: ;"}) {
        check(from, "<1@b.example>", "not exactly one address in From");
    }
    for (const char* id : {"1@b.example", "<1>", "<@b.example>", "<1@>", "<1 2@b.example>", "<1@b><2@b>", "<>"}) {
        check("a@b.example", id, "a Message-ID that is not <left@right>");
    }
}

TEST_CASE("a good message is not touched by repair", "[M5322-1][M5322-3]") {
    IngestFixture f(with("message_checks: repair"));
    CHECK(send(f, kGood).starts_with("250"));
    CHECK(*f.handover.accepted.at(0).last_chunk == kGood);
    CHECK(taken(f).prepended_header.find("Date:") == std::string::npos);
}

TEST_CASE("no From, and a field twice that may occur once, are refused by repair and refuse", "[M5322-1]") {
    for (const char* const mode : {"repair", "refuse"}) {
        IngestFixture f(with(std::string("message_checks: ") + mode));
        CHECK(send(f, "Subject: x\r\n\r\nx\r\n") == "550 5.6.0 Message breaks RFC 5322: no From field\r\n");
        CHECK(send(f, "no header at all\r\n") == "550 5.6.0 Message breaks RFC 5322: no From field\r\n");
        for (const std::string name :
             {"From", "Date", "Message-ID", "Sender", "Reply-To", "To", "Cc", "Subject", "In-Reply-To", "References"}) {
            CHECK(send(f, name + ": 1\r\n" + to_ascii_lower(name) + ": 2\r\n" + kGood) ==
                  "550 5.6.0 Message breaks RFC 5322: more than one " + name + " field\r\n");
        }
        CHECK(send(f, "Received: a\r\nReceived: b\r\nComments: 1\r\nComments: 2\r\n" + kGood).starts_with("250"));
    }
}

TEST_CASE("M5322-2: a line of 998 octets is taken, one of 999 is not, wherever it stands and however it is cut",
          "[M5322-2]") {
    for (const std::size_t before :
         {std::size_t{0}, kContentChunkOctets - 700, kContentChunkOctets - 700 + 299, 2 * kContentChunkOctets}) {
        for (const std::size_t length : {std::size_t{998}, std::size_t{999}}) {
            INFO(before << " " << length);
            IngestFixture f(with("message_checks: refuse"));
            const std::string reply = send(f, with_line(before, length));
            if (length == 998) {
                CHECK(reply.starts_with("250"));
                CHECK_FALSE(taken(f).has_long_lines);
            } else {
                CHECK(reply == "550 5.6.0 Message breaks RFC 5322: a line of more than 998 octets\r\n");
                CHECK(f.handover.accepted.empty());
                CHECK(f.refused(Reason::MalformedMessage) == 1);
            }
        }
    }
}

TEST_CASE("M5322-2: where nothing is checked a line is taken as it is, of any length, by DATA and by BDAT",
          "[M5322-2]") {
    for (const Way way : {Way::Data, Way::Bdat}) {
        IngestFixture f;
        const std::string message = "From: a@b.example\r\nX: " + std::string(5000, 'h') + "\r\n\r\n" +
                                    std::string(3 * kContentChunkOctets, 'z') + "\r\n";
        CHECK(send(f, message, way).starts_with("250"));
        const Message& got = taken(f);
        CHECK_FALSE(got.has_long_lines);
        CHECK(got.content_chunks == 4);
        CHECK(got.size_octets == message.size());
    }
}

TEST_CASE("M5322-2: repair re-encodes a body with long lines at once when the message is small", "[M5322-2]") {
    for (const Way way : {Way::Data, Way::Bdat}) {
        IngestFixture f(with("message_checks: repair"));
        CHECK(send(f, with_line(0, 999), way).starts_with("250"));
        const AcceptedMessage& accepted = f.handover.accepted.at(0);
        const std::string& content = *accepted.last_chunk;
        CHECK(content.find("\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n"
                           "Content-Transfer-Encoding: quoted-printable\r\n\r\nx\r\nzzz") != std::string::npos);
        CHECK_FALSE(mime::has_long_line(content));
        CHECK(accepted.message->size_octets == content.size());
        CHECK_FALSE(accepted.message->has_long_lines);
        CHECK(accepted.tasks.at(0).size_octets == content.size());
    }
}

TEST_CASE("M5322-2: repair leaves it to the sender when the message is large, or will be merged", "[M5322-2]") {
    for (const Way way : {Way::Data, Way::Bdat}) {
        for (const std::size_t before : {std::size_t{0}, kContentChunkOctets - 700, 2 * kContentChunkOctets}) {
            IngestFixture f(with("message_checks: repair"));
            std::string message = with_line(before, 999);
            while (message.size() <= kContentChunkOctets) message += std::string(70, 'y') + "\r\n";
            CHECK(send(f, message, way).starts_with("250"));
            CHECK(taken(f).has_long_lines);
            CHECK(taken(f).size_octets == message.size());
        }
    }
    IngestFixture f(with("message_checks: repair, mail_merge: true"));
    Client client(f);
    client.say(
        "EHLO client.example\r\nXMRG FROM:<a@sender.example>\r\nXDFN name=\"x\"\r\nRCPT TO:<b@rcpt.example>\r\n"
        "XPRT 1 LAST\r\n");
    const std::string template_text = kGood + std::string(1200, 'z') + " [name]\r\n";
    CHECK(client.say(template_text + ".\r\n").starts_with("250"));
    CHECK(taken(f).has_long_lines);
    CHECK(*f.handover.accepted.at(0).last_chunk == template_text);
}

TEST_CASE("M5322-2: repair folds long header fields, of small and of large messages", "[M5322-2]") {
    std::string to = "To: ";
    while (to.size() < 2500) to += "someone@rcpt.example, ";
    to += "last@rcpt.example\r\n";
    for (const std::size_t body :
         {std::size_t{10}, kContentChunkOctets - to.size() - kGood.size(), 2 * kContentChunkOctets}) {
        INFO(body);
        IngestFixture f(with("message_checks: repair"));
        std::string lines;
        while (lines.size() < body) lines += std::string(70, 'y') + "\r\n";
        CHECK(send(f, to + kGood + lines).starts_with("250"));
        const std::string& first = *(f.handover.chunks.empty() ? f.handover.accepted.at(0).last_chunk
                                                               : f.handover.chunks.begin()->second.at(0));
        CHECK_FALSE(mime::has_long_line(first));
        CHECK(first.find(",\r\n someone@") != std::string::npos);
        CHECK_FALSE(taken(f).has_long_lines);
        CHECK(taken(f).size_octets == to.size() + kGood.size() + lines.size() + 4);  // two folds
    }
}

TEST_CASE("M5322-2: what repair cannot mend is refused with the reason, and nothing of it is kept", "[M5322-2]") {
    const std::string line(1200, 'z');
    const auto check = [&](const std::string& message, const std::string& why) {
        for (const Way way : {Way::Data, Way::Bdat}) {
            IngestFixture f(with("message_checks: repair"));
            CHECK(send(f, message, way) == "550 5.6.0 Message breaks RFC 5322: " + why + "\r\n");
            CHECK(f.handover.accepted.empty());
            CHECK(f.refused(Reason::MalformedMessage) == 1);
        }
    };
    const std::string not_repaired = "a line of more than 998 octets, and this cannot be repaired: ";
    check("Content-Type: multipart/signed; boundary=b\r\n" + head() + "--b\r\n\r\n" + line + "\r\n--b--\r\n",
          not_repaired + "it has long lines in multipart/signed, which must not change");
    check("Content-Type: message/partial\r\n" + head() + line + "\r\n",
          not_repaired + "it has a part in message/partial, which must not be encoded");
    check("Subject: " + line + "\r\n" + kGood,
          "a header field has a line of more than 998 octets and no white space to fold it at");
}

TEST_CASE("the header has a limit of its own, and so have its hops", "[M5322-4][S5321-9]") {
    IngestFixture f(with("max_header_size: 2KiB, max_hops: 2"));
    CHECK(send(f, "Subject: " + std::string(900, 'x') + "\r\nTo: " + std::string(900, 'y') + "\r\n\r\n" +
                      std::string(900, 'z') + "\r\n")
              .starts_with("250"));
    CHECK(send(f, "Subject: " + std::string(2100, 'x') + "\r\n\r\nx\r\n") == "552 5.3.4 Message header too big\r\n");
    const std::string hop = "Received: from a by b; x\r\n";
    CHECK(send(f, hop + hop + "\r\n").starts_with("250"));
    CHECK(send(f, hop + hop + hop + "\r\n") == "554 5.4.6 Too many hops, mail loop?\r\n");
}

TEST_CASE("M5322-4: each header field has a limit of its own, with a reason of its own", "[M5322-4]") {
    for (const Way way : {Way::Data, Way::Bdat}) {
        IngestFixture f(with("max_header_field_size: 2KiB"));
        std::string folded = "To: a";
        while (folded.size() < 2000) folded += ",\r\n b@c.example";
        CHECK(send(f, folded + "\r\nCc" + folded.substr(2) + "\r\n\r\nx\r\n", way).starts_with("250"));
        while (folded.size() <= 2048) folded += ",\r\n b@c.example";
        CHECK(send(f, folded + "\r\n\r\nx\r\n", way) == "552 5.3.4 Message header field too big\r\n");
        CHECK(f.refused(Reason::HeaderFieldTooBig) == 1);
        CHECK(f.refused(Reason::HeaderTooBig) == 0);
        CHECK(f.handover.accepted.size() == 1);
    }
    IngestFixture f;  // out of the box
    CHECK(send(f, "X: " + std::string(64 * 1024 - 5, 'x') + "\r\n\r\n").starts_with("250"));
    CHECK(send(f, "X: " + std::string(64 * 1024 - 4, 'x') + "\r\n\r\n").starts_with("552 5.3.4"));
}

TEST_CASE("Bcc and Return-Path do not go on, also between fields that decide", "[S5321-11]") {
    const std::string message =
        "Return-Path: <a@b.example>\r\nBcc: secret@b.example,\r\n other@b.example\r\nFrom: a@b.example\r\nX-Job: j\r\n"
        "resent-bcc: x@b.example\r\nSubject: x\r\n\r\nBcc: in the body\r\n";
    IngestFixture f;
    CHECK(send(f, message).starts_with("250"));
    CHECK(*f.handover.accepted.at(0).last_chunk == "From: a@b.example\r\nSubject: x\r\n\r\nBcc: in the body\r\n");
    IngestFixture keeping(with("remove_bcc: false"));
    CHECK(send(keeping, message).starts_with("250"));
    CHECK(keeping.handover.accepted.at(0).last_chunk->starts_with("Bcc: secret@b.example"));
}

TEST_CASE("the Received field hides the client, or is left out, as the listener says", "[S5321-9]") {
    IngestFixture hiding(with("received: hide_client"));
    CHECK(send(hiding, kGood).starts_with("250"));
    CHECK(taken(hiding).prepended_header.starts_with("Received: by mx.example with ESMTP id " +
                                                     taken(hiding).id.to_string()));
    CHECK(taken(hiding).prepended_header.find("192.0.2.7") == std::string::npos);
    CHECK(taken(hiding).client_address == "192.0.2.7");
    IngestFixture silent(with("received: none"));
    CHECK(send(silent, kGood).starts_with("250"));
    CHECK(taken(silent).prepended_header.empty());
}

}  // namespace postfleet::ingest
