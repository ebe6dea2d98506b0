#include "postfleet/rpc/command_client.hpp"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>

#include <latch>
#include <memory>
#include <set>

#include "credentials.hpp"
#include "postfleet/v1/control.grpc.pb.h"
#include "translate.hpp"

namespace postfleet::rpc {

namespace {

constexpr int kMostAnswerOctets = 256 << 20;

std::shared_ptr<grpc::Channel> channel_to(const std::string& address, const TlsFiles& tls) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(kMostAnswerOctets);
    return grpc::CreateCustomChannel(address, channel_credentials(tls), arguments);
}

std::chrono::system_clock::time_point in(Duration deadline) {
    return std::chrono::system_clock::now() + std::chrono::duration_cast<std::chrono::system_clock::duration>(deadline);
}

// One call of a stub, begun and waited for with others.
template <class Service, class Request, class Response>
struct Call {
    std::unique_ptr<typename Service::Stub> stub;
    grpc::ClientContext context;
    Request request;
    Response response;
    grpc::Status status;

    template <class Method>
    void begin(Method method, const std::shared_ptr<std::latch>& all) {
        (stub->async()->*method)(&context, &request, &response, [this, all](grpc::Status done) {
            status = std::move(done);
            all->count_down();  // last: whoever waits may end this
        });
    }
};

using Async = class v1::Router::Stub::async;

Error unanswered(const std::string& address, const grpc::Status& status) {
    const Error error = from_grpc(status);
    return {error.kind, "the router " + address + " does not answer: " + error.text};
}

// A command to one process, whichever of the two services it has.
struct Question {
    Call<v1::SenderControl, v1::CommandMessage, v1::AnswerMessage> sender;
    Call<v1::FeedbackQuery, v1::CommandMessage, v1::AnswerMessage> feedback;
};

}  // namespace

Result<ClusterView> view_cluster(const std::vector<std::string>& routers, const TlsFiles& tls, Duration deadline) {
    struct Ask {
        Call<v1::Router, v1::ListMembersRequest, v1::MemberList> members;
        Call<v1::Router, v1::ListSendersRequest, v1::ListSendersResponse> senders;
    };
    std::vector<std::unique_ptr<Ask>> asked;
    // Shared with the last answer, which may still be about to leave it.
    const auto all = std::make_shared<std::latch>(static_cast<std::ptrdiff_t>(2 * routers.size()));
    using Members = void (Async::*)(grpc::ClientContext*, const v1::ListMembersRequest*, v1::MemberList*,
                                    std::function<void(grpc::Status)>);
    using Senders = void (Async::*)(grpc::ClientContext*, const v1::ListSendersRequest*, v1::ListSendersResponse*,
                                    std::function<void(grpc::Status)>);
    for (const std::string& address : routers) {
        Ask& ask = *asked.emplace_back(std::make_unique<Ask>());
        const auto channel = channel_to(address, tls);
        ask.members.stub = v1::Router::NewStub(channel);
        ask.senders.stub = v1::Router::NewStub(channel);
        ask.members.context.set_deadline(in(deadline));
        ask.senders.context.set_deadline(in(deadline));
        ask.members.begin(static_cast<Members>(&Async::ListMembers), all);
        ask.senders.begin(static_cast<Senders>(&Async::ListSenders), all);
    }
    all->wait();
    std::set<Member> members;
    std::set<std::string> senders, spoolless;
    Result<ClusterView> view(Error{ErrorKind::InvalidArgument, "no router is named"});
    for (std::size_t i = 0; i < asked.size(); ++i) {
        const Ask& ask = *asked[i];
        const grpc::Status& status = ask.members.status.ok() ? ask.senders.status : ask.members.status;
        if (!status.ok()) {
            if (!view) view = unanswered(routers[i], status);
            continue;
        }
        view = ClusterView{};
        for (const v1::MemberMessage& member : ask.members.response.members()) {
            members.insert({member.service(), member.name(), member.address()});
        }
        for (const v1::SenderRecordMessage& sender : ask.senders.response.senders()) {
            if (!sender.grant().spool_id().empty()) senders.insert(sender.grant().sender());
            else if (sender.has_virtual_mtas()) spoolless.insert(sender.grant().sender());
        }
    }
    if (!view) return view;
    view->members.assign(members.begin(), members.end());
    view->senders.assign(senders.begin(), senders.end());
    view->spoolless.assign(spoolless.begin(), spoolless.end());
    return view;
}

std::vector<Result<std::string>> run_commands(const std::vector<Member>& members, const OperatorCommand& command,
                                              const TlsFiles& tls, Duration deadline) {
    using SenderRun = void (v1::SenderControl::Stub::async::*)(grpc::ClientContext*, const v1::CommandMessage*,
                                                               v1::AnswerMessage*, std::function<void(grpc::Status)>);
    using FeedbackRun = void (v1::FeedbackQuery::Stub::async::*)(grpc::ClientContext*, const v1::CommandMessage*,
                                                                 v1::AnswerMessage*, std::function<void(grpc::Status)>);
    std::vector<std::unique_ptr<Question>> asked;
    const auto all = std::make_shared<std::latch>(static_cast<std::ptrdiff_t>(members.size()));
    for (const Member& member : members) {
        Question& question = *asked.emplace_back(std::make_unique<Question>());
        const auto begin = [&](auto& call, auto stub, auto method) {
            call.stub = std::move(stub);
            call.context.set_deadline(in(deadline));
            write(command, call.request);
            call.begin(method, all);
        };
        const auto channel = channel_to(member.address, tls);
        if (member.service == "feedback") {
            begin(question.feedback, v1::FeedbackQuery::NewStub(channel),
                  static_cast<FeedbackRun>(&v1::FeedbackQuery::Stub::async::Run));
        } else {
            begin(question.sender, v1::SenderControl::NewStub(channel),
                  static_cast<SenderRun>(&v1::SenderControl::Stub::async::Run));
        }
    }
    all->wait();
    std::vector<Result<std::string>> answers;
    for (std::size_t i = 0; i < asked.size(); ++i) {
        const auto take = [&](auto& call) {
            if (call.status.ok()) answers.emplace_back(std::move(*call.response.mutable_json()));
            else answers.emplace_back(from_grpc(call.status));
        };
        members[i].service == "feedback" ? take(asked[i]->feedback) : take(asked[i]->sender);
    }
    return answers;
}

}  // namespace postfleet::rpc
