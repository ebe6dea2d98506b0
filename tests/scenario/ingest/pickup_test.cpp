// A pickup file becomes a message by the rules of a listener.
#include "ingest_fixture.hpp"
#include "postfleet/ingest/pickup_transaction.hpp"

namespace postfleet::ingest {
namespace {

const std::string kPickup = R"(
hostname: mx.example
tenants: {acme: {}}
listeners: {relay: {address: "127.0.0.1:2525"}}
pickups: {files: {directory: /in, bad_directory: /bad, tenant: acme, virtual_mta: tx-2, max_message_size: 4KiB, max_recipients: 2}}
virtual_mtas: {tx-1: {}, tx-2: {}, promo: {}}
bindings: [{listener: files, job: autumn, virtual_mta: promo}]
default_virtual_mta: tx-1
)";

struct PickupWorld final : PickupDriver {
    explicit PickupWorld(std::string more = "") {
        std::string text = kPickup;
        if (!more.empty()) text.insert(text.find("max_recipients"), more + ", ");
        const auto loaded = config_files::load_text(text);
        INFO(config_files::to_string(loaded.problems));
        REQUIRE(loaded.config);
        rules = ListenerRules::make(*loaded.config, loaded.config->pickups.at("files"),
                                    routing::Snapshot::compile(*loaded.config));
    }

    PickupTransaction::State send(const std::string& file) {
        const auto envelope = parse_pickup_envelope(file, RestOfFile::IsEmpty);
        REQUIRE(envelope);
        transaction =
            std::make_unique<PickupTransaction>(shard, listener, rules, MessageOrigin{id, "order.eml"}, *this);
        if (transaction->begin(**envelope, file.size() - (*envelope)->octets) == PickupTransaction::State::Hungry) {
            transaction->feed(std::string_view(file).substr((*envelope)->octets));
        }
        executor.run_until_idle();
        return transaction->state();
    }
    void on_progress() override { ++progress; }

    support::ManualExecutor executor;
    support::FakeHandover handover;
    Metrics metrics;
    CollectingSink sink;
    IngestCounters counters{metrics};
    ProcessLimits process;
    ListenerShared listener{metrics, "files", process};
    IntakeShard shard{executor, handover, counters, Log(sink), 42, HandoverDesk::kForever};
    std::shared_ptr<const ListenerRules> rules;
    MessageId id = *MessageId::parse("01a201d4-2c7d-76d3-838d-da35cedbd19c");
    std::unique_ptr<PickupTransaction> transaction;
    int progress = 0;
};

const std::string kEnvelope = "x-sender: a@src.test\nx-receiver: b@dst.test\n";

}  // namespace

TEST_CASE("a pickup file becomes a message with clean line ends and the id that it was given", "[ingest][pickup]") {
    PickupWorld world;
    CHECK(world.send(kEnvelope + "x-job: j\nFrom: a@src.test\n\n.Hello\nyou\rthere\r\n") ==
          PickupTransaction::State::Accepted);
    CHECK(world.progress == 1);
    REQUIRE(world.handover.accepted.size() == 1);
    const AcceptedMessage& accepted = world.handover.accepted.front();
    const Message& message = *accepted.message;
    CHECK(message.id == world.id);
    CHECK(message.reverse_path == "a@src.test");
    CHECK(message.tenant == "acme");
    CHECK(message.listener == "files");
    CHECK(message.job == "j");
    CHECK(message.client_address.empty());
    CHECK(accepted.tasks.front().virtual_mta == "tx-2");
    CHECK(*accepted.last_chunk == "From: a@src.test\r\n\r\n.Hello\r\nyou\r\nthere\r\n");
    CHECK(message.prepended_header.starts_with("Received: by mx.example with local id 01a201d4-"));
}

TEST_CASE("bindings can name the pickup and the job of the file", "[ingest][pickup]") {
    PickupWorld world;
    REQUIRE(world.send(kEnvelope + "x-job: autumn\nFrom: a@src.test\n\nHello\n") == PickupTransaction::State::Accepted);
    CHECK(world.handover.accepted.front().tasks.front().virtual_mta == "promo");
}

TEST_CASE("a file whose receivers are not all good is refused as a whole", "[ingest][pickup]") {
    PickupWorld world;
    CHECK(world.send("x-sender: a@src.test\nx-receiver: b@dst.test\nx-receiver: c\nFrom: a\n\nHello\n") ==
          PickupTransaction::State::Refused);
    CHECK_FALSE(world.transaction->may_try_again());
    CHECK(world.transaction->refusal().find("RCPT TO:<c>") != std::string::npos);
    CHECK(world.handover.accepted.empty());
}

TEST_CASE("a file cannot smuggle a command into its envelope", "[ingest][pickup][SEC-17]") {
    PickupWorld world;
    CHECK(world.send("x-sender: a@src.test\nx-receiver: b@dst.test>\rRCPT TO:<c@dst.test\nFrom: a\n\nHello\n") ==
          PickupTransaction::State::Refused);
    CHECK(world.handover.accepted.empty());
}

