// The port that applications submit to, with a host that answers as the test says.
#include "postfleet/rpc/submission_server.hpp"

#include <catch2/catch.hpp>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <set>
#include <thread>

#include "postfleet/net/loop_group.hpp"
#include "postfleet/support/await.hpp"
#include "postfleet/v1/submission.grpc.pb.h"

using namespace postfleet;
using rpc::SubmissionAnswer;

namespace {

using Answer = rpc::SubmissionVisit::Answer;

// Lets in whoever does not say "no"; keeps what was submitted until it is answered.
class Host final : public rpc::SubmissionHost {
public:
    void enter(rpc::SubmissionCaller caller, Entered entered) override {
        const std::lock_guard lock(mutex);
        callers.push_back(caller);
        if (caller.authorization == "no") return entered(Error{ErrorKind::PermissionDenied, "not you"});
        if (caller.authorization == "hold") {
            held.push_back(std::move(entered));
            return changed.notify_all();
        }
        entered(std::unique_ptr<rpc::SubmissionVisit>(std::make_unique<Visit>(*this)));
    }
    // Waits for that many.
    void wait_for(std::size_t count) {
        std::unique_lock lock(mutex);
        REQUIRE(changed.wait_for(lock, support::kPatience, [&] { return submitted.size() + held.size() >= count; }));
    }
    void answer(SubmissionAnswer with) {
        std::vector<Answer> all;
        {
            const std::lock_guard lock(mutex);
            all.swap(submitted);
        }
        for (Answer& one : all) one(SubmissionAnswer(with));
    }

    std::mutex mutex;
    std::condition_variable changed;
    std::vector<rpc::SubmissionCaller> callers;
    std::vector<Answer> submitted;
    std::vector<Entered> held;
    std::atomic<int> unreadable{0};

private:
    struct Visit final : rpc::SubmissionVisit {
        explicit Visit(Host& owner) : host(owner) {}
        void submit(Submission, Answer answer) override {
            const std::lock_guard lock(host.mutex);
            host.submitted.push_back(std::move(answer));
            host.changed.notify_all();
        }
        void refused(const std::string&) override { ++host.unreadable; }
        Host& host;
    };
};

struct World {
    explicit World(std::uint32_t max_calls = 100, std::uint32_t max_in_flight = 3) {
        loops->start();
        server = rpc::SubmissionServer::start({.name = "api",
                                               .address = *Endpoint::parse("127.0.0.1:0"),
                                               .tls = {},
                                               .host = host,
                                               .executor = (*loops)[0],
                                               .metrics = metrics,
                                               .max_calls = max_calls,
                                               .max_in_flight = max_in_flight})
                     .value();
        stub = v1::SubmissionService::NewStub(
            grpc::CreateChannel("127.0.0.1:" + std::to_string(server->port()), grpc::InsecureChannelCredentials()));
    }
    ~World() { server->stop(); }

    static void prepare(grpc::ClientContext& context, const char* authorization = nullptr) {
        context.set_deadline(std::chrono::system_clock::now() + support::kPatience);
        if (authorization != nullptr) context.AddMetadata("authorization", authorization);
    }
    // Answered by another thread as soon as it is there.
    grpc::Status send(v1::SubmissionResult& result, SubmissionAnswer with) {
        grpc::ClientContext context;
        prepare(context);
        std::thread answering([&] {
            host.wait_for(1);
            host.answer(std::move(with));
        });
        grpc::Status status = stub->Send(&context, v1::Submission(), &result);
        answering.join();
        return status;
    }

    Metrics metrics;
    Host host;
    std::unique_ptr<net::LoopGroup> loops = net::LoopGroup::create(1).value();
    std::unique_ptr<rpc::SubmissionServer> server;
    std::unique_ptr<v1::SubmissionService::Stub> stub;
};

}  // namespace

