#include "postfleet/report/accounting.hpp"

#include <catch2/catch.hpp>

using namespace postfleet;
using namespace postfleet::report;
using namespace std::chrono_literals;

namespace {

const WallTime kNow = from_unix_microseconds(1'795'342'272'345'678);  // 2026-11-22T10:11:12.345678Z

const std::string kAttemptColumns =
    "type,timeLogged,timeQueued,orig,rcpt,orcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,srcType,srcMta,dlvType,"
    "dlvSourceIp,dlvDestinationIp,dlvEsmtpAvailable,dlvSize,vmta,jobId,envId,queue,vmtaPool";

std::shared_ptr<Message> message() {
    auto made = std::make_shared<Message>();
    made->id = *MessageId::parse("019aa9c1-0fd9-7abc-8def-0123456789ab");
    made->accepted_at = kNow - 95s;
    made->reverse_path = "bounce+jane.doe=example.org@news.example.com";
    made->client_address = "192.0.2.99";
    made->server_address = "192.0.2.1";
    made->helo = "app.example.com";
    made->size_octets = 10'000;
    made->prepended_header = std::string(240, 'x');
    made->job = "spring,sale";
    made->envelope_id = "e-1";
    made->user = "shop";
    made->recorded_headers = {{"x-campaign", "a \"quoted\" one"}};
    return made;
}

Event event_of(EventType type, Reply reply = {}) {
    Event event;
    event.type = type;
    event.time = kNow;
    event.message = message();
    event.recipient = "Jane.Doe@example.org";
    event.original_recipient = "rfc822;jane.doe@example.org";
    event.virtual_mta = "tx-1";
    event.pool = "transactional";
    event.queue = "example.org/tx-1";
    event.delivery = DeliveryFacts{.mx_host = "mx1.example.org",
                                   .mx_address = "198.51.100.5:25",
                                   .source_address = "203.0.113.7",
                                   .tls = "TLSv1.3/TLS_AES_128_GCM_SHA256/may/none",
                                   .offered = extension_bit("pipelining") | extension_bit("SIZE"),
                                   .phase = SmtpPhase::Rcpt,
                                   .reply = std::move(reply),
                                   .elapsed = 12ms};
    return event;
}

AccountingFormat format(AccountingOptions options = {}) {
    auto made = AccountingFormat::make(std::move(options));
    REQUIRE(made);
    return std::move(*made);
}

std::string row(const AccountingFormat& format, const Event& event) {
    std::string out;
    CHECK(format.render(event, out));
    return out;
}

class FakeDigests final : public Digests {
public:
    Sha256Digest sha256(std::string_view) const override { return {}; }
    std::unique_ptr<RunningSha256> start_sha256() const override { return nullptr; }  // reports hash whole texts
    Sha256Digest hmac_sha256(std::string_view key, std::string_view octets) const override {
        Sha256Digest digest{};
        digest[0] = static_cast<std::uint8_t>(key.size());
        digest[1] = static_cast<std::uint8_t>(octets == "jane.doe" ? 0xaa : 0xee);
        return digest;
    }
    Sha256Digest pbkdf2_hmac_sha256(std::string_view, std::string_view, std::uint32_t) const override { return {}; }
};

}  // namespace

TEST_CASE("deliveries, bounces and failed attempts have the default columns, in their order") {
    const auto all =
        format({.records = {AccountingRecord::Delivery, AccountingRecord::Bounce, AccountingRecord::Transient}});
    CHECK(all.header() == kAttemptColumns);
    CHECK(row(all, event_of(EventType::Delivered, {250, {2, 0, 0}, "OK queued as 1"})) ==
          "d,2026-11-22 10:11:12+0000,2026-11-22 10:09:37+0000,bounce+jane.doe=example.org@news.example.com,"
          "Jane.Doe@example.org,rfc822;jane.doe@example.org,relayed,2.0.0 (success),smtp;250 2.0.0 OK queued as 1,"
          "mx1.example.org (198.51.100.5),,smtp,app.example.com (192.0.2.99),smtp,203.0.113.7,198.51.100.5,"
          "\"PIPELINING,SIZE\",10240,tx-1,\"spring,sale\",e-1,example.org/tx-1,transactional");
    auto bounced = event_of(EventType::Bounced, {550, {5, 1, 1}, "No such user"});
    bounced.bounce = BounceFacts{"hard", "bad-mailbox", false};
    CHECK(row(all, bounced) ==
          "b,2026-11-22 10:11:12+0000,2026-11-22 10:09:37+0000,bounce+jane.doe=example.org@news.example.com,"
          "Jane.Doe@example.org,rfc822;jane.doe@example.org,failed,5.1.1 (bad destination mailbox address),"
          "smtp;550 5.1.1 No such user,mx1.example.org (198.51.100.5),bad-mailbox,smtp,app.example.com (192.0.2.99),"
          "smtp,203.0.113.7,198.51.100.5,\"PIPELINING,SIZE\",,tx-1,\"spring,sale\",e-1,example.org/tx-1,transactional");
    const std::string deferred = row(all, event_of(EventType::Deferred, {451, {}, "Greylisted"}));
    CHECK_THAT(deferred, Catch::StartsWith("t,") && Catch::Contains(",delayed,4.0.0 (undefined status),smtp;451 Gre"));
}

TEST_CASE("receipts name the pool where one was chosen, and both addresses") {
    const auto receipts = format({.records = {AccountingRecord::Receipt}});
    CHECK(receipts.header() ==
          "type,timeLogged,orig,rcpt,orcpt,srcType,srcMta,rcvSourceIp,rcvDestinationIp,vmta,jobId,envId");
    CHECK(row(receipts, event_of(EventType::Accepted)) ==
          "r,2026-11-22 10:11:12+0000,bounce+jane.doe=example.org@news.example.com,Jane.Doe@example.org,"
          "rfc822;jane.doe@example.org,smtp,app.example.com (192.0.2.99),192.0.2.99,192.0.2.1,transactional,"
          "\"spring,sale\",e-1");
}

TEST_CASE("failed connections are records of the queue") {
    const auto connections = format({.records = {AccountingRecord::TransientQueue}});
    CHECK(connections.header() ==
          "type,timeLogged,dsnStatus,dsnDiag,dsnMta,dlvType,dlvSourceIp,dlvDestinationIp,vmta,queue");
    auto failed = event_of(EventType::QueueConnectFailed, {0, {}, "connection refused"});
    failed.message = nullptr;
    failed.delivery->phase = SmtpPhase::Connect;
    CHECK(row(connections, failed) ==
          "tq,2026-11-22 10:11:12+0000,4.4.1 (no answer from host),smtp;connection refused,"
          "mx1.example.org (198.51.100.5),smtp,203.0.113.7,198.51.100.5,tx-1,example.org/tx-1");
}

TEST_CASE("several records share the union of their columns; what a record does not have is empty") {
    const auto both = format({.records = {AccountingRecord::Delivery, AccountingRecord::Receipt}});
    CHECK(both.header() == kAttemptColumns + ",rcvSourceIp,rcvDestinationIp");
    CHECK_THAT(row(both, event_of(EventType::Accepted)),
               Catch::Contains("rfc822;jane.doe@example.org,,,,,,smtp,app.example.com (192.0.2.99),,,,,,transactional,"
                               "\"spring,sale\",e-1,,,192.0.2.99,192.0.2.1"));
    std::string out;
    CHECK_FALSE(both.render(event_of(EventType::Deferred), out));
    CHECK_FALSE(both.render(event_of(EventType::QueueBackoffEntered), out));
    CHECK(out.empty());
}

TEST_CASE("columns are chosen, taken out, and shown for headers of the message") {
    AccountingOptions options{.records = {AccountingRecord::Delivery},
                              .fields = {{AccountingRecord::Delivery,
                                          {"timeLogged", "rcpt", "totalSecondsQueued", "dlvTlsProtocol", "dlvTlsCipher",
                                           "rcvSmtpUser", "userString", "header_X-Campaign", "header_X-None"}}},
                              .iso_times = false,
                              .user_string = "node-7"};
    const auto chosen = format(options);
    CHECK(chosen.header() ==
          "type,timeLogged,rcpt,totalSecondsQueued,dlvTlsProtocol,dlvTlsCipher,rcvSmtpUser,userString,"
          "header_X-Campaign,header_X-None");
    CHECK(row(chosen, event_of(EventType::Delivered, {250, {}, "ok"})) ==
          "d,1795342272,Jane.Doe@example.org,95,TLSv1.3,TLS_AES_128_GCM_SHA256,shop,node-7,\"a \"\"quoted\"\" one\",");
    CHECK(chosen.wanted_headers() == std::vector<std::string>{"x-campaign", "x-none"});

    options.fields = {{AccountingRecord::Delivery, {"*", "!dsnDiag", "!orcpt"}}};
    CHECK_THAT(format(options).header(),
               !Catch::Contains("dsnDiag") && !Catch::Contains("orcpt") && Catch::Contains("rcpt"));
    options.fields = {{AccountingRecord::Delivery, {"rcpt", "nonsense"}}};
    CHECK(AccountingFormat::make(options).error().text == "'nonsense' is no field of the record 'd'");
    options.fields = {{AccountingRecord::Delivery, {"rcvSourceIp"}}};
    CHECK_FALSE(AccountingFormat::make(options));
}

TEST_CASE("mail that ends without a reply says how") {
    const auto bounces = format(
        {.records = {AccountingRecord::Bounce}, .fields = {{AccountingRecord::Bounce, {"dsnStatus", "dsnDiag"}}}});
    auto expired = event_of(EventType::Expired, {451, {4, 2, 2}, "full"});
    CHECK(row(bounces, expired) == "b,4.4.7 (delivery time expired),smtp;451 4.2.2 full");
    auto cancelled = event_of(EventType::Cancelled);
    cancelled.delivery.reset();
    CHECK(row(bounces, cancelled) == "b,5.7.1 (delivery not authorized),smtp;500 5.7.1 deleted by administrator");
    auto suppressed = event_of(EventType::Suppressed);
    suppressed.delivery.reset();
    suppressed.reason = "on the list of unsubscribes";
    CHECK(row(bounces, suppressed) == "b,5.7.1 (delivery not authorized),on the list of unsubscribes");
}

TEST_CASE("the recipient's local part is concealed wherever the record quotes it") {
    AccountingOptions options{.records = {AccountingRecord::Bounce},
                              .fields = {{AccountingRecord::Bounce, {"orig", "rcpt", "orcpt", "dsnDiag"}}},
                              .privacy = AccountingPrivacy::Redact};
    const auto event = event_of(EventType::Bounced, {550, {5, 1, 1}, "<jane.doe@example.org> unknown; JANE.DOE gone"});
    CHECK(row(format(options), event) ==
          "b,bounce+[redacted]=example.org@news.example.com,[redacted]@example.org,rfc822;[redacted]@example.org,"
          "smtp;550 5.1.1 <[redacted]@example.org> unknown; [redacted] gone");
    options.privacy = AccountingPrivacy::HmacSha256;
    options.privacy_key = "sixteen octets..";
    options.digests = std::make_shared<FakeDigests>();
    options.fields = {{AccountingRecord::Bounce, {"rcpt"}}};
    CHECK(row(format(options), event) == "b,10aa" + std::string(60, '0') + "@example.org");
}