TEST_CASE("the limits of a pickup hold", "[ingest][pickup]") {
    PickupWorld world;
    const std::string receiver = "x-receiver: b@dst.test\n";
    CHECK(world.send(kEnvelope + receiver + receiver + "From: a\n\nHello\n") == PickupTransaction::State::Refused);
    CHECK(world.transaction->refusal() == "3 receivers are too many; at most 2 (max_recipients)");
    CHECK(world.send(kEnvelope + "From: a\n\n" + std::string(5000, 'x') + "\n") == PickupTransaction::State::Refused);
    CHECK_FALSE(world.transaction->may_try_again());
    CHECK(world.transaction->refusal().starts_with("552 5.3.4"));
}

TEST_CASE("the message checks of a pickup are those of a listener", "[ingest][pickup]") {
    PickupWorld refusing("message_checks: refuse");
    CHECK(refusing.send(kEnvelope + "From: a@src.test\n\nHello\n") == PickupTransaction::State::Refused);
    CHECK(refusing.transaction->refusal().find("no Date field") != std::string::npos);
    PickupWorld repairing("message_checks: repair");
    CHECK(repairing.send(kEnvelope + "From: a@src.test\n\nHello\n") == PickupTransaction::State::Accepted);
    CHECK(repairing.handover.whole(0).find("\r\nDate: ") != std::string::npos);
}

TEST_CASE("when no mail is taken a file is not bad, but has to wait", "[ingest][pickup]") {
    PickupWorld world;
    world.handover.open = {.open = false, .space_low = true, .reason = "disk"};
    CHECK(world.send(kEnvelope + "From: a\n\nHello\n") == PickupTransaction::State::Refused);
    CHECK(world.transaction->may_try_again());
    world.handover.open = {};
    world.handover.next = Error{ErrorKind::Unavailable, "latched"};
    CHECK(world.send(kEnvelope + "From: a\n\nHello\n") == PickupTransaction::State::Refused);
    CHECK(world.transaction->may_try_again());
}

TEST_CASE("a slow store is waited for: nobody asks a file to be quick", "[ingest][pickup]") {
    PickupWorld world;
    world.handover.mode = support::FakeHandover::Mode::Hold;
    CHECK(world.send(kEnvelope + "From: a\n\nHello\n") == PickupTransaction::State::Waiting);
    world.executor.advance(std::chrono::hours(1));
    CHECK(world.transaction->state() == PickupTransaction::State::Waiting);
    world.handover.release({});
    world.executor.run_until_idle();
    CHECK(world.transaction->state() == PickupTransaction::State::Accepted);
}

TEST_CASE("the log line of an accepted file names the file", "[ingest][pickup]") {
    PickupWorld world;
    REQUIRE(world.send(kEnvelope + "From: a\n\nHello\n") == PickupTransaction::State::Accepted);
    REQUIRE(world.sink.lines.size() == 1);
    CHECK(world.sink.lines.front().find("listener=files file=order.eml from=a@src.test") != std::string::npos);
}

namespace {

const std::string kMergeFile =
    "XMRG FROM:<a@src.test>\nXDFN name=Ann\nRCPT TO:<ann@dst.test>\nXDFN name=Bob *vmta=promo\nRCPT TO:<bob@dst.test>\n"
    "XPRT 1\nFrom: a@src.test\nSubject: [name]\n\n..dot\n.\nXPRT 2 LAST\nHello [name]\n.\n";

}  // namespace

TEST_CASE("a file that speaks SMTP is a message, with mail merge or without", "[ingest][pickup]") {
    for (const char* behind : {"", "QUIT\n", "\n\nquit"}) {
        PickupWorld world;
        REQUIRE(world.send(kMergeFile + behind) == PickupTransaction::State::Accepted);
        const AcceptedMessage& accepted = world.handover.accepted.at(0);
        CHECK(accepted.message->id == world.id);
        CHECK(*accepted.last_chunk == "From: a@src.test\r\nSubject: [name]\r\n\r\n.dot\r\nHello [name]\r\n");
        CHECK(accepted.message->merge.parts.size() == 2);
        REQUIRE(accepted.tasks.size() == 2);
        CHECK(accepted.tasks[0].recipients[0].variables.find("name") == "Ann");
        CHECK(accepted.tasks[1].virtual_mta == "promo");
    }
    PickupWorld world;
    CHECK(
        world.send("HELO me\r\nMAIL FROM:<a@src.test>\r\nRCPT TO:<b@dst.test>\r\nDATA\r\nFrom: x\r\n\r\nhi\r\n.\r\n") ==
        PickupTransaction::State::Accepted);
    CHECK(*world.handover.accepted.at(0).last_chunk == "From: x\r\n\r\nhi\r\n");
}