TEST_CASE("each end of a submission has its status") {
    World world;
    v1::SubmissionResult result;
    REQUIRE(world.send(result, {.kind = SubmissionAnswer::Kind::Accepted, .message_id = "id"}).ok());
    CHECK(result.outcome() == v1::SubmissionResult::ACCEPTED);
    CHECK(result.message_id() == "id");
    REQUIRE(world.send(result, {.kind = SubmissionAnswer::Kind::Duplicate, .message_id = "old"}).ok());
    CHECK(result.outcome() == v1::SubmissionResult::DUPLICATE);
    const auto refused = world.send(result, {.kind = SubmissionAnswer::Kind::Refused, .problem = "to[0]: bad\n"});
    CHECK(refused.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
    CHECK(refused.error_message().starts_with("to[0]: bad"));
    CHECK(refused.error_message().find('\n') == std::string::npos);
    const auto later = world.send(result, {.kind = SubmissionAnswer::Kind::Later, .problem = "disk full"});
    CHECK(later.error_code() == grpc::StatusCode::UNAVAILABLE);
    CHECK(world.host.callers.front().client.address.is_loopback());
}

TEST_CASE("who is not let in is told so, and nothing of what it sends is looked at") {
    World world;
    grpc::ClientContext context;
    World::prepare(context, "no");
    v1::SubmissionResult result;
    const auto status = world.stub->Send(&context, v1::Submission(), &result);
    CHECK(status.error_code() == grpc::StatusCode::UNAUTHENTICATED);
    CHECK(status.error_message() == "not you");
    CHECK(world.host.submitted.empty());
}

TEST_CASE("a stream is read as long as few enough are under way, and its results have their places") {
    World world(100, 3);
    grpc::ClientContext context;
    World::prepare(context);
    auto stream = world.stub->SendMany(&context);
    for (int i = 0; i < 10; ++i) REQUIRE(stream->Write(v1::Submission()));
    stream->WritesDone();
    std::set<std::uint64_t> places;
    v1::SubmissionResult result;
    for (std::size_t left = 10; left > 0;) {
        const std::size_t expected = std::min<std::size_t>(left, 3);
        world.host.wait_for(expected);
        {
            const std::lock_guard lock(world.host.mutex);
            CHECK(world.host.submitted.size() <= 3);
        }
        world.host.answer({.kind = SubmissionAnswer::Kind::Accepted, .message_id = "id"});
        for (std::size_t i = 0; i < expected; ++i, --left) {
            REQUIRE(stream->Read(&result));
            places.insert(result.place());
        }
    }
    CHECK(places == std::set<std::uint64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
    CHECK(stream->Finish().ok());
}

TEST_CASE("there are only so many calls at once") {
    World world(1);
    grpc::ClientContext first_context;
    World::prepare(first_context, "hold");
    auto first = world.stub->SendMany(&first_context);
    world.host.wait_for(1);
    grpc::ClientContext second_context;
    World::prepare(second_context);
    v1::SubmissionResult result;
    CHECK(world.stub->Send(&second_context, v1::Submission(), &result).error_code() ==
          grpc::StatusCode::RESOURCE_EXHAUSTED);
    first_context.TryCancel();
    first->Finish();
}

TEST_CASE("a drain lets calls have the results of what was taken, and ends when there are none") {
    World world;
    grpc::ClientContext context;
    World::prepare(context);
    auto stream = world.stub->SendMany(&context);
    REQUIRE(stream->Write(v1::Submission()));
    world.host.wait_for(1);
    std::promise<void> drained;
    world.server->drain({&(*world.loops)[0], [&](const Status&) { drained.set_value(); }});
    grpc::ClientContext late_context;
    World::prepare(late_context);
    v1::SubmissionResult result;
    CHECK(world.stub->Send(&late_context, v1::Submission(), &result).error_code() == grpc::StatusCode::UNAVAILABLE);
    world.host.answer({.kind = SubmissionAnswer::Kind::Accepted, .message_id = "id"});
    REQUIRE(stream->Read(&result));
    CHECK(result.message_id() == "id");
    CHECK_FALSE(stream->Read(&result));
    CHECK(stream->Finish().error_code() == grpc::StatusCode::UNAVAILABLE);
    CHECK(drained.get_future().wait_for(support::kPatience) == std::future_status::ready);
}

TEST_CASE("answers that come when the server has stopped go nowhere") {
    World world;
    grpc::ClientContext context;
    World::prepare(context);
    auto stream = world.stub->SendMany(&context);
    REQUIRE(stream->Write(v1::Submission()));
    world.host.wait_for(1);
    world.server->stop();
    CHECK_FALSE(stream->Finish().ok());
    world.host.answer({.kind = SubmissionAnswer::Kind::Accepted, .message_id = "id"});
}
