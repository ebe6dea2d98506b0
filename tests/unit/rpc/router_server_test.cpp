// The router's port as a peer sees it who is not RouterLink.
#include "postfleet/rpc/router_server.hpp"

#include <catch2/catch.hpp>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>

#include <future>

#include "postfleet/net/loop_group.hpp"
#include "postfleet/sqlite/state_store.hpp"
#include "postfleet/support/await.hpp"
#include "postfleet/support/temporary_directory.hpp"
#include "postfleet/v1/control.grpc.pb.h"

using namespace postfleet;
using rpc::RouterServer;

namespace {

struct World {
    support::TemporaryDirectory directory;
    Metrics metrics;
    std::unique_ptr<net::LoopGroup> loops = net::LoopGroup::create(1).value();
    std::unique_ptr<sql_state::SqlStateStore> store = sqlite::open_state_store(directory.file("state.db")).value();
    std::unique_ptr<RouterServer> server;
    std::shared_ptr<grpc::Channel> channel;
    std::unique_ptr<v1::Router::Stub> stub;

    World() {
        loops->start();
        server = RouterServer::start({.address = "127.0.0.1:0",
                                      .tls = {},
                                      .store = *store,
                                      .executor = (*loops)[0],
                                      .metrics = metrics,
                                      .log = {}})
                     .value();
        channel =
            grpc::CreateChannel("127.0.0.1:" + std::to_string(server->port()), grpc::InsecureChannelCredentials());
        stub = v1::Router::NewStub(channel);
    }

    // Any method, with octets as its request.
    grpc::Status call(const std::string& method, const std::string& octets) {
        grpc::GenericStub generic(channel);
        grpc::ClientContext context;
        context.set_deadline(std::chrono::system_clock::now() + support::kPatience);
        const grpc::Slice slice(octets);
        grpc::ByteBuffer request(&slice, 1), response;
        std::promise<grpc::Status> done;
        generic.UnaryCall(&context, method, grpc::StubOptions(), &request, &response,
                          [&](grpc::Status status) { done.set_value(std::move(status)); });
        return done.get_future().get();
    }
};

}  // namespace

TEST_CASE("recipients are checked in batches over one stream, and only those that get nothing are named") {
    World world;
    const std::vector<Suppression> suppressions{{.key = {"acme", "ann@x.test"}, .reason = "unsubscribed"},
                                                {.key = {"", "bad.test"}, .reason = "spam trap"}};
    REQUIRE(support::await_result<Status>((*world.loops)[0], [&](auto done) {
                world.store->add_suppressions(suppressions, std::move(done));
            })->has_value());
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + support::kPatience);
    const auto stream = world.stub->CheckRecipients(&context);
    for (int batch = 0; batch < 50; ++batch) {
        v1::CheckRecipientsRequest request;
        for (const char* address : {"bob@x.test", "Ann@X.test", "any@bad.test"}) {
            v1::RecipientQuestion& question = *request.add_recipients();
            question.set_tenant("acme");
            question.set_address(address);
        }
        REQUIRE(stream->Write(request));
    }
    stream->WritesDone();
    v1::CheckRecipientsResponse response;
    for (int batch = 0; batch < 50; ++batch) {
        REQUIRE(stream->Read(&response));
        REQUIRE(response.suppressed_size() == 2);
        CHECK(response.suppressed(0).place() == 1);
        CHECK(response.suppressed(0).reason() == "unsubscribed");
        CHECK(response.suppressed(1).place() == 2);
        CHECK(response.suppressed(1).target() == "bad.test");
    }
    CHECK_FALSE(stream->Read(&response));
    CHECK(stream->Finish().ok());
}

TEST_CASE("a stream that asks for too much at once is told so, and its neighbours are not disturbed [SEC-22]") {
    World world;
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + support::kPatience);
    const auto stream = world.stub->CheckRecipients(&context);
    v1::CheckRecipientsRequest request;
    for (int i = 0; i <= RouterServer::kMostBatch; ++i) request.add_recipients();
    REQUIRE(stream->Write(request));
    v1::CheckRecipientsResponse response;
    CHECK_FALSE(stream->Read(&response));
    CHECK(stream->Finish().error_code() == grpc::StatusCode::INVALID_ARGUMENT);
    CHECK(world.call("/postfleet.v1.Router/ListSenders", "").ok());
}

TEST_CASE("octets that are no message, too large ones and unknown methods are refused [SEC-22]") {
    World world;
    // A length that goes beyond the end, a wrong wire type, a group that never ends.
    for (const char* octets : {"\x0a\x7f", "\x0f", "\x0b\x0b\x0b", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"}) {
        CHECK_FALSE(world.call("/postfleet.v1.Router/ClaimKeys", octets).ok());
    }
    const grpc::Status large =
        world.call("/postfleet.v1.Router/ClaimKeys", std::string(RouterServer::kMostRequestOctets + 1, 'x'));
    CHECK(large.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
    CHECK(world.call("/postfleet.v1.Router/NoSuchMethod", "").error_code() == grpc::StatusCode::UNIMPLEMENTED);
    // Nobody is told what there is.
    CHECK(world.call("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "").error_code() ==
          grpc::StatusCode::UNIMPLEMENTED);
    CHECK(world.call("/grpc.health.v1.Health/Check", "").ok());
    v1::ClaimKeysRequest claims;
    claims.add_claims()->mutable_key()->set_key("without a message id");
    const grpc::Status incomplete = world.call("/postfleet.v1.Router/ClaimKeys", claims.SerializeAsString());
    CHECK(incomplete.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
    CHECK(incomplete.error_message().find("message_id") != std::string::npos);
}

TEST_CASE("streams that are left behind are forgotten, and a router that stops ends those that wait") {
    World world;
    for (int i = 0; i < 20; ++i) {
        grpc::ClientContext context;
        v1::WatchOrdersRequest request;
        const auto stream = world.stub->WatchOrders(&context, request);
        v1::OrderChangesMessage changes;
        REQUIRE(stream->Read(&changes));  // what there is now
        context.TryCancel();
        CHECK(stream->Finish().error_code() == grpc::StatusCode::CANCELLED);
    }
    grpc::ClientContext context;
    v1::WatchConfigRequest request;
    const auto waiting = world.stub->WatchConfig(&context, request);
    waiting->WaitForInitialMetadata();
    world.server->stop(std::chrono::seconds(10));
    v1::ConfigSnapshot snapshot;
    CHECK_FALSE(waiting->Read(&snapshot));
    CHECK(waiting->Finish().error_code() == grpc::StatusCode::UNAVAILABLE);
}
