#include "cluster_call.hpp"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "merge_answers.hpp"
#include "postfleet/base/text.hpp"
#include "postfleet/config_files/load.hpp"
#include "postfleet/rpc/command_client.hpp"

namespace postfleet::standalone {

namespace {

constexpr Duration kRouterDeadline = std::chrono::seconds(5);

// The routers and senders believe it: whoever has a certificate of the cluster may do everything.
std::string operator_name() {
    const passwd* const user = ::getpwuid(::getuid());
    const std::string name = user != nullptr ? user->pw_name : "uid " + std::to_string(::getuid());
    return name + " at " + config_files::machine_name();
}

std::vector<std::string> addresses_of(const std::string& routers) {
    std::vector<std::string> all;
    for (const auto address : split(routers, ',')) {
        if (!trim(address).empty()) all.emplace_back(trim(address));
    }
    return all;
}

struct Senders {
    std::vector<rpc::Member> there;
    std::vector<std::string> silent;     // names that belong to a spool, and no process says where it is
    std::vector<std::string> spoolless;  // names that belong to none, and get mail
};

// A message's past is in the reports, which feedback has.
bool is_asked(const rpc::Member& member, const ClusterAccess& access, const std::string& command) {
    if (member.service == "feedback") return command == "history";
    return member.service == "sender" && (access.sender.empty() || member.name == access.sender);
}

Result<Senders> senders_of(const ClusterAccess& access, const std::string& command) {
    if (Status files = rpc::check_tls_files(access.tls, access.routers); !files) return files.error();
    const auto view = rpc::view_cluster(addresses_of(access.routers), access.tls, kRouterDeadline);
    if (!view) return view.error();
    Senders senders;
    for (const rpc::Member& member : view->members) {
        if (is_asked(member, access, command)) senders.there.push_back(member);
    }
    for (const std::string& name : view->senders) {
        if (!access.sender.empty() && name != access.sender) continue;
        const bool is_there = std::any_of(senders.there.begin(), senders.there.end(), [&](const rpc::Member& member) {
            return member.service == "sender" && member.name == name;
        });
        if (!is_there) senders.silent.push_back(name);
    }
    if (access.sender.empty()) senders.spoolless = view->spoolless;
    if (!senders.there.empty()) return senders;
    return Error{ErrorKind::Unavailable, access.sender.empty()
                                             ? "the routers know of no sender that runs"
                                             : "the routers know of no sender " + access.sender + " that runs"};
}

bool is_away(const Error& error) {
    return error.kind == ErrorKind::Unavailable || error.kind == ErrorKind::DeadlineExceeded;
}

// The first that can be reached: what it knows, all know.
Result<std::string> ask_any(const Senders& senders, const rpc::OperatorCommand& command, const rpc::TlsFiles& tls,
                            Duration timeout) {
    std::optional<Error> last;
    for (const rpc::Member& member : senders.there) {
        auto answer = std::move(rpc::run_commands({member}, command, tls, timeout).front());
        if (answer || !is_away(answer.error())) return answer;
        last = Error{answer.error().kind, member.name + " does not answer: " + answer.error().text};
        // Whether an order has arrived is not known then; it is not given twice.
        if (answer.error().kind == ErrorKind::DeadlineExceeded) break;
    }
    return *last;
}

Result<std::string> ask_every(const Senders& senders, const rpc::OperatorCommand& command, const rpc::TlsFiles& tls,
                              Duration timeout, const CallRemarks& remarks) {
    const auto answers = rpc::run_commands(senders.there, command, tls, timeout);
    std::vector<SenderAnswer> good;
    std::optional<Error> refused;
    for (std::size_t i = 0; i < answers.size(); ++i) {
        const std::string& name = senders.there[i].name;
        if (answers[i]) good.push_back({name, *answers[i]});
        else if (is_away(answers[i].error())) remarks.missing(name + " does not answer: " + answers[i].error().text);
        else refused = answers[i].error();  // it has no such mail, or nobody may ask this
    }
    for (const std::string& name : senders.silent) remarks.missing(name + " does not answer: it is not running");
    for (const std::string& name : senders.spoolless) {
        remarks.note("no sender has the name " + name +
                     ", to which the configuration gives virtual MTAs: their mail "
                     "waits in RabbitMQ");
    }
    if (good.empty()) {
        if (refused && command.command == "history" && refused->kind == ErrorKind::NotFound) {
            return Error{ErrorKind::NotFound, "nothing is known of message " + command.arguments.at("message") +
                                                  ": it waits at no sender that answers, and no report that feedback "
                                                  "keeps tells of it"};
        }
        return refused ? *refused : Error{ErrorKind::Unavailable, "no sender has answered; try again"};
    }
    if (good.size() == 1 && command.command != "history") return good.front().json;
    return merge_answers(command.command, command.arguments, good);
}

}  // namespace

Result<std::string> call_cluster(const ClusterAccess& access, const std::string& command,
                                 const runtime::ControlArguments& arguments, Duration timeout,
                                 const CallRemarks& remarks) {
    const Recipients recipients = recipients_of(command, arguments);
    const auto senders = senders_of(access, command);
    if (!senders) return senders.error();
    const rpc::OperatorCommand asked{command, arguments, operator_name()};
    if (recipients == Recipients::OneSender && senders->there.size() > 1) {
        std::string names;
        for (const rpc::Member& member : senders->there) names += (names.empty() ? "" : ", ") + member.name;
        return Error{ErrorKind::InvalidArgument, "name one of the senders with --sender: " + names};
    }
    return recipients == Recipients::EverySender ? ask_every(*senders, asked, access.tls, timeout, remarks)
                                                 : ask_any(*senders, asked, access.tls, timeout);
}

}  // namespace postfleet::standalone