TEST_CASE("a file that speaks SMTP may come in any pieces", "[ingest][pickup]") {
    for (const std::size_t piece : {1u, 7u, 50u}) {
        PickupWorld world;
        const auto envelope = parse_pickup_envelope(kMergeFile, RestOfFile::IsEmpty);
        world.transaction = std::make_unique<PickupTransaction>(world.shard, world.listener, world.rules,
                                                                MessageOrigin{world.id, "order.eml"}, world);
        world.transaction->begin(**envelope, kMergeFile.size());
        for (std::size_t at = 0; at < kMergeFile.size(); at += piece) {
            REQUIRE(world.transaction->state() == PickupTransaction::State::Hungry);
            world.transaction->feed(std::string_view(kMergeFile).substr(at, piece));
        }
        world.executor.run_until_idle();
        CHECK(world.transaction->state() == PickupTransaction::State::Accepted);
    }
}

TEST_CASE("a dialogue that goes wrong, goes on, or ends early makes a bad file", "[ingest][pickup][SEC-17]") {
    const auto refusal = [](const std::string& file) {
        PickupWorld world;
        CHECK(world.send(file) == PickupTransaction::State::Refused);
        CHECK(world.handover.accepted.empty());
        return world.transaction->refusal();
    };
    CHECK(refusal(kMergeFile + "MAIL FROM:<a@src.test>\n") ==
          "there is more behind the message; a file is one message");
    CHECK(refusal(kMergeFile + std::string(5000, '\n')) == "there is more behind the message; a file is one message");
    CHECK(refusal(kMergeFile.substr(0, kMergeFile.size() - 3)) == "the file ends before its message does");
    CHECK(refusal("XMRG FROM:<a@src.test>\n") == "the file ends before its message does");
    CHECK(refusal("MAIL FROM:<a@src.test>\nRCPT TO:<b>\nRCPT TO:<c@dst.test>\nDATA\nx: y\n\n.\n") ==
          "501 5.1.3 Bad recipient address syntax, in answer to: RCPT TO:<b>");
    CHECK(refusal("XACK OFF\nMAIL FROM:<a@src.test>\nRCPT TO:<b>\nRCPT TO:<c@dst.test>\nDATA\nx: y\n\n.\n") ==
          "501 5.1.3 Bad recipient address syntax, in answer to: DATA");
    CHECK(refusal("MAIL FROM:<a@src.test>\nRCPT TO:<c@dst.test>\nBDAT 5 LAST\nhello") ==
          "no command for a file: BDAT 5 LAST");
    CHECK(refusal("XMRG FROM:<a@src.test>\nRCPT TO:<c@dst.test>\nXPRT 1 LAST\n" + std::string(100'000, 'x') + "\n.\n")
              .starts_with("552 5.3.4"));
    CHECK(refusal("EHLO " + std::string(100'000, 'x') + "\n").starts_with("500 5.5.2"));
}

TEST_CASE("M5322-2: a file with long lines is taken as it is, repaired or refused, as its directory says",
          "[M5322-2][pickup]") {
    const std::string head = "From: a@src.test\nDate: Thu, 1 Jan 2026 00:00:00 +0000\nMessage-ID: <1@src.test>\n";
    const std::string file = kEnvelope + head + "\n" + std::string(1200, 'z') + "\n";
    PickupWorld allowing("message_checks: allow");
    CHECK(allowing.send(file) == PickupTransaction::State::Accepted);
    CHECK(allowing.handover.accepted.at(0).last_chunk->ends_with("\r\n" + std::string(1200, 'z') + "\r\n"));
    PickupWorld repairing("message_checks: repair");
    CHECK(repairing.send(file) == PickupTransaction::State::Accepted);
    CHECK(repairing.handover.accepted.at(0).last_chunk->find(
              "Content-Transfer-Encoding: quoted-printable\r\n\r\nzzz") != std::string::npos);
    const std::string sealed = kEnvelope + "Content-Type: multipart/signed; boundary=b\n" + head + "\n--b\n\n" +
                               std::string(1200, 'z') + "\n--b--\n";
    CHECK(repairing.send(sealed) == PickupTransaction::State::Refused);
    CHECK(repairing.transaction->refusal() ==
          "550 5.6.0 Message breaks RFC 5322: a line of more than 998 octets, and this cannot be repaired: it has long "
          "lines in multipart/signed, which must not change");
    PickupWorld refusing("message_checks: refuse");
    CHECK(refusing.send(file) == PickupTransaction::State::Refused);
    CHECK(refusing.transaction->refusal() == "550 5.6.0 Message breaks RFC 5322: a line of more than 998 octets");
}

TEST_CASE("M5322-4: a file has limits for its header and for each field of it", "[M5322-4][pickup]") {
    PickupWorld world("max_header_size: 2KiB, max_header_field_size: 1KiB");
    const std::string field = "X-Note: " + std::string(900, 'x') + "\n";
    CHECK(world.send(kEnvelope + field + field + "\nx\n") == PickupTransaction::State::Accepted);
    CHECK(world.send(kEnvelope + field + field + field + "\nx\n") == PickupTransaction::State::Refused);
    CHECK(world.transaction->refusal() == "552 5.3.4 Message header too big");
    CHECK(world.send(kEnvelope + "X-Note: " + std::string(1100, 'x') + "\n\nx\n") == PickupTransaction::State::Refused);
    CHECK(world.transaction->refusal() == "552 5.3.4 Message header field too big");
}

}  // namespace postfleet::ingest
